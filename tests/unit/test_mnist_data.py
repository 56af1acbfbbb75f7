"""IDX files, and how the ranks share the images of an epoch."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "mnist_job"))  # as on a host: folders, no packages
sys.path.insert(0, str(Path(__file__).parents[2] / "mnist_job" / "code"))

from mnist_data import decode_idx, training_shard
from stand_in import encode_idx, enlarge

shapes = st.lists(st.integers(0, 7), min_size=1, max_size=3).map(tuple)


@given(shapes)
def test_what_was_written_as_idx_is_read_back(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)

    read = decode_idx(encode_idx(array))

    assert read.dtype == np.uint8
    assert read.shape == shape
    np.testing.assert_array_equal(read, array)


def test_an_image_file_starts_as_mnists_own_do() -> None:
    content = encode_idx(np.zeros((2, 28, 28), dtype=np.uint8))

    assert struct.unpack(">4I", content[:16]) == (2051, 2, 28, 28)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "no IDX file"),
        (b"<html>", "no IDX file"),
        (b"\0\0\x0d\1", "no IDX file"),
        (b"\0\0\x08\3\0\0", "inside its header"),
        (b"\0\0\x08\1\0\0\0\5abcd", "4 bytes of data, its header says 5"),
        (b"\0\0\x08\1\0\0\0\3abcd", "4 bytes of data, its header says 3"),
    ],
)
def test_what_is_no_idx_file_is_refused(content: bytes, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        decode_idx(content)


@given(number=st.integers(1, 200), size=st.integers(1, 9))
def test_ranks_share_every_image_in_equal_parts(number: int, size: int) -> None:
    order = np.random.RandomState(number).permutation(number)

    shards = [training_shard(order, rank, size) for rank in range(size)]

    assert len({len(shard) for shard in shards}) == 1
    assert set(np.concatenate(shards)) == set(range(number))
    assert sum(map(len, shards)) - number < size


def test_one_rank_trains_on_all_images_in_the_epochs_order() -> None:
    order = np.array([3, 1, 0, 2])

    np.testing.assert_array_equal(training_shard(order, 0, 1), order)


def test_small_digits_are_laid_out_as_mnist_lays_out_its_own() -> None:
    corner = np.zeros((1, 8, 8))
    corner[0, 1:6, 1:4] = 16

    (large,) = enlarge(corner)

    assert large.dtype == np.uint8
    assert large.max() == 255
    rows, columns = np.indices(large.shape)
    assert abs((rows * large.astype(float)).sum() / large.sum() - 13.5) <= 0.5
    assert abs((columns * large.astype(float)).sum() / large.sum() - 13.5) <= 0.5
