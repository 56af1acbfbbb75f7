"""DataProcessing of a transform job: what of a record goes to the model, and what of both goes into the output. Pure.

JSONPath in the platform's subset, and its two ways of joining (developer guide, 'Associate prediction results with
input records').
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ALL = "$"
JOINED = "SageMakerOutput"
CSV, JSON = "csv", "json"
_KINDS = {"text/csv": CSV, "application/json": JSON, "application/jsonlines": JSON}
_NAME, _WORD = r"'(?:[^'\\]|\\.)*'", r"[A-Za-z0-9_\-]+"
_STEP = re.compile(
    rf"\.?\[(?P<names>\s*{_NAME}(?:\s*,\s*{_NAME})*\s*)\]|\[(?P<numbers>\s*-?\d+(?:\s*,\s*-?\d+)*\s*)\]"
    rf"|\[(?P<start>-?\d*):(?P<end>-?\d*)\]|(?P<all>\.\*|\[\*\])|\.(?P<name>{_WORD})"
)


class DataError(ValueError):
    """A record or an answer that cannot be filtered or joined."""


@dataclass(frozen=True)
class Step:
    """``names`` and ``numbers`` pick members and elements, ``start`` all from there on; of none of them, all."""

    names: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    start: int | None = None

    @property
    def several(self) -> bool:
        return len(self.names) + len(self.numbers) != 1


def steps_of(path: str) -> tuple[Step, ...]:
    """Raises `ValueError` for what is none of the platform's JSONPaths, or means two things."""
    if not path.startswith(ALL):
        raise ValueError(f"{path!r} does not begin with {ALL!r}")
    at, found = 1, []
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise ValueError(f"{path!r} cannot be read from {path[at:]!r} on")
        if match["end"]:
            # 'array slice' in one paragraph of the guide, 'inclusive' in the next.
            raise ValueError(f"{path!r}: AWS's guide contradicts itself on the end of a slice; list the numbers")
        found.append(_step(match))
        at = match.end()
    return tuple(found)


def _step(match: re.Match[str]) -> Step:
    if match["names"]:
        quoted = re.findall(_NAME, match["names"])
        return Step(names=tuple(re.sub(r"\\(.)", r"\1", each[1:-1]) for each in quoted))
    if match["numbers"]:
        return Step(numbers=tuple(int(each) for each in match["numbers"].split(",")))
    if match["name"]:
        return Step(names=(match["name"],))
    return Step(start=int(match["start"] or 0)) if match["start"] is not None else Step()


def picked(value: Any, steps: Sequence[Step]) -> Any:
    """What ``steps`` lead to. Raises `DataError` where there is no such thing."""
    for number, step in enumerate(steps):
        found = _picked(value, step)
        if not step.several:
            value = found
        elif number + 1 < len(steps):
            elements = found.values() if isinstance(found, dict) else found
            return [picked(each, steps[number + 1 :]) for each in elements]
        else:
            return found
    return value


def _picked(value: Any, step: Step) -> Any:
    try:
        if step.names:
            if not isinstance(value, dict):
                raise DataError(f"{_shown(value)} has no member {step.names[0]!r}")
            return value[step.names[0]] if len(step.names) == 1 else {name: value[name] for name in step.names}
        if not step.several:
            return _list(value)[step.numbers[0]]
        if step.numbers:
            return [_list(value)[number] for number in step.numbers]
        if step.start is not None:
            return _list(value)[step.start :]
        return list(value.values()) if isinstance(value, dict) else list(_list(value))
    except (KeyError, IndexError) as error:
        raise DataError(f"{_shown(value)} has no {error.args[0]!r}") from None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{_shown(value)} is no array")
    return value


@dataclass(frozen=True)
class DataProcessing:
    """``kind`` is CSV or JSON: of the records, and of the answers where those are read."""

    kind: str
    input_steps: tuple[Step, ...] = ()
    output_steps: tuple[Step, ...] = ()
    join: bool = False

    def sent(self, record: bytes) -> bytes:
        """What of ``record`` the model is given. Raises `DataError`."""
        return self._write(picked(self._read(record), self.input_steps)) if self.input_steps else record

    def kept(self, records: Sequence[bytes], answer: bytes) -> bytes:
        """What becomes of the model's answer to ``records``: for each of them a line. Raises `DataError`."""
        if not self.join and not self.output_steps:
            return answer
        answers = [answer] if len(records) == 1 else [line for line in answer.split(b"\n") if line.strip()]
        if len(answers) != len(records):
            raise DataError(f"{len(records)} records have {len(answers)} answers: they cannot be told apart")
        outputs = [self._output(record, each) for record, each in zip(records, answers, strict=True)]
        return b"\n".join(outputs)

    def _output(self, record: bytes, answer: bytes) -> bytes:
        made = self._read(answer)
        if self.join:
            given = self._read(record)
            if self.kind == CSV:
                made = [*given, *made]
            else:
                made = {**(given if isinstance(given, dict) else {"SageMakerInput": given}), JOINED: made}
        return self._write(picked(made, self.output_steps))

    def _read(self, content: bytes) -> Any:
        try:
            text = content.decode()
            if self.kind == JSON:
                return json.loads(text)
            return next(csv.reader([text.strip("\r\n")]), [])
        except (ValueError, csv.Error, RecursionError) as error:
            raise DataError(f"{_shown(content)} is no {self.kind.upper()}: {error}") from None

    def _write(self, value: Any) -> bytes:
        if self.kind == JSON:
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
        out = io.StringIO()
        csv.writer(out, lineterminator="").writerow(value if isinstance(value, list) else [value])
        return out.getvalue().encode()


def processing_problems(request: Mapping[str, Any]) -> Iterator[str]:
    """What in a CreateTransformJob keeps its DataProcessing from being done."""
    given = request.get("DataProcessing", {})
    filters = {name: given.get(name) or ALL for name in ("InputFilter", "OutputFilter")}
    join = given.get("JoinSource") == "Input"
    if not join and set(filters.values()) == {ALL}:
        return
    wanted = {"TransformInput.ContentType": request["TransformInput"].get("ContentType")}
    if join or filters["OutputFilter"] != ALL:
        wanted["TransformOutput.Accept"] = request["TransformOutput"].get("Accept")
    kinds = {where: _kind(value) for where, value in wanted.items()}
    for where, kind in kinds.items():
        if not kind:
            yield f"{where}: {wanted[where]!r} cannot be filtered or joined; it takes one of {', '.join(_KINDS)}"
    if all(kinds.values()) and len(set(kinds.values())) > 1:
        yield "DataProcessing: ContentType and Accept are of two kinds"
    by_line = {request["TransformInput"].get("SplitType"), request["TransformOutput"].get("AssembleWith")} == {"Line"}
    if CSV in kinds.values() and not by_line:
        yield "DataProcessing: CSV is joined and filtered with SplitType Line and AssembleWith Line"
    for name, path in filters.items():
        try:
            steps = steps_of(path)
        except ValueError as error:
            yield f"DataProcessing.{name}: {error}"
            continue
        if CSV in kinds.values() and (len(steps) > 1 or any(step.names for step in steps)):
            yield f"DataProcessing.{name}: {path!r} is no index of a row, as $[0] or $[1:]"


def data_processing(request: Mapping[str, Any]) -> DataProcessing:
    """Of a request without `processing_problems`."""
    given = request.get("DataProcessing", {})
    return DataProcessing(
        _kind(request["TransformInput"].get("ContentType")) or JSON,
        steps_of(given.get("InputFilter") or ALL),
        steps_of(given.get("OutputFilter") or ALL),
        given.get("JoinSource") == "Input",
    )


def _kind(content_type: str | None) -> str:
    return _KINDS.get((content_type or "").partition(";")[0].strip().lower(), "")


def _shown(value: Any) -> str:
    return repr(value)[:80]
