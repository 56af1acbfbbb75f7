"""Reading what is sent to an endpoint from files of every kind."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from harness.errors import BadInput
from harness.payload import read_input

DIGITS = np.arange(3 * 28 * 28, dtype=np.int64).reshape(3, 28, 28) % 251


def idx(values: NDArray[Any]) -> bytes:
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return head + values.astype("u1").tobytes()


def test_one_digit_of_an_idx_file_becomes_a_batch_of_one(tmp_path: Path) -> None:
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(idx(DIGITS))

    values = read_input(path, shape=(1, 28, 28), index=1)

    assert values.shape == (1, 1, 28, 28)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values[0, 0], DIGITS[1])


def test_a_packed_idx_file_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(DIGITS)))

    np.testing.assert_array_equal(read_input(path, index=2), DIGITS[2])


def test_npy_and_json_give_the_same_values(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", DIGITS[0])
    (tmp_path / "x.json").write_text(json.dumps(DIGITS[0].tolist()))

    from_npy = read_input(tmp_path / "x.npy", shape=(1, 28, 28))
    from_json = read_input(tmp_path / "x.json", shape=(1, 28, 28))

    np.testing.assert_array_equal(from_npy, from_json)
    assert from_npy.shape == (1, 1, 28, 28)


def test_a_file_of_several_instances_so_shaped_stays_a_batch(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5, 1, 28, 28)))

    assert read_input(tmp_path / "x.npy", shape=(1, 28, 28)).shape == (5, 1, 28, 28)
    assert read_input(tmp_path / "x.npy").shape == (5, 1, 28, 28)


def test_a_colour_picture_becomes_grey_and_as_large_as_the_model_wants(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (280, 140), (255, 255, 255, 255))
    picture.save(tmp_path / "digit.png")

    values = read_input(tmp_path / "digit.png", shape=(1, 28, 28))

    assert values.shape == (1, 1, 28, 28)
    assert values.min() == values.max() == 255


BAD: dict[str, tuple[str, Callable[[Path], object], dict[str, Any], str]] = {
    "not there": ("x.npy", lambda _: None, {}, "no input file"),
    "a folder": ("x.npy", lambda p: p.mkdir(), {}, "cannot read"),
    "unknown kind": ("x.txt", lambda p: p.write_text("1"), {}, "none of .npy, .png, .json"),
    "not an npy": ("x.npy", lambda p: p.write_text("1"), {}, "cannot read"),
    "empty npy": ("x.npy", lambda p: p.touch(), {}, "cannot read"),
    "pickled npy": ("x.npy", lambda p: np.save(p, np.array([{}], dtype=object)), {}, "cannot read"),
    "no json": ("x.json", lambda p: p.write_text("{"), {}, "cannot read"),
    "uneven json": ("x.json", lambda p: p.write_text("[[1], [1, 2]]"), {}, "cannot read"),
    "json of words": ("x.json", lambda p: p.write_text('["a"]'), {}, "does not hold numbers"),
    "no picture": ("x.png", lambda p: p.write_text("png"), {}, "not a readable picture"),
    "no idx": ("x-idx3-ubyte", lambda p: p.write_text("nothing"), {"index": 0}, "is not an IDX file"),
    "cut idx": ("x-idx3-ubyte", lambda p: p.write_bytes(idx(DIGITS)[:-1]), {"index": 0}, "bytes where"),
    "cut head": ("x-idx3-ubyte", lambda p: p.write_bytes(idx(DIGITS)[:9]), {"index": 0}, "within its header"),
    "no gzip": ("x-idx3-ubyte.gz", lambda p: p.write_text("?"), {"index": 0}, "cannot read"),
    "no index": ("x-idx3-ubyte", lambda p: p.write_bytes(idx(DIGITS)), {}, "holds 3 entries"),
    "index too great": (
        "x-idx3-ubyte",
        lambda p: p.write_bytes(idx(DIGITS)),
        {"index": 3},
        "holds 3 entries",
    ),
    "negative index": ("x-idx3-ubyte", lambda p: p.write_bytes(idx(DIGITS)), {"index": -1}, "out of range"),
    "wrong shape": (
        "x.npy",
        lambda p: np.save(p, DIGITS),
        {"shape": (1, 5, 5)},
        r"not 25 for shape \(1, 5, 5\)",
    ),
    "no shape": ("x.npy", lambda p: np.save(p, DIGITS), {"shape": (0, 5)}, "is not a shape"),
}


@pytest.mark.parametrize(("name", "make", "arguments", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_sent_is_one_line(
    tmp_path: Path, name: str, make: Callable[[Path], object], arguments: dict[str, Any], message: str
) -> None:
    make(tmp_path / name)

    with pytest.raises(BadInput, match=message) as refused:
        read_input(tmp_path / name, **arguments)

    assert len(str(refused.value).splitlines()) == 1
