"""What `make data` decides, without files or network."""

import gzip
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "mnist_job"))  # a folder of scripts, no package

from prepare_data import MNIST, Refused, checked, md5, to_fetch, unpacked

NOTHING: dict[str, str | None] = dict.fromkeys(MNIST)
FIRST, *OTHERS = MNIST


def test_nothing_is_fetched_when_all_files_are_right() -> None:
    assert to_fetch(MNIST, MNIST, stand_in=False) == []


def test_only_missing_files_are_fetched() -> None:
    assert to_fetch({**MNIST, FIRST: None}, MNIST, stand_in=False) == [FIRST]
    assert to_fetch(NOTHING, MNIST, stand_in=False) == [FIRST, *OTHERS]


def test_all_damaged_files_are_refused_by_name() -> None:
    with pytest.raises(Refused, match=f"{FIRST}, {OTHERS[0]}"):
        to_fetch({**MNIST, FIRST: "0" * 32, OTHERS[0]: "1" * 32}, MNIST, stand_in=False)


def test_the_stand_in_is_replaced_and_never_called_damaged() -> None:
    assert to_fetch(dict.fromkeys(MNIST, "0" * 32), MNIST, stand_in=True) == [FIRST, *OTHERS]


def test_a_file_is_taken_packed_or_not() -> None:
    assert checked(b"digits", md5(b"digits"), "a") == b"digits"
    assert checked(gzip.compress(b"digits"), md5(b"digits"), "a.gz") == b"digits"


@pytest.mark.parametrize(
    "damage", [b"other", gzip.compress(b"other", mtime=0), gzip.compress(b"digits", mtime=0)[:-3], b"\x1f\x8bx"]
)
def test_a_damaged_file_is_refused_with_its_origin_and_what_to_do(damage: bytes) -> None:
    with pytest.raises(Refused, match=r"^/where/it/was is damaged \(.+\): replace it$"):
        checked(damage, md5(b"digits"), "/where/it/was")


def test_a_packed_file_that_ends_too_early_is_damaged() -> None:
    with pytest.raises(ValueError, match="too early"):
        unpacked(gzip.compress(b"digits" * 1000)[:-12])
