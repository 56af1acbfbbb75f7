"""Digits and probabilities drawn with letters."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from harness.errors import BadInput
from harness.picture import bars, render, render_ascii, show

DIGIT = np.zeros((28, 28), dtype=np.uint8)
DIGIT[4:24, 13:15] = 255


def test_a_digit_takes_28_columns_and_14_lines() -> None:
    lines = render(DIGIT).plain.splitlines()

    assert len(lines) == 14
    assert {len(line) for line in lines} == {28}


def test_each_block_has_the_grey_of_its_two_pixels() -> None:
    text = render(np.array([[0], [255]], dtype=np.uint8))

    assert text.plain == "▀"
    assert str(text.spans[0].style) == "#000000 on #ffffff"


def test_an_odd_number_of_rows_keeps_the_last() -> None:
    assert render(np.full((3, 2), 255, dtype=np.uint8)).plain == "▀▀\n▀▀"


def test_floats_are_scaled_from_their_smallest_to_their_greatest() -> None:
    text = render(np.array([[-0.42], [2.8]]))

    assert str(text.spans[0].style) == "#000000 on #ffffff"


def test_a_uniform_picture_of_floats_can_be_drawn() -> None:
    assert render_ascii(np.ones((2, 2))) == ""


def test_letters_stand_for_greys_where_colours_cannot_be_shown() -> None:
    assert render_ascii(np.array([[0, 128, 255]], dtype=np.uint8)) == " +@"


def test_the_best_bar_is_marked() -> None:
    lines = bars(np.array([0.1, 0.7, 0.2])).splitlines()

    assert [line.endswith("◀") for line in lines] == [False, True, False]
    assert lines[1].startswith("1 " + "█" * 21 + " ")
    assert "70.00 %" in lines[1]


@pytest.mark.parametrize(("encoding", "letters"), [("ascii", "#"), ("utf-8", "█")])
def test_only_letters_that_the_output_knows_are_printed(encoding: str, letters: str) -> None:
    buffer = io.BytesIO()
    console = Console(file=io.TextIOWrapper(buffer, encoding=encoding), width=80)

    show(console, DIGIT, np.array([0.25, 0.75]))
    console.file.flush()

    printed = buffer.getvalue().decode(encoding)
    assert letters * 22 in printed
    assert "@@" in printed  # the picture, without colours in a file
    assert "\x1b" not in printed


def test_a_terminal_with_colours_gets_half_blocks() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=80)

    with console.capture() as capture:
        show(console, DIGIT, None)

    assert "▀" in capture.get()


@pytest.mark.parametrize("shape", [(28,), (1, 28, 28), (0, 28)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="two dimensions"):
        render(np.zeros(shape))
