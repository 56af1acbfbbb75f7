"""Whether Python sources fit the Python and the packages of AWS's PyTorch image. Pure.

The image's Python: AWS's deep-learning-containers repository, pytorch/training/docker. When the standard library got
what: its own documentation ('New in version'). Syntax is checked by ``ast.parse`` with the older feature version.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

Version = tuple[int, int]
_OLDEST_CHECKED = (3, 7)  # ast.parse knows no older one
_NEW_MODULES: Mapping[str, Version] = {"zoneinfo": (3, 9), "graphlib": (3, 9), "tomllib": (3, 11)}
_NEW_NAMES: Mapping[str, Version] = {
    "functools.cached_property": (3, 8),
    "typing.Literal": (3, 8),
    "typing.Protocol": (3, 8),
    "typing.TypedDict": (3, 8),
    "functools.cache": (3, 9),
    "typing.Annotated": (3, 9),
    "itertools.pairwise": (3, 10),
    "typing.TypeAlias": (3, 10),
    "typing.ParamSpec": (3, 10),
    "datetime.UTC": (3, 11),
    "enum.StrEnum": (3, 11),
    "typing.Self": (3, 11),
    "itertools.batched": (3, 12),
    "typing.override": (3, 12),
}
_GONE_MODULES: Mapping[str, Version] = {"distutils": (3, 12), "imp": (3, 12), "asyncore": (3, 12), "asynchat": (3, 12)}
_GENERIC = {"list", "dict", "tuple", "set", "frozenset", "type"}  # subscripted from 3.9 on (PEP 585)
# Importable in AWS's PyTorch training images, as their Dockerfiles install it; more may be there.
_IN_THE_IMAGE = {
    "torch", "torchvision", "torchaudio", "numpy", "scipy", "pandas", "sklearn", "PIL", "cv2", "yaml", "requests",
    "boto3", "botocore", "s3transfer", "awscli", "sagemaker", "sagemaker_training", "sagemaker_pytorch_container",
    "horovod", "mpi4py", "smdebug", "psutil", "click", "packaging", "setuptools", "pkg_resources", "pip", "six",
}  # fmt: skip
_PACKAGE_OF = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python", "yaml": "pyyaml"}


@dataclass(frozen=True)
class Misfit:
    """``certain`` where the script cannot get past it."""

    text: str
    certain: bool


def image_python(py_version: str | None) -> Version | None:
    """``"py38"`` as (3, 8); None where it says nothing of that kind."""
    found = re.fullmatch(r"py(\d)(\d+)", py_version or "")
    return (int(found[1]), int(found[2])) if found else None


def misfits(sources: Mapping[str, str], python: Version | None, requirements: Collection[str]) -> tuple[Misfit, ...]:
    """What of ``sources`` (text by name) the image would not take.

    ``requirements`` are the lines of requirements.txt; ``python`` None leaves the version out of it.
    """
    own = {name.partition("/")[0].removesuffix(".py") for name in sources}
    known = own | _IN_THE_IMAGE | set(sys.stdlib_module_names) | set(_GONE_MODULES)
    asked = {_package(line) for line in requirements}
    found: list[Misfit] = []
    for name, text in sources.items():
        tree = _parsed(text)
        if tree is not None and python is not None:
            found += _version_misfits(name, text, tree, python)
        elif tree is None and python is not None and python <= sys.version_info[:2]:
            found.append(Misfit(f"{name}: no Python {_dotted(python)}: it has a syntax error", True))
        if tree is not None:
            found += _missing_packages(name, tree, known, asked)
    return tuple(found)


def _version_misfits(name: str, text: str, tree: ast.Module, python: Version) -> Iterator[Misfit]:
    image = f"AWS's image has Python {_dotted(python)}"
    try:
        _parse(text, max(python, _OLDEST_CHECKED))
    except SyntaxError as error:
        yield Misfit(f"{name}, near line {error.lineno}: {image}: {error.msg}; write it otherwise", True)
        return
    at_import = {id(node) for node in tree.body}
    for node, module, wanted in _imported(tree):
        since = _NEW_NAMES.get(f"{module}.{wanted}") or _NEW_MODULES.get(module.partition(".")[0])
        gone = _GONE_MODULES.get(module.partition(".")[0])
        what = f"{module}.{wanted}" if wanted and f"{module}.{wanted}" in _NEW_NAMES else module
        if since and python < since:
            text_of = f"{name}:{node.lineno}: {what} is there from Python {_dotted(since)} on, and {image}"
            yield Misfit(f"{text_of}; do without it or take a newer framework_version", id(node) in at_import)
        if gone and python >= gone:
            yield Misfit(f"{name}:{node.lineno}: {what} is gone since Python {_dotted(gone)}, and {image}", True)
    yield from _annotations(name, tree, python, image)


def _annotations(name: str, tree: ast.Module, python: Version, image: str) -> Iterator[Misfit]:
    """Annotations of functions are evaluated where the function is defined, unless they are postponed (PEP 563)."""
    if python >= (3, 10) or any(wanted == "annotations" for _, module, wanted in _imported(tree) if "__fut" in module):
        return
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        arguments = function.args
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for annotation in [*(each.annotation for each in given), function.returns]:
            if annotation is not None and _is_new(annotation, python):
                yield Misfit(
                    f"{name}:{annotation.lineno}: {image}, which cannot evaluate {ast.unparse(annotation)!r}; "
                    "begin the file with: from __future__ import annotations",
                    True,
                )
                return


def _is_new(annotation: ast.expr, python: Version) -> bool:
    for node in ast.walk(annotation):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return True
        if (
            python < (3, 9)
            and isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and node.value.id in _GENERIC
        ):
            return True
    return False


def _missing_packages(name: str, tree: ast.Module, known: Collection[str], asked: Collection[str]) -> Iterator[Misfit]:
    seen: set[str] = set()
    for node, module, _ in _imported(tree):
        top = module.partition(".")[0]
        package = _package(_PACKAGE_OF.get(top, top))
        if top not in known and package not in asked and top not in seen:
            seen.add(top)
            yield Misfit(
                f"{name}:{node.lineno}: {top} is not known to be in AWS's image; name it in requirements.txt beside "
                "the script",
                False,
            )


def _imported(tree: ast.Module) -> Iterator[tuple[ast.stmt, str, str]]:
    """(statement, module, name) of each import; name is '' for ``import module``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield from ((node, node.module, alias.name) for alias in node.names)


def _parsed(text: str) -> ast.Module | None:
    try:
        return _parse(text, None)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _parse(text: str, version: Version | None) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the script's own: it will be heard when it runs
        return ast.parse(text, feature_version=version)


def _package(requirement: str) -> str:
    """The package of a line of requirements.txt, as the index normalises names (PEP 503)."""
    name = re.match(r"[A-Za-z0-9._-]*", requirement.strip())
    return re.sub(r"[-_.]+", "-", name[0] if name else "").lower()


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
