"""Event streams as botocore reads them."""

from __future__ import annotations

import json

from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from harness import event_stream


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 64))
def test_parts_come_out_as_they_went_in_however_they_are_cut(contents: list[bytes], cut: int) -> None:
    sent = b"".join(event_stream.part(each) for each in contents)
    buffer = EventStreamBuffer()
    read = []
    for at in range(0, len(sent), cut):
        buffer.add_data(sent[at : at + cut])
        read += [(event.headers[":event-type"], event.payload) for event in buffer]

    assert read == [("PayloadPart", each) for each in contents]


def test_a_failure_is_an_exception_of_its_name_with_its_members() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(event_stream.failure("ModelStreamError", {"Message": "it broke", "ErrorCode": "StreamBroken"}))
    (event,) = buffer

    assert (event.headers[":message-type"], event.headers[":exception-type"]) == ("exception", "ModelStreamError")
    assert json.loads(event.payload) == {"Message": "it broke", "ErrorCode": "StreamBroken"}
