"""receipt.json: what of a request was emulated, approximated or refused, and what else a run does not prove. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.hyperparameters import read_hyperparameters
from harness.not_played import NOT_PLAYED
from harness.request_fields import APPROXIMATED, EMULATED, FIELDS, REFUSED, fields_of
from harness.unverified import choices_for

_MOST_LINES = 5

Receipt = dict[str, Any]


def receipt(
    request: Mapping[str, Any],
    launcher: str,
    hosts: int,
    *,
    advice: Sequence[str] = (),
    ignored: Sequence[str] = (),
    channels: Mapping[str, Any] | None = None,
    limits: Sequence[str] = (),
    model_files: Mapping[str, Sequence[str]] | None = None,
    lenient: bool = True,
) -> Receipt:
    """The receipt of a run of ``hosts`` hosts.

    ``ignored`` are arguments that --lenient let pass (`harness.not_played`); without ``lenient`` those that the SDK
    asks for by itself. ``channels`` says of each channel which
    host got what, ``limits`` what of the instance types the hosts were held to, ``model_files`` what each host left of
    the model.
    """
    return {
        "TrainingJobName": request["TrainingJobName"],
        "Fields": [
            *(_field(name) for name in fields_of(request) if FIELDS[name].status != REFUSED),
            *(_ignored_field(argument, "--lenient" if lenient else "the SDK's default") for argument in ignored),
        ],
        "Launcher": _launcher(request, launcher),
        "Channels": dict(channels or {}),
        "Limits": list(limits),
        "ModelFiles": {host: list(names) for host, names in sorted((model_files or {}).items())},
        "NotVerified": [
            {"About": choice.key, "LeftOpen": choice.left_open, "Chosen": choice.chosen}
            for choice in choices_for(request, hosts)
        ],
        "Advice": list(advice),
    }


def closing_lines(made: Receipt, path: Path, advice: Sequence[str]) -> list[str]:
    """What the end of a run shows of its receipt: counts, what was ignored, and the ``advice`` not shown before."""
    statuses = [field["Status"] for field in made["Fields"]]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in (EMULATED, APPROXIMATED))
    ignored = [field["Argument"] for field in made["Fields"] if field["Status"] == REFUSED]
    lines = [f"  receipt: {counts} ({path})"]
    if ignored:
        because = next(field["Note"].rpartition(" because of ")[2] for field in made["Fields"] if "Argument" in field)
        lines.append(f"  ignored: {', '.join(ignored)} ({because})")
    shown = advice if len(advice) <= _MOST_LINES - len(lines) else advice[: _MOST_LINES - len(lines)]
    lines += [f"  advice: {text}" for text in shown]
    if len(shown) < len(advice):
        lines.append(f"  advice: {len(advice) - len(shown)} more in the receipt")
    return lines


def _field(name: str) -> dict[str, str]:
    entry = FIELDS[name]
    return {"Field": name, "Status": entry.status, **({"Note": entry.note} if entry.note else {})}


def _ignored_field(argument: str, because: str) -> dict[str, str]:
    found = NOT_PLAYED[argument]
    return {
        **({"Field": found.field} if found.field else {}),
        "Argument": argument,
        "Status": REFUSED,
        "Note": f"{found.why}; ignored because of {because}",
    }


def _launcher(request: Mapping[str, Any], launcher: str) -> str:
    """How the script was started; ``launcher`` matters to jobs with mpi only."""
    algorithm = request["AlgorithmSpecification"]
    if "ContainerEntrypoint" in algorithm or "ContainerArguments" in algorithm:
        return "emulated: the job's own ContainerEntrypoint and ContainerArguments"
    if launcher == "toolkit":
        return "emulated: AWS's own toolkit"
    said = read_hyperparameters(request.get("HyperParameters", {}))
    chosen = next((_DISTRIBUTIONS[name] for name in _DISTRIBUTIONS if said.get(name)), None)
    return (chosen or "emulated: every host runs the script alone").format(launcher=launcher)


_DISTRIBUTIONS = {
    "sagemaker_mpi_enabled": (
        "approximated: horovodrun --{launcher}, where AWS's toolkit runs mpirun and waits 30 s at the end"
    ),
    "sagemaker_torch_distributed_enabled": "emulated: torchrun on every host",
}
