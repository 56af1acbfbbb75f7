"""Writes docs/api.md, the operations of the AWS door and who answers them: ``python -m docs.api``, or ``make docs``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from docs.fidelity import link, table
from harness.moto_services import knows
from harness.service_model import RUNTIME, SAGEMAKER, operations

DOCS = Path(__file__).parent
PAGE = DOCS / "api.md"

INTRODUCTION = """\
# What the AWS door answers

Made by `make docs` out of `docs/api.toml`, botocore's models and moto: change those, not this page. `harness up` serves
all of it on one port of the loopback interface.

| service | answered by |
|---|---|
| SageMaker, SageMaker Runtime | the harness, operation by operation as below |
| S3, STS, IAM, CloudWatch Logs, ECR | [moto](https://github.com/getmoto/moto), in the same process; \
IAM's `SimulatePrincipalPolicy`, which SDK v3 asks, by the harness: everything is allowed |
| any other | moto, unasked for and untested |

Objects of S3 are streamed to disk and back, up to 5 GiB in one PUT or part as on the platform, and held to the sums
that come with them: Content-MD5, the signature's SHA-256, CRC32, SHA1 and SHA256. CRC32C and CRC64NVME are kept as the
client tells them, and multipart uploads have no FULL_OBJECT sum. SelectObjectContent and uploads of HTML forms are
refused.

Models, endpoints, training jobs that are over or wait, the logs of both, buckets and the newest version of each object
outlive the door, however it ends; jobs that train, roles, log groups and repositories of the user's own do not.

What the harness answers is held to botocore's model of the service first: a member that is missing, unknown or of the
wrong type is a `ValidationException`. What is not emulated says so, as `UnsupportedOperation`. moto's own tests of
these operations are run against the door, too: [which, and which do not apply](moto-tests.md).
"""


def answered() -> dict[str, list[dict[str, Any]]]:
    """By service, the operations of ours: ``operation``, ``note`` where there is one, and ``tests``."""
    found: dict[str, list[dict[str, Any]]] = tomllib.loads((DOCS / "api.toml").read_text(encoding="utf-8"))
    return found


def page() -> str:
    parts = [INTRODUCTION]
    for service, title in ((SAGEMAKER, "SageMaker"), (RUNTIME, "SageMaker Runtime")):
        ours = answered()[service]
        rest = [name for name in operations(service) if name not in {each["operation"] for each in ours}]
        of_moto = [name for name in rest if service == SAGEMAKER and knows(name)]
        parts += [f"## {title}\n", "Answered by the harness:\n"]
        rows = ((f"`{each['operation']}`", each.get("note", ""), _tests(each)) for each in ours)
        parts.append(table(("operation", "what to know", "tested"), rows))
        if of_moto:
            parts.append(
                "Answered by moto, which keeps records and runs nothing; each call is marked in the door's log:\n"
            )
            parts.append(_list(of_moto))
        parts += ["Answered by nobody:\n", _list([name for name in rest if name not in of_moto])]
    return "\n".join(parts)


def _tests(each: dict[str, Any]) -> str:
    return "<br>".join(link(test) for test in each["tests"])


def _list(names: list[str]) -> str:
    return " ".join(f"`{name}`" for name in names) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
