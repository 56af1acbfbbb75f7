"""botocore's own models of SageMaker's services: which operations there are, and the shapes of what they take."""

from __future__ import annotations

import functools
from typing import Any

SAGEMAKER, RUNTIME = "sagemaker", "sagemaker-runtime"


@functools.cache
def service_model(service: str) -> Any:
    """``botocore.model.ServiceModel`` of ``service``, read once (0.1 s)."""
    import botocore.session

    return botocore.session.Session().get_service_model(service)


def operations(service: str = SAGEMAKER) -> tuple[str, ...]:
    return tuple(service_model(service).operation_names)


def input_shape(operation: str, service: str = SAGEMAKER) -> Any:
    """The shape of what ``operation`` takes, None where it takes nothing. Raises `KeyError` for no operation."""
    if operation not in service_model(service).operation_names:
        raise KeyError(operation)
    return service_model(service).operation_model(operation).input_shape
