"""Python imports this at its start where `harness exec` has put this folder on PYTHONPATH.

The SageMaker SDK addresses STS by its full name, past AWS_ENDPOINT_URL (session.py, `get_caller_identity_arn`). So
the one public method that makes every client, ``botocore.session.Session.create_client``, is given the door's address
wherever it was given one of AWS's, or none.

It also sleeps for 30 s before it looks at an endpoint for the first time (`_wait_until`), and asks for the status of a
job once in 30 s (`_logs_for_job`). Describe calls wait at the door until there is something to tell, so its sleeps are
cut short, and its clock goes on as if they had not been. Nothing else of the program changes.

Runs in the user's own Python: standard library only, valid for Python 3.8.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any, Callable, Optional, Sequence
from urllib.parse import urlsplit

DOOR = os.environ.get("SAGEMAKER_HARNESS_URL", "")
HERE = os.path.dirname(os.path.abspath(__file__))
LONGEST_SLEEP = 0.5  # seconds
POSITION = 6  # of endpoint_url in create_client(self, service_name, region_name, api_version, use_ssl, verify, …)


def is_aws(url: str) -> bool:
    return (urlsplit(url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


def redirected(create_client: Callable[..., Any]) -> Callable[..., Any]:
    def to_the_door(*arguments: Any, **options: Any) -> Any:
        given = arguments[POSITION] if len(arguments) > POSITION else options.get("endpoint_url")
        if given is None or is_aws(given):
            if len(arguments) > POSITION:
                arguments = (*arguments[:POSITION], DOOR, *arguments[POSITION + 1 :])
            else:
                options["endpoint_url"] = DOOR
        return create_client(*arguments, **options)

    to_the_door.__doc__ = create_client.__doc__
    return to_the_door


def redirect(botocore_session: Any) -> None:
    botocore_session.Session.create_client = redirected(botocore_session.Session.create_client)


class ShortSleeps:
    """The module ``time``, in which nobody sleeps for long, and everybody believes to have."""

    def __init__(self, time: ModuleType) -> None:
        self._time = time
        self._skipped = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._time, name)

    def sleep(self, seconds: float) -> None:
        self._time.sleep(min(seconds, LONGEST_SLEEP))
        self._skipped += max(0.0, seconds - LONGEST_SLEEP)

    def time(self) -> float:
        return float(self._time.time()) + self._skipped


def shorten_sleeps(sagemaker_session: Any) -> None:
    sagemaker_session.time = ShortSleeps(sagemaker_session.time)


# The AWS CLI has a botocore of its own, which before 2.13 knows no AWS_ENDPOINT_URL; distributions have such versions.
CHANGES = {"botocore.session": redirect, "awscli.botocore.session": redirect, "sagemaker.session": shorten_sleeps}


class Loader(importlib.abc.Loader):
    """Loads as ``loader`` does, and then makes ``change``."""

    def __init__(self, loader: importlib.abc.Loader, change: Callable[[Any], None]) -> None:
        self._loader, self._change = loader, change

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Optional[ModuleType]:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._change(module)


class Finder(importlib.abc.MetaPathFinder):
    """Waits for the imports of what is to be changed, which most programs never do."""

    def find_spec(
        self, name: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        change = CHANGES.get(name)
        if change is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = Loader(spec.loader, change)
        return spec


def run_the_one_behind() -> None:
    """Another sitecustomize, of the distribution or the user, is run as if this one were not there."""
    others = [folder for folder in sys.path if os.path.abspath(folder) != HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if DOOR:
    sys.meta_path.insert(0, Finder())
run_the_one_behind()
