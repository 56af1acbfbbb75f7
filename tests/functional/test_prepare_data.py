"""`make data` against temporary folders and a mirror on the loopback interface."""

import functools
import gzip
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "mnist_job"))  # as on a host: folders, no packages
sys.path.insert(0, str(Path(__file__).parents[2] / "mnist_job" / "code"))

import mnist_data
from prepare_data import MNIST, NOTE, DataFolder, Refused, prepare

SCRIPT = Path(__file__).parents[2] / "mnist_job" / "prepare_data.py"
# Small files in the place of the real ones, which are 55 MB and not ours to carry along.
FILES = {name: name.encode() * 50 for name in MNIST}
SUMS = {name: hashlib.md5(content).hexdigest() for name, content in FILES.items()}  # noqa: S324
FIRST, LAST = next(iter(FILES)), list(FILES)[-1]


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data", SUMS)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder with the four packed files, as a mirror has them."""
    path = tmp_path / "shelf"
    path.mkdir()
    for name, content in FILES.items():
        (path / f"{name}.gz").write_bytes(gzip.compress(content))
    return path


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Requests are no part of a test's output."""


@pytest.fixture
def mirror(shelf: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(shelf))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def closed() -> Iterator[str]:
    """A mirror whose port refuses every connection: bound, so that nobody else listens there either."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/"


def contents(folder: DataFolder) -> dict[str, bytes]:
    """All files of the raw folder, hidden ones too."""
    return {path.name: path.read_bytes() for path in folder.raw.iterdir()}


def run(root: Path, *arguments: str, mnist_dir: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MNIST_DIR": mnist_dir}
    command = [sys.executable, str(SCRIPT), "--root", str(root), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("layout", ["", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_dir_may_be_flat_or_torchvisions_and_packed_or_not(
    folder: DataFolder, tmp_path: Path, closed: str, layout: str, packed: bool
) -> None:
    place = tmp_path / "mine" / layout
    place.mkdir(parents=True)
    for name, content in FILES.items():
        (place / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)

    said = prepare(folder, str(tmp_path / "mine"), (closed,))

    assert said == "MNIST, md5 sums right"
    assert contents(folder) == FILES


def test_a_damaged_file_in_mnist_dir_is_refused_even_when_a_mirror_has_it(
    folder: DataFolder, tmp_path: Path, mirror: str
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, content in FILES.items():
        (mine / name).write_bytes(content)
    (mine / LAST).write_bytes(b"damaged")

    with pytest.raises(Refused, match=f"mine/{LAST} is damaged"):
        prepare(folder, str(mine), (mirror,))

    assert LAST not in contents(folder)


def test_a_mnist_dir_that_lacks_a_file_is_refused(folder: DataFolder, shelf: Path, mirror: str) -> None:
    (shelf / f"{LAST}.gz").unlink()

    with pytest.raises(Refused, match=f"lacks {LAST}"):
        prepare(folder, str(shelf), (mirror,))


def test_files_come_from_the_first_mirror_that_has_them(folder: DataFolder, mirror: str, closed: str) -> None:
    said = prepare(folder, None, (closed, mirror))

    assert said == "MNIST, md5 sums right"
    assert contents(folder) == FILES


def test_only_what_is_missing_is_downloaded(folder: DataFolder, shelf: Path, mirror: str) -> None:
    prepare(folder, None, (mirror,))
    (folder.raw / LAST).unlink()
    for name in FILES:
        if name != LAST:
            (shelf / f"{name}.gz").unlink()

    assert prepare(folder, None, (mirror,)) == "MNIST, md5 sums right"
    assert contents(folder) == FILES


@pytest.mark.parametrize("damage", [b"<html>log in to the guest network</html>", gzip.compress(b"other", mtime=0)])
def test_a_damaged_download_is_refused_by_name_and_leaves_no_file(
    folder: DataFolder, shelf: Path, mirror: str, damage: bytes
) -> None:
    (shelf / f"{LAST}.gz").write_bytes(damage)

    with pytest.raises(Refused, match=f"{mirror}{LAST}.gz is damaged"):
        prepare(folder, None, (mirror,))

    assert contents(folder) == {name: content for name, content in FILES.items() if name != LAST}


def test_a_damaged_download_is_made_good_by_the_next_mirror(folder: DataFolder, shelf: Path, mirror: str) -> None:
    bad = shelf / "bad"
    bad.mkdir()
    for name in FILES:
        (bad / f"{name}.gz").write_bytes(b"damaged")

    assert prepare(folder, None, (f"{mirror}bad", mirror)) == "MNIST, md5 sums right"


def test_a_damaged_file_in_the_data_folder_is_refused_not_replaced(folder: DataFolder, mirror: str) -> None:
    prepare(folder, None, (mirror,))
    (folder.raw / FIRST).write_bytes(b"damaged")

    with pytest.raises(Refused, match=FIRST):
        prepare(folder, None, (mirror,))

    assert (folder.raw / FIRST).read_bytes() == b"damaged"


def test_packed_files_in_the_data_folder_are_unpacked_there(folder: DataFolder, closed: str) -> None:
    folder.raw.mkdir(parents=True)
    for name, content in FILES.items():
        (folder.raw / f"{name}.gz").write_bytes(gzip.compress(content))

    assert prepare(folder, None, (closed,)) == "MNIST, md5 sums right"
    assert {name: (folder.raw / name).read_bytes() for name in FILES} == FILES


def test_half_of_mnist_is_never_mixed_with_the_stand_in(folder: DataFolder, mirror: str, closed: str) -> None:
    prepare(folder, None, (mirror,))
    (folder.raw / LAST).unlink()

    with pytest.raises(Refused, match="only a part of MNIST"):
        prepare(folder, None, (closed,))

    assert LAST not in contents(folder)


def test_the_stand_in_gives_way_to_the_real_files(folder: DataFolder, mirror: str, closed: str) -> None:
    assert prepare(folder, None, (closed,)) == "the stand-in, not MNIST"
    assert folder.note.is_file()

    assert prepare(folder, None, (mirror,)) == "MNIST, md5 sums right"
    assert contents(folder) == FILES
    assert not folder.note.exists()


def test_an_interrupted_stand_in_is_made_anew(folder: DataFolder, closed: str) -> None:
    prepare(folder, None, (closed,))
    whole = contents(folder)
    (folder.raw / FIRST).write_bytes(b"half")

    prepare(folder, None, (closed,))

    assert contents(folder) == whole


def test_with_nothing_reachable_the_command_stands_in_and_says_so_every_time(tmp_path: Path, closed: str) -> None:
    first = run(tmp_path, "--mirror", closed)
    again = run(tmp_path, "--mirror", closed)

    for outcome in (first, again):
        assert outcome.returncode == 0
        assert "THIS IS NOT MNIST" in outcome.stderr
        assert "MNIST_DIR=/path/to/mnist make data" in outcome.stderr
    assert "THIS IS NOT MNIST" in (tmp_path / NOTE).read_text()


def test_the_stand_in_is_what_the_job_reads(tmp_path: Path, closed: str) -> None:
    run(tmp_path, "--mirror", closed)

    images, labels = mnist_data.load(tmp_path, mnist_data.TRAIN)
    test_images, test_labels = mnist_data.load(tmp_path, mnist_data.TEST)

    assert images.shape == (1500, 28, 28)
    assert test_images.shape == (297, 28, 28)
    assert images.max() == 255
    assert set(np.unique(labels)) == set(np.unique(test_labels)) == set(range(10))


def test_what_is_refused_is_one_line_and_exit_2(tmp_path: Path) -> None:
    outcome = run(tmp_path / "data", mnist_dir=str(tmp_path / "nowhere"))

    assert outcome.returncode == 2
    assert outcome.stderr == f"data: error: MNIST_DIR={tmp_path}/nowhere is no folder: name one, or unset it\n"
    assert outcome.stdout == ""


def test_a_mirror_that_never_answers_costs_a_few_seconds_at_most(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        started = time.monotonic()
        outcome = run(tmp_path, "--mirror", url)

    assert outcome.returncode == 0
    assert time.monotonic() - started < 15
    assert "THIS IS NOT MNIST" in outcome.stderr


def test_the_job_names_all_data_files_that_are_missing(folder: DataFolder) -> None:
    with pytest.raises(mnist_data.DataError, match=f"{FIRST}, .*{LAST}"):
        mnist_data.locate(folder.root)


def test_the_job_reads_packed_files_and_refuses_damaged_ones(tmp_path: Path, closed: str) -> None:
    run(tmp_path, "--mirror", closed)
    raw = tmp_path / "MNIST" / "raw"
    images, labels = (raw / name for name in mnist_data.TEST)
    (raw / f"{images.name}.gz").write_bytes(gzip.compress(images.read_bytes()))
    images.unlink()

    assert len(mnist_data.load(tmp_path, mnist_data.TEST)[0]) == 297

    labels.write_bytes(labels.read_bytes()[:-1])
    with pytest.raises(mnist_data.DataError, match=labels.name):
        mnist_data.load(tmp_path, mnist_data.TEST)
