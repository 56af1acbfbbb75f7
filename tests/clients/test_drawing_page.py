"""The page to draw a digit on, in a real browser: what is drawn is in the notebook's variable `data`."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.clients.conftest import CLIENTS, HARNESS, PROGRAMS, REPOSITORY, Machine
from tests.clients.tools import browser

TOKEN = "drawing"  # noqa: S105 (of a server that is gone when the test is)
PAGE = REPOSITORY / "mnist_job" / "input.html"
CELLS = (
    'from IPython.display import HTML\nHTML(open("input.html").read())',
    "import json\nprint(json.dumps(data))",
)


def notebook(*cells: str) -> str:
    made = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": text, "outputs": [], "execution_count": None}
        for n, text in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps({"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})


def begin_another_notebook(address: str) -> None:
    """Of the same name in another folder: the page must not put its pixels there."""
    session = {"path": "other/digit.ipynb", "name": "digit.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    connection.request("POST", "/api/sessions", json.dumps(session), headers)
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    assert answer.status == 201, said


@pytest.fixture
def jupyter(machine: Machine) -> Iterator[str]:
    """The address of Jupyter's server, as the README starts it, with a notebook and the page in its folder."""
    shutil.copy(PAGE, machine.folder)
    (machine.folder / "digit.ipynb").write_text(notebook(*CELLS))
    log = machine.folder / "jupyter.log"
    options = ("--no-browser", "--allow-root", "--ServerApp.port=0", f"--IdentityProvider.token={TOKEN}")
    argv = [HARNESS, "exec", "--state", str(machine.state.path), "--", "jupyter", "lab", *options]
    with log.open("w") as file:
        process = subprocess.Popen(
            argv,
            cwd=machine.folder,
            env=machine.environment(CLIENTS, {}),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 60
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        begin_another_notebook(found[0])
        yield found[0]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def draw(machine: Machine, where: str, address: str) -> Any:
    found = browser()
    assert found, "no Chromium with its driver: run python -m tests.clients.tools chromium"
    argv = [str(CLIENTS / "python"), str(PROGRAMS / "draw.py"), where, address, *map(str, found)]
    done = subprocess.run(
        argv, env=machine.environment(CLIENTS, {}), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_a_seven(data: Any) -> None:
    (rows,) = data
    assert [len(row) for row in rows] == [28] * 28
    assert all(0 <= value <= 1 for row in rows for value in row)
    # A bar at the top, and a stroke from its right end to the middle of the bottom; nothing at the bottom's left.
    assert min(rows[6][9:19]) > 0.9
    assert max(rows[22][:10]) == 0
    assert max(rows[22][11:16]) > 0.9


@pytest.mark.parametrize(("where", "path"), [("lab", "lab/tree/digit.ipynb"), ("classic", "notebooks/digit.ipynb")])
def test_what_is_drawn_in_a_notebook_is_in_its_data(machine: Machine, jupyter: str, where: str, path: str) -> None:
    told = draw(machine, where, f"{jupyter}{path}?token={TOKEN}")

    assert told["status"] == "The notebook's data is this drawing."
    assert_a_seven(told["kernel"])
    assert told["cleared"] == "Draw a digit."


def test_elsewhere_it_shows_the_line_to_put_into_a_cell(machine: Machine) -> None:
    told = draw(machine, "file", PAGE.as_uri())

    assert told["status"].startswith("Put this line into a cell, and run it (")
    assert_a_seven(json.loads(told["text"].removeprefix("data = ")))
    assert told["cleared"] == "Draw a digit."
