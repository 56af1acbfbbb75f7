"""What can go wrong for a user, as one tree.

    HarnessError              exit code 1
    ├── BadInput              exit code 2   the request cannot be carried out as it stands
    │   └── EngineUnavailable               no docker engine, or no compose, to carry it out with
    ├── CommandFailed                       an external command ended badly; carries its output
    ├── DataDownloadFailed                  a channel, or checkpoints, could not be brought to the hosts
    ├── ArtifactUploadFailed                what hosts left could not be put where the job says
    ├── CannotStartContainer                the image of the hosts cannot be run as a training container
    ├── DeadlineExpired                     an activity ran out of time; names the activity
    ├── EngineLost                          the docker engine went away while a job ran
    └── EndpointFailed                      a model could not be hosted; carries the container's words

These are the user's errors: the command line prints them without a traceback.
A built-in exception that reaches the user is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence


class HarnessError(Exception):
    """Base of every error that is reported to the user in plain words."""

    exit_code = 1


class BadInput(HarnessError):
    """One or more problems with what the user asked for; nothing was started.

    ``problems`` holds one line each: what is wrong, where, and what to do.
    """

    exit_code = 2

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class EngineUnavailable(BadInput):
    """No docker engine answers, or no compose is installed."""


class CommandFailed(HarnessError):
    """An external command exited non-zero, could not be started, or ran out of time."""

    def __init__(self, argv: Sequence[str], why: str, output: str = "") -> None:
        self.argv = tuple(argv)
        self.output = output
        tail = "\n".join(output.strip().splitlines()[-15:])
        super().__init__(f"{why}: {shlex.join(argv)}" + (f"\n{tail}" if tail else ""))


class DataDownloadFailed(HarnessError):
    """Input data, or a checkpoint to start from, could not be read; the message says which and why."""


class ArtifactUploadFailed(HarnessError):
    """What the hosts left could not be brought to the output path; the message says what and why."""


class CannotStartContainer(HarnessError):
    """The engine could not start the command of a host; the message is the engine's own."""


class EngineLost(HarnessError):
    """The docker engine went away: what happened on hosts meanwhile is not known."""


class DeadlineExpired(HarnessError):
    """An activity did not finish in the time it was given."""


class EndpointFailed(HarnessError):
    """The model could not be hosted; the message ends with the container's last words."""
