"""The pure parts of batch transform: records, payloads, outputs, filters and joins, requests."""

from __future__ import annotations

import contextlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data_processing import DataError, data_processing, picked, processing_problems, steps_of
from harness.transform_records import RecordTooLargeError, assembled, batches, lines, output_url, payload
from harness.transform_request import Settings, settings, transform_problems

RECORDS = st.lists(st.binary(max_size=20).filter(lambda record: b"\n" not in record), max_size=30)


@given(RECORDS, st.booleans())
def test_lines_are_the_records_that_were_written(records: list[bytes], ended: bool) -> None:
    content = b"\n".join(records) + (b"\n" if ended or (records and not records[-1]) else b"")

    assert lines(content) == (records if records or not ended else [b""])


@given(RECORDS, st.sampled_from(["MultiRecord", "SingleRecord"]), st.integers(20, 60))
def test_every_record_is_sent_once_in_order_and_no_payload_is_too_large(
    records: list[bytes], strategy: str, most: int
) -> None:
    made = batches(records, strategy, most)

    assert [record for batch in made for record in batch] == records
    assert all(0 < len(payload(batch)) <= most or batch == [b""] or len(payload(batch)) == 0 for batch in made)
    if strategy == "SingleRecord":
        assert all(len(batch) == 1 for batch in made)
    else:  # as many as fit: two neighbours never fit into one
        pairs = itertools.pairwise(made)
        assert all(len(payload([*first, second[0]])) > most for first, second in pairs)


def test_a_record_that_fits_into_no_payload_is_told_by_its_number() -> None:
    with pytest.raises(RecordTooLargeError, match="record 2 has 5 bytes; MaxPayloadInMB allows 4"):
        batches([b"1", b"12345"], "MultiRecord", 4)


@given(st.lists(st.binary(max_size=10)))
def test_answers_are_put_together_as_they_are_or_a_line_each(answers: list[bytes]) -> None:
    assert assembled(answers, by_line=False) == b"".join(answers)
    by_line = assembled(answers, by_line=True)
    assert by_line.replace(b"\n", b"") == b"".join(answers).replace(b"\n", b"")
    assert not answers or by_line.endswith(b"\n")


def test_outputs_are_called_as_their_inputs() -> None:
    assert output_url("s3://b/out/", "a/x.csv") == "s3://b/out/a/x.csv.out"


VALUE = {"id": 7, "features": [1, 2, 3], "more": {"a": {"x": 1}, "b": {"x": 2}}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", VALUE),
        ("$.id", 7),
        ("$['id']", 7),
        ("$.features", [1, 2, 3]),
        ("$.features[-1]", 3),
        ("$.features[0,2]", [1, 3]),
        ("$.features[1:]", [2, 3]),
        ("$.features[*]", [1, 2, 3]),
        ("$['id','features']", {"id": 7, "features": [1, 2, 3]}),
        ("$.more.['a','b']", {"a": {"x": 1}, "b": {"x": 2}}),
        ("$.more.*", [{"x": 1}, {"x": 2}]),
        ("$.more.*.x", [1, 2]),
    ],
)
def test_paths_lead_where_the_platforms_do(path: str, found: Any) -> None:
    assert picked(VALUE, steps_of(path)) == found


@pytest.mark.parametrize("path", ["", "id", "$..id", "$[?(@.x)]", "$[", "$.a b", "$[1:4]"])
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be read|does not begin|contradicts itself"):
        steps_of(path)


@pytest.mark.parametrize(("path", "value"), [("$.id", [1]), ("$[3]", [1]), ("$.no", {"id": 1}), ("$[0]", {"id": 1})])
def test_a_record_without_what_a_path_wants_is_an_error_of_the_data(path: str, value: Any) -> None:
    with pytest.raises(DataError):
        picked(value, steps_of(path))


@given(st.text(max_size=63))
def test_no_path_breaks_the_reader(path: str) -> None:
    with contextlib.suppress(ValueError):
        steps_of(path)


def request(content_type: str = "text/csv", accept: str = "text/csv", **processing: str) -> dict[str, Any]:
    return {
        "TransformInput": {
            "ContentType": content_type,
            "SplitType": "Line",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}},
        },
        "TransformOutput": {"S3OutputPath": "s3://b/out", "Accept": accept, "AssembleWith": "Line"},
        "DataProcessing": processing,
    }


def test_columns_are_left_out_and_put_beside_the_answers() -> None:
    made = data_processing(request(InputFilter="$[1:]", JoinSource="Input", OutputFilter="$[0,-1]"))

    assert made.sent(b'id1,"a,b",3') == b'"a,b",3'
    assert made.kept([b"id1,2,3", b"id2,4,5"], b"0.5\n0.75\n") == b"id1,0.5\nid2,0.75"
    with pytest.raises(DataError, match="2 records have 1 answers"):
        made.kept([b"a", b"b"], b"1")


def test_members_are_left_out_and_put_beside_the_answers() -> None:
    wanted = {"InputFilter": "$.features", "JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"}
    made = data_processing(request("application/jsonlines", "application/jsonlines", **wanted))

    assert made.sent(b'{"id": 1, "features": [1, 2]}') == b"[1,2]"
    assert json.loads(made.kept([b'{"id": 1, "features": [1, 2]}'], b'{"label": 1}')) == {
        "id": 1,
        "SageMakerOutput": {"label": 1},
    }
    plain = data_processing(request("application/json", "application/json", JoinSource="Input"))
    assert json.loads(plain.kept([b"[1]"], b"2")) == {"SageMakerInput": [1], "SageMakerOutput": 2}
    with pytest.raises(DataError, match="is no JSON"):
        plain.kept([b"[1"], b"2")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (request(InputFilter="$.id"), "is no index of a row"),
        (request(InputFilter="id"), "does not begin with"),
        (request("image/png", InputFilter="$[1:]"), "TransformInput.ContentType: 'image/png' cannot be filtered"),
        (request("application/json", JoinSource="Input"), "are of two kinds"),
        ({**request(JoinSource="Input"), "TransformOutput": {"Accept": "text/csv"}}, "with SplitType Line"),
    ],
)
def test_what_cannot_be_filtered_or_joined_is_refused(given: dict[str, Any], why: str) -> None:
    assert why in "\n".join(processing_problems(given))


def test_a_request_is_refused_with_all_its_problems() -> None:
    wrong = {
        **request(),
        "TransformInput": {
            "SplitType": "TFRecord",
            "DataSource": {"S3DataSource": {"S3DataType": "AugmentedManifestFile", "S3Uri": "https://x/y"}},
        },
        "MaxPayloadInMB": 60,
        "MaxConcurrentTransforms": 2,
        "DataCaptureConfig": {"DestinationS3Uri": "s3://b/c"},
        "Environment": {"A=B": "c"},
    }

    told = "\n".join(transform_problems(wrong))

    for each in ("AugmentedManifestFile", "no s3:// URI", "'TFRecord' is not split", "100 MB", "captured", "A=B"):
        assert each in told
    assert list(transform_problems(request())) == []


def test_the_request_goes_before_the_container_and_the_container_before_the_platform() -> None:
    said = b'{"MaxConcurrentTransforms": 8, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 2}'

    assert settings({}, b"") == Settings(1, "MultiRecord", 6)
    assert settings({}, said) == Settings(8, "SingleRecord", 2)
    assert settings({"MaxConcurrentTransforms": 3, "MaxPayloadInMB": 0}, said).max_bytes is None
    assert settings({"MaxConcurrentTransforms": 0}, b"[]").concurrent == 1
