"""Where the SageMaker SDK's local mode departs from the platform, on hosts that are processes: docs/departures.toml."""

from __future__ import annotations

from pathlib import Path

from tests.functional.test_training import Job


def test_exit_code_130_is_a_failure_like_any_other(tmp_path: Path) -> None:
    job = Job(tmp_path, {"algo-1": "raise SystemExit(130)"})

    assert job.run().ending == "Failed"

    assert job.describe()["TrainingJobStatus"] == "Failed"
