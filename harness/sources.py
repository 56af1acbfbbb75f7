"""The Python sources of a job, for those who look into them before they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.job import TrainingJob

_MOST_BYTES = 10**6  # of one file; nobody writes more by hand


def python_sources(job: TrainingJob) -> dict[str, str]:
    """Text by name, relative to the folder it is in; hidden folders and what cannot be read are passed over."""
    found: dict[str, str] = {}
    for folder in (*([job.source_dir] if job.source_dir else []), *job.dependencies):
        for path in _python_files(folder):
            name = str(path.relative_to(folder if folder.is_dir() else folder.parent))
            found.setdefault(name, path.read_text(encoding="utf-8", errors="replace"))
    return found


def _python_files(place: Path) -> Iterator[Path]:
    if place.is_file():
        candidates = [place]
    else:
        candidates = sorted(
            path for path in place.rglob("*.py") if not any(p.startswith(".") for p in path.relative_to(place).parts)
        )
    yield from (
        path for path in candidates if path.suffix == ".py" and path.is_file() and path.stat().st_size <= _MOST_BYTES
    )
