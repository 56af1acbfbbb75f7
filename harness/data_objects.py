"""What a channel is made of: objects with keys, which host is given which of them, and manifests. Pure.

Facts: API reference, S3DataSource, ShuffleConfig and Channel (botocore's service model); dumps of a real job.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.channel_table import PIPE, S3_PREFIX, SHARDED
from harness.errors import BadInput
from harness.job import Channel
from harness.plan import HostPlan, channels_of

T = TypeVar("T")

RECORD_BYTES = 2**29 - 1  # what the length of one RecordIO record can say (MXNet, dmlc recordio.h)
_FIRST_KEYS = 5  # of each host, in the receipt


@dataclass(frozen=True)
class DataObject:
    """One file of a channel: ``key`` is its path there, ``uri`` where it comes from.

    ``path`` is the file on this machine, ``etag`` the version of an object that is still in S3.
    """

    key: str
    size: int
    uri: str
    path: Path | None = None
    etag: str = ""


@dataclass(frozen=True)
class Part:
    """A piece of what a Pipe carries: the bytes of the object ``key``, or else ``text``."""

    key: str | None = None
    text: str = ""


@dataclass(frozen=True)
class ChannelData:
    """A channel and all that is in it, in order. ``prefix`` is without its bucket.

    ``records`` are the lines of an augmented manifest, each with a part per attribute; other channels have none.
    """

    channel: Channel
    input_mode: str
    objects: tuple[DataObject, ...]
    prefix: str = ""
    records: tuple[tuple[Part, ...], ...] = ()

    @property
    def name(self) -> str:
        return self.channel.name

    @property
    def sharded(self) -> bool:
        return self.channel.distribution == SHARDED

    def items(self) -> tuple[tuple[Part, ...], ...]:
        """What a Pipe carries, one after the other; they are also what it is sharded and shuffled by."""
        return self.records or tuple((Part(key=item.key),) for item in self.objects)


def shard(objects: Sequence[T], hosts: Sequence[str]) -> dict[str, tuple[T, ...]]:
    """``objects`` dealt out in turn, so that each host has about 1/n of them, in their order.

    Which object goes where is not documented, only that each host gets about 1/n; of two objects algo-1 got the
    first (dump of a real job).
    """
    return {host: tuple(objects[number :: len(hosts)]) for number, host in enumerate(hosts)}


def hosts_of(channel: Channel, hosts: Iterable[HostPlan]) -> tuple[str, ...]:
    """The hosts that are given ``channel``, in the order of their names."""
    return tuple(host.name for host in hosts if channels_of((channel,), host.group.name))


def objects_of_hosts(data: ChannelData, hosts: Sequence[str]) -> dict[str, tuple[DataObject, ...]]:
    """What each of ``hosts`` is given; of a Pipe that is shuffled across hosts, all that it may be given."""
    if not data.sharded or (data.input_mode == PIPE and data.channel.shuffle_seed is not None):
        return dict.fromkeys(hosts, data.objects)
    if not data.records:
        return shard(data.objects, hosts)
    by_key = {item.key: item for item in data.objects}
    return {
        host: tuple(by_key[key] for key in dict.fromkeys(part.key for parts in records for part in parts) if key)
        for host, records in shard(data.records, hosts).items()
    }


def received(inputs: Iterable[ChannelData], hosts: Sequence[HostPlan]) -> dict[str, Any]:
    """The receipt's word on who got what: per channel and host the number of objects, their bytes, the first keys."""
    return {
        data.name: {
            "InputMode": data.input_mode,
            "S3DataDistributionType": data.channel.distribution,
            "Hosts": {
                host: {
                    "Objects": len(objects),
                    "Bytes": sum(item.size for item in objects),
                    "FirstKeys": [item.key for item in objects[:_FIRST_KEYS]],
                }
                for host, objects in objects_of_hosts(data, hosts_of(data.channel, hosts)).items()
            },
        }
        for data in inputs
    }


def notes(inputs: Iterable[ChannelData], hosts: Sequence[HostPlan]) -> Iterator[str]:
    """What may not be meant: hosts for which a shard holds nothing, a path that only begins the names of others."""
    for data in inputs:
        if _begins_other_names(data):
            yield (
                f"channel {data.name!r}: {str(data.channel.source)!r} is no folder or file; as a prefix in S3 would, "
                f"it stands for the {len(data.objects)} files that begin so"
            )
        names = hosts_of(data.channel, hosts)
        empty = names[len(data.items()) :] if data.sharded else ()
        if empty:
            yield (
                f"channel {data.name!r} is sharded over {len(names)} hosts and holds {len(data.items())} in all: "
                f"nothing for {', '.join(empty)}"
            )


def _begins_other_names(data: ChannelData) -> bool:
    source = data.channel.source
    if not isinstance(source, Path) or data.channel.s3_data_type != S3_PREFIX or not data.objects:
        return False
    path = data.objects[0].path
    return path is not None and path != source and source not in path.parents


def content_digest(entries: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over (key, digest) of all objects, in order."""
    total = hashlib.sha256()
    for key, digest in entries:
        total.update(f"{key}\0{digest}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def relative_keys(prefix: str, keys: Iterable[str]) -> dict[str, str]:
    """Paths in the channel of the S3 ``keys`` that begin with ``prefix``, which is a string, not a folder.

    What follows the last '/' of the prefix is kept (SDK v2, local/data.py). A prefix that all keys continue with '/'
    is a folder: that is how the SDK's `upload_data` writes it, and scripts find its files in the channel itself.
    """
    found = [key for key in keys if not key.endswith("/")]  # markers that consoles make for empty folders
    if found and prefix and not prefix.endswith("/") and all(key.startswith(f"{prefix}/") for key in found):
        prefix = f"{prefix}/"
    start = prefix.rfind("/") + 1
    return {key: key[start:] for key in found}


def key_problems(keys: Iterable[str]) -> Iterator[str]:
    """What keeps ``keys`` from being the files of one folder, a line each."""
    seen: set[str] = set()
    folders: dict[str, str] = {}  # each with a key that is in it
    for key in keys:
        if _outside(key):
            yield f"{key!r} is no path below a folder: it must be UTF-8, and no part of it empty, '.' or '..'"
        if key in seen:
            yield f"{key!r} is there twice"
        seen.add(key)
        folder = key.rpartition("/")[0]
        while folder and folder not in folders:
            folders[folder] = key
            folder = folder.rpartition("/")[0]
    for key in sorted(seen & folders.keys()):
        yield f"{key!r} would be a file and, for {folders[key]!r}, a folder"


def read_manifest(text: str) -> tuple[str, tuple[str, ...]]:
    """The prefix of a ManifestFile and the names below it; raises `BadInput` with what is wrong with it."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BadInput(f"is no manifest: not JSON: {error}") from error
    rule = 'a manifest is a JSON list, [{"prefix": "s3://bucket/folder/"}, "file", …]'
    first = document[0] if isinstance(document, list) and document else None
    if not isinstance(first, dict) or not _is_text(first.get("prefix")) or not first["prefix"]:
        raise BadInput(f"is no manifest: it does not begin with a prefix: {rule}")
    names = document[1:]
    problems = [f"{name!r} in the manifest is not a text: {rule}" for name in names if not isinstance(name, str)]
    texts = [name for name in names if isinstance(name, str)]
    problems += [
        f"{name!r} in the manifest is no path below its prefix {first['prefix']!r}: "
        "names are paths below it, in UTF-8, without '.', '..' or empty parts"
        for name in texts
        if _outside(name)
    ]
    if not names:
        problems.append(f"is no manifest: it names nothing below its prefix {first['prefix']!r}")
    if problems:
        raise BadInput(problems)
    return first["prefix"], tuple(texts)


def read_augmented_manifest(text: str, attributes: Sequence[str]) -> tuple[tuple[Mapping[str, Any], ...], list[str]]:
    """The lines of an AugmentedManifestFile, and the URIs their ``-ref`` attributes name, each once, in order.

    Raises `BadInput` with all that is wrong with it.
    """
    lines: list[Mapping[str, Any]] = []
    uris: dict[str, None] = {}
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except ValueError as error:
            problems.append(f"line {number} of the manifest is not JSON: {error}")
            continue
        missing = [name for name in attributes if not isinstance(document, dict) or name not in document]
        if missing:
            problems.append(f"line {number} of the manifest has no attribute {', '.join(map(repr, missing))}")
            continue
        references = [document[name] for name in attributes if name.endswith("-ref")]
        problems += [f"line {number} of the manifest: {uri!r} is no URI" for uri in references if not _is_text(uri)]
        uris |= dict.fromkeys(uri for uri in references if _is_text(uri))
        lines.append(document)
    if not lines and not problems:
        problems.append("the manifest is empty: it needs a JSON object on each line")
    if problems:
        raise BadInput(problems)
    return tuple(lines), list(uris)


def record(line: Mapping[str, Any], attributes: Sequence[str], keys: Mapping[str, str]) -> tuple[Part, ...]:
    """A part per attribute of one line; ``keys`` are the keys of objects by their URIs.

    That a text comes without its quotes, and anything else as JSON, is not documented.
    """
    return tuple(
        Part(key=keys[line[name]])
        if name.endswith("-ref")
        else Part(text=line[name] if isinstance(line[name], str) else json.dumps(line[name]))
        for name in attributes
    )


def _outside(key: str) -> bool:
    return not _is_text(key) or not {"", ".", ".."}.isdisjoint(key.split("/"))


def _is_text(value: object) -> bool:
    """Whether it can be a key in S3, which is UTF-8: JSON, and names of files here, may hold halves of a character."""
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value))
