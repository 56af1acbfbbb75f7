"""Programs of SageMaker SDK v2."""

from __future__ import annotations

from tests.clients.conftest import Machine


def test_a_model_is_hosted_asked_and_deleted(machine: Machine) -> None:
    ran = machine.program("sdk_v2_model.py")

    assert ran.exit_code == 0, ran
    assert "role arn:aws:iam::" in ran.stdout, ran
    assert "answer [3.0, 7.5]" in ran.stdout, ran
    assert "in service []" in ran.stdout, ran
