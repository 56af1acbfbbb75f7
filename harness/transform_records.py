"""Batch transform's ways with bytes: objects into records, records into payloads, answers into objects. Pure.

Rules: API reference, TransformInput, TransformOutput and CreateTransformJob; developer guide, 'Use batch transform'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MEGABYTE = 1024 * 1024
MULTI_RECORD, SINGLE_RECORD = "MultiRecord", "SingleRecord"


class RecordTooLargeError(ValueError):
    """A record that no payload can hold."""


def lines(content: bytes) -> list[bytes]:
    """The records of an object that is split by Line, without their newlines; the last one needs none."""
    found = content.split(b"\n")
    return found if found[-1] else found[:-1]


def batches(records: Sequence[bytes], strategy: str, most: int) -> list[list[bytes]]:
    """What goes into each request: one record, or as many in their order as have ``most`` bytes with the newlines
    between them. Raises `RecordTooLargeError`.
    """
    made: list[list[bytes]] = []
    size = 0
    for number, record in enumerate(records, 1):
        if len(record) > most:
            message = f"record {number} has {len(record)} bytes; MaxPayloadInMB allows {most}"
            raise RecordTooLargeError(message)
        size += 1 + len(record)
        if not made or strategy == SINGLE_RECORD or size > most:
            made.append([])
            size = len(record)
        made[-1].append(record)
    return made


def payload(batch: Iterable[bytes]) -> bytes:
    return b"\n".join(batch)


def assembled(answers: Iterable[bytes], *, by_line: bool) -> bytes:
    """The object of ``answers``: one after the other, or each of them ending a line."""
    if not by_line:
        return b"".join(answers)
    return b"".join(answer if answer.endswith(b"\n") else answer + b"\n" for answer in answers)


def output_url(s3_output_path: str, name: str) -> str:
    """Where the output of the object goes that is ``name`` below the input's prefix."""
    return f"{s3_output_path.rstrip('/')}/{name}.out"
