"""Reads one TOML table key by key and remembers everything that is wrong with it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class Table:
    """A table under inspection: each reader takes one key, and `close` complains about those nobody took.

    Problems of a table and of all its sub-tables gather in one list, as ``<dotted key>: <what is wrong>``.
    """

    def __init__(self, values: Mapping[str, Any], name: str, problems: list[str] | None = None) -> None:
        self.problems: list[str] = [] if problems is None else problems
        self._values = dict(values)
        self._name = name
        self._known: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def problem(self, key: str, what: str) -> None:
        self.problems.append(f"{self._dotted(key)}: {what}")

    def text(self, key: str, *, required: bool = False, default: str = "") -> str:
        value = self._take(key, required)
        if value is None:
            return default
        if not isinstance(value, str) or (required and not value):
            return self._wrong(key, value, "a text", default)
        return value

    def choice(self, key: str, choices: Sequence[str]) -> str | None:
        """One of ``choices``, None where the key is missing."""
        value = self._take(key, required=False)
        if value is None:
            return None
        found = next((choice for choice in choices if choice == value), None)
        return found or self._wrong(key, value, f"one of {', '.join(choices)}", None)

    def flag(self, key: str, *, required: bool = False) -> bool:
        """True or false; false where the key is missing."""
        value = self._take(key, required)
        if value is None:
            return False
        return value if isinstance(value, bool) else self._wrong(key, value, "true or false", False)

    def whole(self, key: str, *, at_least: int, at_most: int, required: bool = False, default: int = 0) -> int:
        value = self._take(key, required)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= at_most:
            return self._wrong(key, value, f"a whole number from {at_least} to {at_most}", default or at_least)
        return value

    def number(self, key: str, *, at_least: float, at_most: float, required: bool = False) -> float:
        """0.0 where it is not there."""
        value = self._take(key, required)
        if value is None:
            return 0.0
        if not isinstance(value, int | float) or isinstance(value, bool) or not at_least <= value <= at_most:
            return self._wrong(key, value, f"a number from {at_least} to {at_most}", at_least)
        return value

    def list_of_texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key, required=False)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            return self._wrong(key, value, "a list of texts", ())
        return tuple(value)

    def encodable(self, key: str) -> dict[str, Any]:
        """A table whose values JSON can carry, as the SDK encodes hyperparameters."""
        values = self.table(key)
        if values is None:
            return {}
        for name, value in values._values.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                values.problem(name, f"{value!s} ({type(value).__name__}) cannot be encoded as JSON")
        return values._values

    def texts(self, key: str) -> dict[str, str]:
        """A table of texts."""
        values = self.table(key)
        return {name: values.text(name) for name in values} if values else {}

    def table(self, key: str, *, required: bool = False) -> Table | None:
        value = self._take(key, required)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            return self._wrong(key, value, "a table", None)
        return Table(value, self._dotted(key), self.problems)

    def table_or_text(self, key: str, text_key: str) -> Table:
        """The table at ``key``; a text there stands for a table with that text at ``text_key``."""
        value = self._take(key, required=True)
        if isinstance(value, str):
            return Table({text_key: value}, self._dotted(key), self.problems)
        if not isinstance(value, Mapping):
            self._wrong(key, value, "a text or a table", None)
            return Table({}, self._dotted(key))
        return Table(value, self._dotted(key), self.problems)

    def tables(self, key: str) -> list[Table]:
        value = self._take(key, required=False)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            return self._wrong(key, value, "a list of tables", [])
        return [Table(item, f"{self._dotted(key)}[{number}]", self.problems) for number, item in enumerate(value)]

    def given(self, key: str) -> Any:
        """Whatever is at ``key``, None where it is missing."""
        return self._take(key, required=False)

    def refuse(self, keys: Iterable[str], why: str) -> None:
        for key in keys:
            if self._take(key, required=False) is not None:
                self.problem(key, why)

    def close(self, why: str = "unknown key") -> None:
        """Complain about every key that no reader took, naming the nearest known one."""
        for key in self._values:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, n=1)
                self.problem(key, why + (f"; did you mean {near[0]!r}?" if near else ""))

    def _take(self, key: str, required: bool) -> Any:
        self._known.add(key)
        if required and key not in self._values:
            self.problem(key, "is missing")
        return self._values.get(key)

    def _wrong(self, key: str, value: object, wanted: str, default: T) -> T:
        self.problem(key, f"{value!r} is not {wanted}")
        return default

    def _dotted(self, key: str) -> str:
        return ".".join(part for part in (self._name, key) if part)
