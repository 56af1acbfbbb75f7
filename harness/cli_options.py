"""Options that several commands have."""

from __future__ import annotations

import json
import shlex
from typing import Any

from harness.errors import BadInput


def parse_hyperparameters(given: tuple[str, ...]) -> dict[str, Any]:
    """``("epochs=1 lr=0.02", "name=x")`` as a mapping; values are JSON where they can be, else texts."""
    values: dict[str, Any] = {}
    for text in given:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise BadInput(f"--hp {text!r}: {error}") from error
        for word in words:
            key, equals, value = word.partition("=")
            if not equals or not key:
                raise BadInput(f"--hp {word!r}: not of the form key=value")
            try:
                values[key] = json.loads(value)
            except ValueError:
                values[key] = value
    return values
