"""The filters, the order and the pages of List operations. Pure.

Members are the same in all of them (botocore's service model): NameContains, CreationTimeAfter, …, SortBy, SortOrder,
MaxResults, NextToken.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from harness.wire import validation

PAGE = 100  # MaxResults' greatest value
DEFAULT_PAGE = 10  # what the platform gives where MaxResults is not said


def listed(
    summaries: Iterable[Mapping[str, Any]], request: Mapping[str, Any], *, name: str, status: str = "", member: str
) -> dict[str, Any]:
    """The page of ``summaries`` that ``request`` asks for, as ``{member: […], NextToken}``.

    ``name`` and ``status`` are the members of a summary that hold its name and status. Raises `ServiceError`.
    """
    found = [each for each in summaries if _wanted(each, request, name, status)]
    found.sort(key=_order(request.get("SortBy", "CreationTime"), name, status))
    if request.get("SortOrder", "Descending") == "Descending":
        found.reverse()
    start = _start(request.get("NextToken"), found, name)
    end = start + request.get("MaxResults", DEFAULT_PAGE)
    more = {"NextToken": _token(found[end - 1][name])} if end < len(found) else {}
    return {member: found[start:end], **more}


def _wanted(summary: Mapping[str, Any], request: Mapping[str, Any], name: str, status: str) -> bool:
    if request.get("NameContains", "").lower() not in summary[name].lower():
        return False
    if "StatusEquals" in request and summary[status] != request["StatusEquals"]:
        return False
    for time in ("CreationTime", "LastModifiedTime"):
        at: datetime | None = summary.get(time)
        before, after = request.get(f"{time}Before"), request.get(f"{time}After")
        if at and ((before and at >= before) or (after and at <= after)):
            return False
    return True


def _order(sort_by: str, name: str, status: str) -> Callable[[Mapping[str, Any]], Any]:
    key = {"Name": name, "Status": status}.get(sort_by, sort_by)
    return lambda summary: (summary.get(key) or summary["CreationTime"], summary[name])


def _start(token: str | None, found: list[Mapping[str, Any]], name: str) -> int:
    """Where the page begins: after the last one of the page before, which the token names."""
    if token is None:
        return 0
    try:
        last = base64.b64decode(token, validate=True).decode()
    except ValueError:
        raise validation("Invalid NextToken: it is none that a List operation has given.") from None
    at = next((number for number, each in enumerate(found) if each[name] == last), None)
    if at is None:
        raise validation("Invalid NextToken: what it points at is no longer there.")
    return at + 1


def _token(name: str) -> str:
    return base64.b64encode(name.encode()).decode()
