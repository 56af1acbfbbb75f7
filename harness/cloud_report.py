"""What a person sees of a plan for AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from harness.cloud_difference import DIFFERENT, MAPPED, SAME
from harness.cloud_planning import CloudPlan

_MARKS = {SAME: "=", MAPPED: "→", DIFFERENT: "≠"}


def plan_lines(plan: CloudPlan) -> Iterator[str]:
    """Requests, difference, estimate, obstacles."""
    yield f"Requests that the SageMaker SDK would send to {plan.region} (none has been sent):"
    yield "  000000000000 stands for your account"
    for name, upload in plan.uploads.items():
        uri = f"s3://<default bucket>/{upload.prefix}"
        yield f"  upload {name}: {len(upload.objects)} files, {_size(upload.bytes)} to {uri}, unless they are there"
    for request in plan.requests:
        yield f"  {request['operation']}"
        yield from (f"    {line}" for line in json.dumps(request["parameters"], indent=2).splitlines())
    yield ""
    yield from _difference_lines(plan)
    yield ""
    yield from _estimate_lines(plan)
    yield ""
    yield from finding_lines(plan)


def summary_lines(plan: CloudPlan) -> Iterator[str]:
    """What is shown before it is asked whether to send: cost and obstacles."""
    yield from _estimate_lines(plan)
    yield from finding_lines(plan)


def plan_document(plan: CloudPlan) -> dict[str, Any]:
    """The plan as plain data, for --json."""
    return {
        "Region": plan.region,
        "Requests": [
            {"Operation": request["operation"], "Parameters": request["parameters"]} for request in plan.requests
        ],
        "Uploads": {
            name: {"Files": len(each.objects), "Bytes": each.bytes, "Prefix": each.prefix}
            for name, each in plan.uploads.items()
        },
        "LocalRun": plan.local_run.name if plan.local_run else None,
        "Differences": [
            {"Field": each.field, "Mark": each.mark, "Here": each.here, "There": each.there, "Note": each.note}
            for each in plan.differences
        ],
        "Estimate": {
            "PerHour": plan.estimate.per_hour,
            "Ceiling": plan.estimate.ceiling,
            "AtLocalTime": plan.estimate.measured,
            "LocalSeconds": plan.estimate.measured_seconds,
            "EndpointPerHour": plan.estimate.endpoint_per_hour,
            "PricesOf": plan.prices.date,
        },
        "Obstacles": [{"Text": each.text, "Certain": each.certain} for each in plan.findings],
        "AskedAs": plan.seen.caller if plan.seen else None,
        "NotAsked": dict(plan.seen.not_asked) if plan.seen else plan.unseen,
    }


def _difference_lines(plan: CloudPlan) -> Iterator[str]:
    other = f"the local run {plan.local_run.name}" if plan.local_run else "what a local run would be"
    counts = ", ".join(
        f"{sum(each.mark == mark for each in plan.differences)} {mark}" for mark in (SAME, MAPPED, DIFFERENT)
    )
    yield f"CreateTrainingJob beside {other}: {counts}"
    for each in plan.differences:
        value = each.there if each.mark == SAME else f"{each.here or '(not said)'} → {each.there or '(not said)'}"
        note = f"  ({each.note})" if each.note else ""
        yield f"  {_MARKS[each.mark]} {each.mark:<9} {each.field}: {value}{note}"


def _estimate_lines(plan: CloudPlan) -> Iterator[str]:
    made, job = plan.estimate, plan.file.training
    if made.per_hour is None or made.ceiling is None:
        yield f"Cost: no price is known of {', '.join(made.missing)}; see AWS's pricing page"
    else:
        types = ", ".join(f"{group.instance_count} x {group.instance_type}" for group in job.instance_groups)
        yield f"Cost: training {types}: ${made.per_hour:.3f} per hour"
        yield f"  at most ${made.ceiling:.2f} (max_run {job.max_run} s, and some minutes for AWS to notice)"
        if made.measured is not None and made.measured_seconds is not None:
            yield (
                f"  ${made.measured:.2f} if it takes the {made.measured_seconds:.0f} s that it took here; "
                "other processors are other times, and starting up comes on top"
            )
    if made.endpoint_per_hour is not None:
        yield f"  endpoint: ${made.endpoint_per_hour:.3f} per hour until it is removed (make cloud-clean)"
    yield f"  prices of {plan.prices.date}, on demand, in {', '.join(plan.prices.regions)}: {plan.prices.source}"
    if plan.region not in plan.prices.regions:
        yield f"  {plan.region} has prices of its own"


def finding_lines(plan: CloudPlan) -> Iterator[str]:
    certain = sum(each.certain for each in plan.findings)
    counted = f"{len(plan.findings)}, of which {certain} would certainly end it" if plan.findings else "none known"
    yield f"Obstacles: {counted}"
    for each in plan.findings:
        yield f"  {'✗' if each.certain else '!'} {each.text}"
    if plan.seen is None:
        yield f"  Role, permissions, quotas and capacity are AWS's to know, and it has not been asked: {plan.unseen}"
        return
    yield f"  AWS was asked as {plan.seen.caller}; nothing there was changed. Capacity shows when the job starts."
    if plan.seen.not_asked:
        yield "  It did not tell " + ", ".join(f"{what} ({why})" for what, why in plan.seen.not_asked.items())


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"
