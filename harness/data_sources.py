"""Where the data of channels is: folders and files of this machine, and S3; listed before a job starts."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from harness import data_objects
from harness.channel_table import AUGMENTED_MANIFEST, MANIFEST
from harness.data_objects import ChannelData, DataObject
from harness.errors import BadInput
from harness.job import Channel, TrainingJob
from harness.s3_objects import S3, split


def list_inputs(job: TrainingJob, s3: Callable[[], S3] = S3, place: str = "training.inputs") -> tuple[ChannelData, ...]:
    """What is in the channels of ``job``; nothing is read or downloaded but manifests.

    Raises `BadInput` with all problems of all channels, which are at ``place``: what is not there, cannot be had, or is
    no channel's content.
    """
    connect = cache(s3)  # one, made when a channel first needs it
    found: list[ChannelData] = []
    problems: list[str] = []
    for channel in job.inputs:
        mode = channel.input_mode or job.input_mode
        try:
            data = _data(channel, mode, connect)
        except BadInput as error:
            problems += [f"{place}.{channel.name}: {problem}" for problem in error.problems]
        else:
            found.append(data)
            problems += [f"{place}.{channel.name}: {problem}" for problem in _problems(data)]
    if problems:
        raise BadInput(problems)
    return tuple(found)


def local_objects(source: Path) -> Iterator[DataObject]:
    """All files of a folder, a file, or, where ``source`` is neither, what its parent has that begins so.

    The last is what a string prefix is in S3, and so is the order: that of the keys' UTF-8. Links are followed, as an
    upload to S3 follows them.
    """
    top = source if source.is_dir() else source.parent
    begun = [source] if source.exists() else _beginning_with(source)
    files = [file for path in begun for file in (_files_in(path) if path.is_dir() else (str(path),))]
    start = len(os.path.join(top, ""))  # noqa: PTH118  for ten thousand files, texts are several times faster
    for file in sorted(files, key=os.fsencode):
        yield _object(file[start:], Path(file))


def _data(channel: Channel, mode: str, connect: Callable[[], S3]) -> ChannelData:
    if channel.s3_data_type == MANIFEST:
        return _manifest(channel, mode, connect)
    if channel.s3_data_type == AUGMENTED_MANIFEST:
        return _augmented_manifest(channel, mode, connect)
    if isinstance(channel.source, str):
        return ChannelData(channel, mode, connect().below(channel.source), split(channel.source)[1])
    objects = tuple(local_objects(channel.source))
    if not objects:
        raise BadInput(f"no folder or file {str(channel.source)!r}, nor any that begins so, with a file in it")
    return ChannelData(channel, mode, objects, str(channel.source.absolute()).lstrip("/"))


def _manifest(channel: Channel, mode: str, connect: Callable[[], S3]) -> ChannelData:
    prefix, names = data_objects.read_manifest(_text(channel.source, connect))
    objects = _named([(name, prefix + name) for name in names], channel.source, connect)
    return ChannelData(channel, mode, objects, split(prefix)[1] if prefix.startswith("s3://") else prefix)


def _augmented_manifest(channel: Channel, mode: str, connect: Callable[[], S3]) -> ChannelData:
    lines, uris = data_objects.read_augmented_manifest(_text(channel.source, connect), channel.attribute_names)
    # Objects may come from anywhere; in the volume they are staged in, each has a name of its own.
    keys = {uri: hashlib.sha256(uri.encode()).hexdigest() for uri in uris}
    objects = _named([(key, uri) for uri, key in keys.items()], channel.source, connect)
    records = tuple(data_objects.record(line, channel.attribute_names, keys) for line in lines)
    return ChannelData(channel, mode, objects, str(channel.source), records)


def _named(named: Sequence[tuple[str, str]], manifest: Path | str, connect: Callable[[], S3]) -> tuple[DataObject, ...]:
    """The object of each (key, URI) that ``manifest`` names. Raises `BadInput` for those that are not there."""
    remote = [(key, uri) for key, uri in named if uri.startswith("s3://")]
    found = iter(tuple(connect().named(remote)) if remote else ())
    objects: list[DataObject] = []
    missing: list[str] = []
    for key, uri in named:
        if uri.startswith("s3://"):
            item = next(found)
        else:
            path = _local(uri, manifest)
            item = _object(key, path) if path.is_file() else uri
        if isinstance(item, str):
            missing.append(f"the manifest {str(manifest)!r} names {item!r}, which does not exist")
        else:
            objects.append(item)
    if missing:
        raise BadInput(missing)
    return tuple(objects)


def _local(text: str, manifest: Path | str) -> Path:
    """A place on this machine that a manifest names: a file:// URI, or a path relative to the manifest's folder."""
    if isinstance(manifest, str):  # whoever can write into a bucket must not read this machine's files
        raise BadInput(f"the manifest {manifest!r} names {text!r}, which is no s3:// URI")
    if text.startswith("file://"):
        return Path(unquote(text.removeprefix("file://")))
    return manifest.parent / text


def _text(source: Path | str, connect: Callable[[], S3]) -> str:
    if isinstance(source, str):
        return connect().text(source)
    try:
        return source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the manifest {str(source)!r} cannot be read: {error}") from error


def _problems(data: ChannelData) -> Iterator[str]:
    yield from data_objects.key_problems(item.key for item in data.objects)
    if data.channel.record_wrapping:
        for item in data.objects:
            if item.size > data_objects.RECORD_BYTES:
                yield f"{item.key!r}: {item.size} bytes; one RecordIO record holds {data_objects.RECORD_BYTES} at most"


def _files_in(folder: Path) -> Iterator[str]:
    for place, _, names in os.walk(folder, followlinks=True, onerror=_unreadable):
        here = Path(place)
        if any(here.samefile(parent) for parent in here.parents if parent.is_relative_to(folder)):
            raise BadInput(f"{place!r}: the folder is a link to one that it is in")
        for name in names:
            yield f"{place}/{name}"


def _object(key: str, path: Path) -> DataObject:
    try:
        found = path.stat()
    except OSError:
        found = None
    if found is None or not stat.S_ISREG(found.st_mode):
        raise BadInput(f"{str(path)!r} is no file that could be uploaded: a broken link, a socket or a device")
    return DataObject(key, found.st_size, path.absolute().as_uri(), path)


def _unreadable(error: OSError) -> None:
    raise BadInput(f"{error.filename!r} cannot be read: {error.strerror}") from error


def _beginning_with(source: Path) -> list[Path]:
    if not source.parent.is_dir():
        return []
    return [path for path in source.parent.iterdir() if path.name.startswith(source.name)]
