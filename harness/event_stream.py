"""The encoding of answers that come in parts, application/vnd.amazon.eventstream. Pure.

A message is a prelude (its length, that of its headers, their CRC-32), headers, a payload and a CRC-32 of all of it
(Smithy specification, 'Amazon Event Stream specification').
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from zlib import crc32

EVENT_STREAM = "application/vnd.amazon.eventstream"
_STRING = 7  # the type of a header's value


def part(content: bytes) -> bytes:
    """A PayloadPart of InvokeEndpointWithResponseStream."""
    headers = {":event-type": "PayloadPart", ":content-type": "application/octet-stream", ":message-type": "event"}
    return _message(headers, content)


def failure(code: str, members: Mapping[str, str]) -> bytes:
    """An error in a stream that has begun: ModelStreamError or InternalStreamFailure."""
    headers = {":exception-type": code, ":content-type": "application/json", ":message-type": "exception"}
    return _message(headers, json.dumps(dict(members)).encode())


def _message(headers: Mapping[str, str], payload: bytes) -> bytes:
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", 4 + 4 + 4 + len(head) + len(payload) + 4, len(head))
    prelude += struct.pack("!I", crc32(prelude))
    message = prelude + head + payload
    return message + struct.pack("!I", crc32(message))


def _header(name: str, value: str) -> bytes:
    return (
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _STRING, len(value.encode())) + value.encode()
    )
