"""The program that feeds Pipe channels, with real FIFOs and readers."""

from __future__ import annotations

import gzip
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from harness.image.programs.pipe import feed, in_order, make_fifo


def channel(folder: Path, contents: list[bytes], **more: Any) -> dict[str, Any]:
    items = []
    for number, content in enumerate(contents):
        (folder / f"object-{number}").write_bytes(content)
        items.append([{"path": str(folder / f"object-{number}")}])
    return {"name": "train", "items": items, "gzip": False, "recordio": False, "seed": None, "share": [0, 1]} | more


@contextmanager
def fed(folder: Path, described: dict[str, Any], epochs: int) -> Iterator[Callable[[int], Path]]:
    """The path of an epoch's FIFO, while a thread feeds the channel."""
    make_fifo(folder, "train", 0)  # there before scripts start
    feeder = threading.Thread(target=feed, args=(folder, described, epochs))
    feeder.start()
    yield lambda epoch: folder / f"train_{epoch}"
    feeder.join()


def test_every_epoch_is_a_fifo_of_its_own_with_all_objects_one_after_the_other(tmp_path: Path) -> None:
    with fed(tmp_path, channel(tmp_path, [b"one ", b"two ", b"three"]), 3) as path:
        assert [path(epoch).read_bytes() for epoch in range(3)] == [b"one two three"] * 3

    assert not path(2).exists()
    assert path(3).is_fifo()


def test_a_reader_that_closes_early_is_no_failure(tmp_path: Path) -> None:
    described = channel(tmp_path, [os.urandom(1 << 20), b"the end"])

    with fed(tmp_path, described, 2) as path:
        with path(0).open("rb") as pipe:
            assert len(pipe.read(10)) == 10
        assert path(1).read_bytes().endswith(b"the end")


def test_a_channel_without_an_object_ends_at_once(tmp_path: Path) -> None:
    with fed(tmp_path, channel(tmp_path, []), 1) as path:
        assert path(0).read_bytes() == b""


def test_gzip_is_undone(tmp_path: Path) -> None:
    packed = [gzip.compress(b"one "), gzip.compress(b"two")]

    with fed(tmp_path, channel(tmp_path, packed, gzip=True), 1) as path:
        assert path(0).read_bytes() == b"one two"


def records(data: bytes) -> Iterator[bytes]:
    """As the SDK reads RecordIO (sagemaker/amazon/common.py)."""
    while data:
        magic, length = struct.unpack("<II", data[:8])
        assert magic == 0xCED7230A
        yield data[8 : 8 + length]
        data = data[8 + length + -length % 4 :]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_recordio_makes_a_record_of_every_object(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    contents = [b"", b"1", b"22", b"333", b"4444", os.urandom(100_001)]
    described = channel(tmp_path, [pack(each) for each in contents], gzip=pack is gzip.compress, recordio=True)

    with fed(tmp_path, described, 1) as path:
        data = path(0).read_bytes()

    assert len(data) % 4 == 0
    assert list(records(data)) == contents


def test_parts_of_an_augmented_manifest_are_objects_and_texts(tmp_path: Path) -> None:
    described = channel(tmp_path, [b"image"], recordio=True)
    described["items"] = [[*described["items"][0], {"text": "3"}], [*described["items"][0], {"text": "ä"}]]

    with fed(tmp_path, described, 1) as path:
        assert list(records(path(0).read_bytes())) == [b"image", b"3", b"image", "ä".encode()]


@pytest.mark.parametrize("recordio", [False, True])
def test_what_is_not_gzip_says_so(tmp_path: Path, recordio: bool) -> None:
    described = channel(tmp_path, [b"not packed"], gzip=True, recordio=recordio)
    make_fifo(tmp_path, "train", 0)
    reader = threading.Thread(target=(tmp_path / "train_0").read_bytes)
    reader.start()

    with pytest.raises(OSError, match=r"object-0: compression = 'Gzip', but the object is not gzip"):
        feed(tmp_path, described, 1)
    reader.join()


def test_a_shuffle_is_another_order_in_each_epoch_and_the_same_for_a_seed() -> None:
    items = list(range(100))

    first, again, next_one, other = (
        list(in_order(items, seed, epoch, (0, 1))) for seed, epoch in ((1, 0), (1, 0), (1, 1), (2, 0))
    )

    assert first == again
    assert len({tuple(first), tuple(next_one), tuple(other), tuple(items)}) == 4
    assert sorted(first) == sorted(next_one) == items


def test_shards_of_a_shuffle_are_dealt_out_anew_in_each_epoch() -> None:
    items = list(range(100))

    epochs = [[list(in_order(items, 1, epoch, (host, 3))) for host in range(3)] for epoch in range(2)]

    assert all(sorted(chain.from_iterable(shards)) == items for shards in epochs)
    assert set(epochs[0][0]) != set(epochs[1][0])
    assert list(in_order(items, None, 5, (1, 3))) == items[1::3]
