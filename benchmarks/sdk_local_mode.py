"""One training job in the SageMaker SDK's local mode. Runs in the SDK's own environment, a job as JSON on stdin:

    {"estimator": {arguments of sagemaker.pytorch.PyTorch}, "inputs": {channel: folder}, "folder": its scratch}

Prints what the job prints and, last, the seconds that fit() took. Nothing goes to AWS: the code is mounted, the
artifacts stay in the scratch folder, telemetry is off; every other request meets a closed port at once.
"""

from __future__ import annotations

import json
import logging
import sys
import time

from sagemaker.local import LocalSession
from sagemaker.pytorch import PyTorch

OPT_OUT = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}


def main() -> None:
    job = json.load(sys.stdin)
    logging.getLogger("sagemaker.config").setLevel(logging.WARNING)
    session = LocalSession(sagemaker_config=OPT_OUT)
    session.config = {"local": {"local_code": True, "container_root": job["folder"]}}
    estimator = PyTorch(
        **job["estimator"],
        role="arn:aws:iam::000000000000:role/benchmark",
        instance_type="local",
        output_path=f"file://{job['folder']}/output",
        sagemaker_session=session,
    )
    inputs = {channel: f"file://{folder}" for channel, folder in job["inputs"].items()}
    start = time.perf_counter()
    estimator.fit(inputs or None)
    print(f"fit took {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
