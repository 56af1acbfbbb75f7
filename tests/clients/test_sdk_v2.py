"""Programs of SageMaker SDK v2."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from tests.clients import sealed
from tests.clients.conftest import PROGRAMS, Machine


def test_a_model_is_hosted_asked_and_deleted(machine: Machine) -> None:
    ran = machine.program("sdk_v2_model.py")

    assert ran.exit_code == 0, ran
    assert "role arn:aws:iam::" in ran.stdout, ran
    assert "answer [3.0, 7.5]" in ran.stdout, ran
    assert "in service []" in ran.stdout, ran


def test_a_program_trains_and_hosts_with_all_network_refused_but_the_door(machine: Machine) -> None:
    door = machine.state.door()
    assert door
    port, socket = urlsplit(door.url).port, machine.folder / "socket"
    assert port
    alone = ("unshare", "--net", "--map-root-user", sys.executable, sealed.__file__, str(socket), str(port))

    with sealed.way_out(socket, port):
        ran = machine.program("watched.py", str(PROGRAMS / "sdk_v2_training.py"), before=alone)

    assert ran.exit_code == 0, ran
    for host in ("algo-1", "algo-2"):
        assert f"this is {host} of algo-1 algo-2, which sees ['numbers.txt']" in ran.stdout, ran
    assert "Training - Training image download completed. Training in progress." in ran.stdout, ran
    assert "status Completed 0.2" in ran.stdout, ran
    assert "answer [5.0, 12.5]" in ran.stdout, ran
    assert f"went for ['127.0.0.1:{port}']" in ran.stdout, ran


def test_the_plain_estimator_tells_why_a_job_failed_and_trains_another(machine: Machine) -> None:
    ran = machine.program("sdk_v2_estimator.py")

    assert ran.exit_code == 0, ran
    assert "Failed. Reason: AlgorithmError: ExecuteUserScriptError:" in ran.stdout, ran
    assert "ZeroDivisionError: division by zero" in ran.stdout, ran
    assert "model s3://sagemaker-us-west-2-000000000000/pytorch-training-" in ran.stdout, ran
