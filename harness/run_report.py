"""What a run says at its beginning and its end, and its receipt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness import advice, data_objects
from harness.advice import Facts
from harness.data_objects import ChannelData
from harness.job import TrainingJob
from harness.limits import Limits, memory_advice
from harness.metrics import MetricReader
from harness.model_archive import is_empty
from harness.outcome import Outcome
from harness.plan import ClusterPlan
from harness.receipt import Receipt, closing_lines, receipt
from harness.record import RunRecord, write_json
from harness.report import outcome_lines
from harness.steps import Steps

RECEIPT = "receipt.json"


@dataclass(frozen=True)
class RunReport:
    """Of one run. ``known`` is advice from before it; ``ordered`` says that it came to the door, not by a job file."""

    job: TrainingJob
    plan: ClusterPlan
    inputs: Sequence[ChannelData]
    launcher: str
    known: Sequence[str]
    record: RunRecord
    ordered: bool = False

    def opening_lines(self) -> Iterator[str]:
        yield from self.plan.notes
        yield from data_objects.notes(self.inputs, self.plan.hosts)
        yield from (f"WARNING: {warning}" for warning in self.plan.warnings)
        if not self.ordered:
            yield from (f"WARNING: {key} is ignored (--lenient): it is not emulated" for key in self.job.ignored)
        yield from (f"advice: {each}" for each in self.known)

    def write_receipt(self, seen: Sequence[str] = ()) -> Receipt:
        """``seen`` is advice that the run itself gave."""
        merges = self.record.merges.items()
        made = receipt(
            self.plan.request,
            self.launcher,
            len(self.plan.hosts),
            advice=(*self.plan.warnings, *self.known, *seen),
            ignored=self.job.ignored,
            channels=data_objects.received(self.inputs, self.plan.hosts),
            limits=self.plan.notes,
            model_files=next((merge.files for name, merge in merges if name.startswith("model")), None),
            lenient=not self.ordered,
        )
        write_json(self.record.folder / RECEIPT, made)
        return made

    def close(self, outcome: Outcome, metrics: MetricReader, limits: Limits, steps: Steps) -> None:
        """Write the last receipt, and say the last lines of the run."""
        record = self.record
        seen = advice.after(self.job, self._facts(metrics))
        made = self.write_receipt(seen)
        for line in outcome_lines(record.description, record.folder, outcome.failed_host, metrics):
            steps.line(line)
        if outcome.starved_host:
            steps.line(f"  {memory_advice(outcome.starved_host, limits)}")
        for line in closing_lines(made, record.folder / RECEIPT, seen):
            steps.line(line)

    def _facts(self, metrics: MetricReader) -> Facts:
        record = self.record
        return Facts(
            completed=record.description["SecondaryStatus"] == "Completed",
            model_is_empty=not self.job.disable_output_compression and is_empty(record.folder / "model.tar.gz"),
            metrics=metrics.matched,
            clashes={name: merge.clashes for name, merge in record.merges.items() if merge.clashes},
        )
