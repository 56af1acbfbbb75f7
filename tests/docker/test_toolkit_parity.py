"""The toolkit's half of the contract, held to AWS's released toolkits: the same jobs, their answers and ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from harness import contract, labels
from harness.contract import FrameworkError, HostConfig, Observed
from harness.hyperparameters import command_line_arguments, read_hyperparameters
from harness.image_build import ensure_image
from harness.steps import Steps
from harness.tar import text_files
from tests.generated_jobs import GeneratedJob, many_jobs

JOBS = 600
DRIVER = Path(__file__).with_name("toolkit_driver.py")


@pytest.fixture(scope="module")
def host() -> Iterator[Container]:
    client = docker.from_env()
    running = client.containers.run(
        ensure_image(client, Steps()),
        ["sleep", "600"],
        detach=True,
        init=True,
        labels={labels.KIND: "parity-test"},
        network_mode="none",
    )
    yield running
    running.remove(force=True, v=True)
    client.close()


@pytest.fixture(scope="module")
def jobs() -> list[GeneratedJob]:
    return many_jobs(JOBS)


@pytest.fixture(scope="module")
def toolkits(host: Container, jobs: list[GeneratedJob]) -> dict[str, Any]:
    """What the driver answers for all ``jobs``."""
    documents = json.dumps([job.document() for job in jobs])
    host.put_archive("/", text_files({"/tmp/driver.py": DRIVER.read_text(), "/tmp/jobs.json": documents}))
    code, (out, err) = host.exec_run(["sh", "-c", "python3 /tmp/driver.py < /tmp/jobs.json"], demux=True)
    assert code == 0, (err or b"").decode()[-2000:]
    answer: dict[str, Any] = json.loads(out)
    return answer


def our_answer(job: GeneratedJob, facts: dict[str, Any]) -> dict[str, Any]:
    """What ours give for ``job`` on the machine that ``facts`` are of; keys as in toolkit_driver.py."""
    config = HostConfig(job.resource_config, job.input_data_config, job.hyperparameters)
    observed = Observed(num_cpus=facts["num_cpus"], torch_version=facts["torch_version"], environment=job.environment)
    try:
        inherited = contract.inherited_variables(config, observed)
        return {
            "sm_environment": contract.sm_environment(config, observed),
            "command_line_arguments": command_line_arguments(read_hyperparameters(config.hyperparameters)),
            "leader": contract.leader(config),
            "distribution_groups": contract.distribution_groups(config),
            "distribution_hosts": contract.distribution_hosts(config),
            "inherited": {name: text for name, text in inherited.items() if job.environment.get(name) != text},
        }
    except FrameworkError as error:
        return {"raised": str(error)}


def departures(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """One line for each thing that the two answers disagree on; what they `raised` is worded by each as it likes."""
    if "raised" in theirs or "raised" in ours:
        both = "raised" in theirs and "raised" in ours
        return [] if both else [f"toolkit raises {theirs.get('raised')!r}, ours {ours.get('raised')!r}"]
    lines = []
    for key in sorted(theirs.keys() | ours.keys()):
        left, right = theirs.get(key), ours.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            names = sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
            lines += [f"{key}[{name!r}]: toolkit {left.get(name)!r}, ours {right.get(name)!r}" for name in names]
        elif left != right:
            lines.append(f"{key}: toolkit {left!r}, ours {right!r}")
    return lines


def test_every_generated_job_gets_what_the_toolkits_give_it(jobs: list[GeneratedJob], toolkits: dict[str, Any]) -> None:
    pairs = zip(jobs, toolkits["results"], strict=True)
    different = [(job, lines) for job, theirs in pairs if (lines := departures(theirs, our_answer(job, toolkits)))]
    different.sort(key=lambda found: found[0].size())

    assert different == [], "\n".join(
        [f"{len(different)} of {JOBS} jobs differ; the smallest:", *different[0][1], repr(different[0][0])]
    )


def test_the_generated_jobs_are_of_every_kind(jobs: list[GeneratedJob], toolkits: dict[str, Any]) -> None:
    """A generator that went lame would let the comparison pass over nothing."""
    results = toolkits["results"]
    answered = [result for result in results if "raised" not in result]

    assert len(jobs) == JOBS
    assert {len(job.resource_config["hosts"]) for job in jobs} == set(range(1, 13))
    assert {0, 1, 20} <= {len(job.input_data_config) for job in jobs}
    assert {len(job.resource_config.get("instance_groups", [])) for job in jobs} == {0, 1, 2, 3}
    assert len(answered) > JOBS / 2
    assert len(results) - len(answered) > JOBS / 50
    assert len([result for result in answered if result["leader"] != "algo-1"]) > JOBS / 20
    assert len([result for result in answered if result["distribution_groups"]]) > JOBS / 10
