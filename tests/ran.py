"""What a command did, for the tiers that run commands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ran:
    """What a command did; its repr is all there is to know when an assertion fails."""

    argv: list[str]
    exit_code: int
    stdout: str
    stderr: str

    def __repr__(self) -> str:
        return (
            f"{' '.join(self.argv)}\nexit code {self.exit_code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
        )

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)
