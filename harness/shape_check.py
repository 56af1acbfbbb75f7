"""Requests held to the service's own model: every member known, of its type, within its constraints. Pure.

A shape is botocore's (``botocore.model.Shape``), read elsewhere. The words are those of AWS's front ends:
'1 validation error detected: Value … at … failed to satisfy constraint: …'. Members that the model does not have are
refused as well, where AWS drops them: a name that is spelt wrong shall be found here.
"""

from __future__ import annotations

import base64
import functools
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from harness.wire import validation

_MOST = 10  # problems in one message
_SHOWN = 100  # characters of a value in a message
_WHOLE = {"integer": 2**31, "long": 2**63}
_RANGES = {"ASCII": r"\x00-\x7f", "Print": r"\x20-\x7e"}


def checked(values: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    """``values`` as Python has them: timestamps as aware datetimes, blobs as bytes, nulls left out.

    Raises `ServiceError` (ValidationException) that lists what is wrong with them.
    """
    problems: list[str] = []
    made = _structure(values, shape, "", problems)
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
        raise validation(f"{count}: {'; '.join(problems[:_MOST])}")
    return made


def _structure(values: Any, shape: Any, path: str, problems: list[str]) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        problems.append(_broken(values, path, "Member must be a structure"))
        return {}
    given = {name: value for name, value in values.items() if value is not None}
    missing = [name for name in shape.required_members if name not in given]
    problems += [_broken(None, _below(path, name), "Member must not be null") for name in missing]
    made = {}
    for name, value in given.items():
        member = shape.members.get(name)
        if member is None:
            known = ", ".join(shape.members)
            problems.append(_broken(value, _below(path, name), f"Member is not known; known are: {known}"[:400]))
        else:
            made[name] = _value(value, member, _below(path, name), problems)
    return made


def _value(value: Any, shape: Any, path: str, problems: list[str]) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _structure(value, shape, path, problems)
    if kind == "list":
        return _list(value, shape, path, problems)
    if kind == "map":
        return _map(value, shape, path, problems)
    try:
        made = _scalar(value, kind)
    except (ValueError, OverflowError, OSError):  # of times out of range
        problems.append(_broken(value, path, f"Member must be a {kind}"))
        return None
    problems += [_broken(value, path, rule) for rule in _broken_rules(made, shape)]
    return made


def _list(value: Any, shape: Any, path: str, problems: list[str]) -> list[Any]:
    if not isinstance(value, list):
        problems.append(_broken(value, path, "Member must be a list"))
        return []
    problems += [_broken(value, path, rule) for rule in _size_rules(len(value), shape)]
    return [_value(item, shape.member, f"{path}.{at}.member", problems) for at, item in enumerate(value, 1)]


def _map(value: Any, shape: Any, path: str, problems: list[str]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        problems.append(_broken(value, path, "Member must be a map"))
        return {}
    problems += [_broken(value, path, rule) for rule in _size_rules(len(value), shape)]
    return {
        _value(key, shape.key, f"{path}.key", problems) or "": _value(item, shape.value, f"{path}.{key}", problems)
        for key, item in value.items()
    }


def _scalar(value: Any, kind: str) -> Any:
    """``value`` as ``kind`` has it. Raises `ValueError` where it is none."""
    if kind == "string" and isinstance(value, str):
        value.encode("utf-8")  # half a surrogate pair is no text that could be kept
        return value
    if kind == "boolean" and isinstance(value, bool):
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in _WHOLE and number and value == int(value) and -_WHOLE[kind] <= value < _WHOLE[kind]:
        return int(value)
    if kind in ("float", "double") and number and math.isfinite(value):
        return float(value)
    if kind == "timestamp" and number:
        return datetime.fromtimestamp(value, UTC)
    if kind == "blob" and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    raise ValueError(kind)


def _broken_rules(value: Any, shape: Any) -> Iterator[str]:
    if isinstance(value, str):
        too = list(_size_rules(len(value), shape))
        yield from too
        choices = shape.metadata.get("enum")
        if choices and value not in choices:
            yield f"Member must satisfy enum value set: [{', '.join(choices)}]"[:400]
        pattern = shape.metadata.get("pattern")
        if pattern and not too and not _matches(pattern, value):
            yield f"Member must satisfy regular expression pattern: {pattern}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if "min" in shape.metadata and value < shape.metadata["min"]:
            yield f"Member must have value greater than or equal to {shape.metadata['min']}"
        if "max" in shape.metadata and value > shape.metadata["max"]:
            yield f"Member must have value less than or equal to {shape.metadata['max']}"


def _size_rules(size: int, shape: Any) -> Iterator[str]:
    if size < shape.metadata.get("min", 0):
        yield f"Member must have length greater than or equal to {shape.metadata['min']}"
    if size > shape.metadata.get("max", size):
        yield f"Member must have length less than or equal to {shape.metadata['max']}"


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """``pattern`` of the model, which is Java's; None where Python has no equal."""
    pattern = re.sub(r"(\[?)\\p\{(ASCII|Print)\}", _range, pattern).replace(r"\z", r"\Z")
    try:
        return re.compile(pattern)
    except re.error:
        return None


def _range(found: re.Match[str]) -> str:
    """Java's name of a class of characters as Python's range of them, in brackets unless it is in some already."""
    characters = _RANGES[found[2]]
    return found[1] + characters if found[1] else f"[{characters}]"


def _broken(value: Any, path: str, rule: str) -> str:
    return f"Value '{_shown(value)}' at '{path or 'the request'}' failed to satisfy constraint: {rule}"


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text.encode("ascii", "backslashreplace").decode()[:_SHOWN]


def _below(path: str, name: str) -> str:
    """AWS writes members with a small first letter there."""
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name
