"""Options that take durations: 500ms, 5s, 2m."""

from __future__ import annotations

import click

from harness.duration import parse_duration


def seconds(_: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """Raises `BadInput` that names the option."""
    return None if value is None else parse_duration(value, option.opts[0])


def all_seconds(_: click.Context, option: click.Parameter, value: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(parse_duration(each, option.opts[0]) for each in value)
