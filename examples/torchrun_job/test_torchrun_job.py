"""What the job must do, on real hosts."""

from pathlib import Path

from harness.expectations import (
    assert_completed,
    assert_failed,
    assert_metric,
    assert_model_has,
    assert_same_model,
    assert_world,
    assert_wrote_model,
)

JOB = Path(__file__).with_name("job.toml")


def test_two_hosts_fit_one_line_and_do_so_again(training):
    first = training(JOB).wait()
    second = training(JOB).wait()

    assert_completed(first)
    assert_world(first, 2, {0: "algo-1", 1: "algo-2"})
    assert_metric(first, "loss", at_most=0.1)
    assert_model_has(first, "line.pth")
    assert_wrote_model(first, "algo-1")
    digests = {host.log.search(r"parameters of rank \d: (\w+)")[1] for host in first.hosts}
    assert len(digests) == 1, first
    assert_same_model(first, second)


def test_a_lost_host_fails_the_job_by_name(training):
    job = training(JOB, hyperparameters={"steps": 100_000})
    job.after_log("step 10:").kill("algo-2")

    assert_failed(job.wait(), because="algo-2")
