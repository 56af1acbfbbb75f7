"""Requests that are nearly right, and not: made of the service's own shapes, with something hostile in them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

HOSTILE: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, -1, 10**400, 0.5, -1e308]),
    st.text(max_size=40),
    st.sampled_from(
        [
            "",
            "../../../etc/passwd",
            "$(touch /tmp/x); `id`",
            "s3://",
            "s3://bucket/../../x",
            "a" * 3000,
            "\0",
            "\ud800",
            "{}",
            "[" * 2000,
            "-" * 63 + "!",
        ]
    ),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)


def values_of(shape: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """What ``shape`` might take: mostly of its type, rarely within all of its constraints."""
    kind = shape.type_name
    if kind == "structure":
        return structures_of(shape, depth)
    if kind == "list":
        return st.lists(_near(shape.member, depth + 1), max_size=2)
    if kind == "map":
        return st.dictionaries(
            st.sampled_from(["a", "sagemaker_program", "X" * 600, ""]), _near(shape.value, depth + 1)
        )
    if kind == "string":
        words = st.sampled_from(["x", "job-1", "s3://bucket/key", "local/image", "arn:aws:iam::000000000000:role/x"])
        return st.one_of(st.sampled_from(shape.metadata["enum"]), words) if shape.metadata.get("enum") else words
    if kind == "boolean":
        return st.booleans()
    return st.integers(0, 100)


def structures_of(shape: Any, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    """Members that are required, mostly; some of the others; now and then one that nobody knows."""
    required = {name: _near(shape.members[name], depth + 1) for name in shape.required_members}
    few = {
        name: _near(member, depth + 1) for name, member in shape.members.items() if name not in required and depth < 4
    }
    return st.fixed_dictionaries(required, optional={**few, "Unknown" if few else "unknown": HOSTILE})


def _near(shape: Any, depth: int) -> st.SearchStrategy[Any]:
    if depth > 4:
        return HOSTILE
    return st.deferred(lambda: st.one_of(values_of(shape, depth), values_of(shape, depth), HOSTILE))


def as_body(members: Any) -> bytes:
    """As JSON that any client could send, halves of surrogate pairs included."""
    return json.dumps(members).encode()


def spoilt(request: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """``request``, which is right, with one or two of its leaves and branches made wrong or left out."""
    places = st.lists(
        st.tuples(st.sampled_from(list(_places(request))), HOSTILE, st.booleans()), min_size=1, max_size=2
    )
    return places.map(lambda changes: _changed(request, changes))


def _places(value: Any) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (key,)
        yield from ((key, *rest) for rest in _places(item))


def _changed(request: dict[str, Any], changes: list[tuple[tuple[Any, ...], Any, bool]]) -> dict[str, Any]:
    made = copy.deepcopy(request)
    for path, value, leave_out in changes:
        holder: Any = made
        for key in path[:-1]:
            holder = holder[key] if isinstance(holder, dict | list) and _has(holder, key) else None
        if not isinstance(holder, dict | list) or not _has(holder, path[-1]):
            continue  # the other change has taken it
        if leave_out:
            del holder[path[-1]]
        else:
            holder[path[-1]] = value
    return made


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else isinstance(key, int) and key < len(holder)
