"""What a script finds that differs from what AWS's toolkits give it, as data: for the documents, and for the test.

The test that compares the two (tests/docker/test_toolkit_parity.py) takes no difference that is not named here, and
no name here that no longer occurs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """``topic`` is what the comparison names it by; the rest is for people."""

    topic: str
    cloud: str
    here: str
    why: str


# With sagemaker-training 5.1.4 and sagemaker-pytorch-training 3.0.0, for a script that runs alone on its host.
OF_THE_TOOLKITS = (
    Difference(
        topic="variable PYTHONPATH",
        cloud="`/opt/ml/code`, then all of `sys.path` of AWS's `train`",
        here="`/opt/ml/code`, then a `PYTHONPATH` of the image's or the user's own",
        why="Python adds the rest by itself",
    ),
    Difference(
        topic="sys.path",
        cloud="the folder of AWS's `train` is on it",
        here="it is not",
        why="it follows from PYTHONPATH",
    ),
)
