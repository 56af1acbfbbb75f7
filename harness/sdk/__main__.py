"""Hands an order to the SageMaker SDK: JSON on standard input, one marked line of JSON on standard output.

The order (harness/sdk_order.py) holds the arguments of ``PyTorch(...)``, ``fit``, ``create_model`` and ``deploy``.
``send`` false makes the same calls in a session that records them: what `harness plan` shows is made by the very
code that `harness promote` runs.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from contextlib import redirect_stdout
from typing import Any

MARK = "harness-answer: "
# No word to the SDK's makers about what is run (SDK v2, config_schema.py); the user's own defaults files are not read,
# so that the job is what its file says.
OPT_OUT = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}


def main() -> None:
    order = json.load(sys.stdin)
    os.environ["SAGEMAKER_SUPPRESS_V2_WARNING"] = "1"
    out = sys.stdout
    with redirect_stdout(sys.stderr):
        try:
            answer = _carry_out(order)
        except KeyboardInterrupt:
            answer = {"error": {"kind": "KeyboardInterrupt", "message": "interrupted"}}
        except Exception as error:
            traceback.print_exc()  # for the caller to show, where the error is none that it knows
            answer = {"error": _error(error)}
    out.write(MARK + json.dumps(answer, default=str) + "\n")


def _carry_out(order: dict[str, Any]) -> dict[str, Any]:
    logging.getLogger("sagemaker.config").setLevel(logging.WARNING)
    import sagemaker
    import sagemaker.utils

    from harness.sdk.calls import host, train
    from harness.sdk.recording import Recorder
    from harness.sdk.sending import sending_session

    recorder = Recorder()
    boto_session = (
        sending_session(order["region"], recorder.note) if order["send"] else recorder.session(order["region"])
    )
    # The SDK holds its defaults to their schema, and the schema to its own, at each of fifty look-ups: three quarters
    # of all its time. Ours are a constant, which Session() checks.
    sagemaker.utils.validate_sagemaker_config = lambda _: None
    session = sagemaker.Session(boto_session=boto_session, sagemaker_config=OPT_OUT)
    answer: dict[str, Any] = {"region": session.boto_region_name}
    if "fit" in order["actions"]:
        answer |= train(session, order, upload=order["send"])
    if "deploy" in order["actions"]:
        answer |= host(session, order, answer.get("training_job_name") or order["training_job_name"])
    return answer | {"requests": recorder.requests}


def _error(error: Exception) -> dict[str, str]:
    """``operation`` and ``code`` are there where AWS answered."""
    found = {"kind": type(error).__name__, "message": str(error)}
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        detail = response.get("Error", {})
        found |= {"code": detail.get("Code", ""), "message": detail.get("Message", str(error))}
    if hasattr(error, "operation_name"):
        found["operation"] = error.operation_name
    return found


if __name__ == "__main__":
    main()
