"""The inputs of a job file: each channel a folder, a file or a URI, or a table of ``TrainingInput``'s arguments. Pure.

Limits and patterns: API reference, CreateTrainingJob (botocore's service model); SDK v2, inputs.py TrainingInput.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.job import Channel
from harness.table import Table

FILE, FAST_FILE, PIPE = "File", "FastFile", "Pipe"
INPUT_MODES = (FILE, FAST_FILE, PIPE)
FULLY_REPLICATED, SHARDED = "FullyReplicated", "ShardedByS3Key"
S3_PREFIX, MANIFEST, AUGMENTED_MANIFEST = "S3Prefix", "ManifestFile", "AugmentedManifestFile"
MAX_CHANNELS = 20
MAX_ATTRIBUTE_NAMES = 16
_CHANNEL_NAME = re.compile(r"[A-Za-z0-9.\-_]{1,64}")
_S3_URI = re.compile(r"s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]/?.*", re.DOTALL)


def read_channels(training: Table, folder: Path, input_mode: str, groups: Collection[str]) -> tuple[Channel, ...]:
    """The channels of ``[training.inputs]``; paths are relative to ``folder``, ``groups`` are those there are."""
    inputs = training.table("inputs")
    if inputs is None:
        return ()
    channels = []
    for name in inputs:
        if not _CHANNEL_NAME.fullmatch(name):
            inputs.problem(name, "is no channel name: letters, digits, '.', '-' and '_', 64 characters at most")
        table = inputs.table_or_text(name, "s3_data")
        channel = _channel(table, name, folder)
        if channel:
            for problem in contradictions(channel, input_mode, groups):
                inputs.problem(name, problem)
            channels.append(channel)
    if len(channels) > MAX_CHANNELS:
        inputs.problem("", f"{len(channels)} channels; the API takes {MAX_CHANNELS} at most")
    return tuple(channels)


def _channel(table: Table, name: str, folder: Path) -> Channel | None:
    source = _source(table, folder)
    shuffle = table.table("shuffle_config")
    channel = Channel(
        name,
        source or folder,
        input_mode=table.choice("input_mode", INPUT_MODES),
        distribution=table.choice("distribution", (FULLY_REPLICATED, SHARDED)) or FULLY_REPLICATED,
        s3_data_type=table.choice("s3_data_type", (S3_PREFIX, MANIFEST, AUGMENTED_MANIFEST)) or S3_PREFIX,
        content_type=table.text("content_type") or None,
        compression=_none(table.choice("compression", ("None", "Gzip"))),
        record_wrapping=_none(table.choice("record_wrapping", ("None", "RecordIO"))),
        attribute_names=table.list_of_texts("attribute_names"),
        shuffle_seed=shuffle.whole("seed", required=True, at_least=0, at_most=2**63 - 1) if shuffle else None,
        instance_groups=table.list_of_texts("instance_groups"),
    )
    if shuffle:
        shuffle.close()
    if len(channel.content_type or "") > 256:
        table.problem("content_type", f"{len(channel.content_type or '')} characters; the API takes 256 at most")
    table.refuse(("target_attribute_name",), "is for AutoML jobs; remove it")
    table.close()
    return channel if source else None


def _source(table: Table, folder: Path) -> Path | str | None:
    text = table.text("s3_data", required=True)
    if not text:
        return None
    if text.startswith("s3://"):
        if not _S3_URI.fullmatch(text) or len(text) > 1024:
            table.problem("", f"{text[:80]!r} is no s3:// URI of a bucket and a prefix, 1024 characters at most")
            return None
        return text
    if "://" in text and not text.startswith("file://"):
        table.problem("", f"{text!r}: only a folder, a file, a file:// or an s3:// URI can be staged")
        return None
    return folder / (unquote(urlsplit(text).path) if text.startswith("file://") else text)


def contradictions(channel: Channel, job_mode: str, groups: Collection[str]) -> Iterator[str]:
    mode = channel.input_mode or job_mode
    if channel.s3_data_type == AUGMENTED_MANIFEST and mode != PIPE:
        yield "an AugmentedManifestFile needs input_mode = 'Pipe'"
    if channel.s3_data_type == AUGMENTED_MANIFEST and not channel.attribute_names:
        yield "an AugmentedManifestFile needs attribute_names"
    if channel.attribute_names and channel.s3_data_type != AUGMENTED_MANIFEST:
        yield "attribute_names go with s3_data_type = 'AugmentedManifestFile' only"
    if len(channel.attribute_names) > MAX_ATTRIBUTE_NAMES:
        yield f"{len(channel.attribute_names)} attribute_names; the API takes {MAX_ATTRIBUTE_NAMES} at most"
    if mode == FAST_FILE and channel.s3_data_type != S3_PREFIX:
        yield f"FastFile takes s3_data_type = 'S3Prefix' only, not {channel.s3_data_type!r}"
    if channel.compression and mode != PIPE:
        yield f"compression = {channel.compression!r} is for input_mode = 'Pipe' only"
    if channel.record_wrapping and mode != PIPE:
        yield f"record_wrapping = {channel.record_wrapping!r} is for input_mode = 'Pipe' only"
    for group in channel.instance_groups:
        if group not in groups:
            yield f"instance_groups: no group {group!r} in training.instance_groups"


def _none(choice: str | None) -> str | None:
    return None if choice == "None" else choice
