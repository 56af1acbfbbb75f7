"""The calls to the SageMaker SDK that an order asks for."""

from __future__ import annotations

from typing import Any

import sagemaker
from sagemaker.estimator import _TrainingJob
from sagemaker.inputs import ShuffleConfig, TrainingInput
from sagemaker.instance_group import InstanceGroup
from sagemaker.pytorch import PyTorch

from harness.sdk.uploads import Inputs


def train(session: sagemaker.Session, order: dict[str, Any], *, upload: bool) -> dict[str, Any]:
    """Upload what is missing, then ``fit`` without waiting for the end."""
    estimator = _estimator(session, order)
    inputs = Inputs(session, order.get("uploads", {}))
    channels = {name: _input(arguments, inputs.uri(name)) for name, arguments in order["inputs"].items()}
    if upload:
        inputs.upload()
    estimator.fit(channels or None, wait=False, job_name=order.get("training_job_name"))
    return {"training_job_name": estimator.latest_training_job.name}


def host(session: sagemaker.Session, order: dict[str, Any], training_job_name: str) -> dict[str, Any]:
    """``create_model`` and ``deploy`` without waiting for the endpoint to be in service."""
    estimator = _estimator(session, order)
    estimator.latest_training_job = _TrainingJob(session, training_job_name)
    model = estimator.create_model(**order["create_model"])
    model.deploy(**order["deploy"], wait=False)
    return {"endpoint_name": model.endpoint_name, "model_name": model.name}


def _estimator(session: sagemaker.Session, order: dict[str, Any]) -> PyTorch:
    arguments = dict(order["estimator"])
    groups = {each["instance_group_name"]: InstanceGroup(**each) for each in arguments.pop("instance_groups", ())}
    if groups:
        arguments["instance_groups"] = list(groups.values())
    distribution = arguments.get("distribution")
    if distribution and "instance_groups" in distribution:
        named = [groups[name] for name in distribution["instance_groups"]]
        arguments["distribution"] = {**distribution, "instance_groups": named}
    role = arguments.pop("role", None) or sagemaker.get_execution_role(session)
    return PyTorch(**arguments, role=role, sagemaker_session=session)


def _input(arguments: dict[str, Any], uploaded: str | None) -> TrainingInput:
    options = dict(arguments)
    source = options.pop("s3_data")
    if "shuffle_config" in options:
        options["shuffle_config"] = ShuffleConfig(**options["shuffle_config"])
    return TrainingInput(uploaded or source, **options)
