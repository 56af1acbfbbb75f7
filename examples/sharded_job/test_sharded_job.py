"""What the job must do, on real hosts."""

import json
from pathlib import Path

from harness.expectations import assert_completed, assert_wrote_model

JOB = Path(__file__).with_name("job.toml")
FILES = {path.name: len(path.read_text().split()) for path in JOB.with_name("data").iterdir()}


def test_every_file_is_counted_by_exactly_one_host(training):
    result = training(JOB).wait()

    assert_completed(result)
    assert_wrote_model(result, "algo-1", "algo-2")
    first, second = (json.loads(result.model.members[f"counts-algo-{number}.json"]) for number in (1, 2))
    assert not {*first} & {*second}, result
    assert first | second == FILES


def test_more_hosts_than_files_leave_some_without_any(training):
    result = training(JOB, hosts=6).wait()

    assert_completed(result)
    empty = [host.name for host in result.hosts if not host.log.contains("has part-")]
    assert len(empty) == 1, result
