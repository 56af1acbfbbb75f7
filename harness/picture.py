"""A digit and ten probabilities as text for a terminal.

Half blocks put two rows of pixels into one line, the upper in the letter's colour and the lower in the
background's, which makes pixels about square: 28 by 28 pixels become 28 columns and 14 lines. Where colours
or the letters cannot be shown (a file, an ASCII terminal) letters of growing darkness stand for the greys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

RAMP = " .:-=+*#%@"
BAR = 30


def render(picture: NDArray[Any]) -> Text:
    """A 2-D array, uint8 or of any scale, as half blocks in greys; black is its smallest value."""
    from rich.style import Style
    from rich.text import Text

    greys = _greys(picture)
    text = Text(no_wrap=True)
    for top in range(0, len(greys), 2):
        if top:
            text.append("\n")
        # An odd last row has nothing below it, and must not paint there.
        below = greys[top + 1] if top + 1 < len(greys) else [None] * greys.shape[1]
        for upper, lower in zip(greys[top], below, strict=True):
            text.append("▀", Style(color=_grey(upper), bgcolor=None if lower is None else _grey(lower)))
    return text


def render_ascii(picture: NDArray[Any]) -> str:
    """The same in ten letters, the darker the greater; every second row is left out to keep it square."""
    greys = _greys(picture).astype(int)
    rows = [np.maximum(greys[top], greys[min(top + 1, len(greys) - 1)]) for top in range(0, len(greys), 2)]
    return "\n".join("".join(RAMP[value * len(RAMP) // 256] for value in row).rstrip() for row in rows)


def bars(probabilities: NDArray[np.float64], *, ascii_only: bool = False) -> str:
    """One line for each class: its number, a bar, its probability in percent; the greatest is marked."""
    full, mark = ("#", "<") if ascii_only else ("█", "◀")
    best = int(np.argmax(probabilities))
    width = len(str(len(probabilities) - 1))
    lines = []
    for number, value in enumerate(probabilities):
        bar = full * round(BAR * float(value))
        end = f" {mark}" if number == best else ""
        lines.append(f"{number:>{width}} {bar:<{BAR}} {100 * float(value):6.2f} %{end}")
    return "\n".join(lines)


def show(console: Console, picture: NDArray[Any] | None, probabilities: NDArray[np.float64] | None) -> None:
    """Print what there is of both, in the richest way that ``console`` can show."""
    can_draw = console.encoding.lower().startswith("utf")
    if picture is not None:
        coloured = can_draw and console.is_terminal and console.color_system in ("256", "truecolor", "windows")
        console.print(render(picture) if coloured else render_ascii(picture), highlight=False, markup=False)
    if probabilities is not None:
        console.print(bars(probabilities, ascii_only=not can_draw), highlight=False, markup=False, soft_wrap=True)


def _greys(picture: NDArray[Any]) -> NDArray[np.uint8]:
    if picture.ndim != 2 or not picture.size:
        raise BadInput(f"a picture has two dimensions and pixels, not shape {picture.shape}")
    if picture.dtype == np.uint8:
        return picture
    values = np.nan_to_num(picture.astype(np.float64))
    low, high = float(values.min()), float(values.max())
    scale = 255 / (high - low) if high > low else 0.0
    return np.rint((values - low) * scale).astype(np.uint8)


def _grey(value: Any) -> str:
    return f"#{value:02x}{value:02x}{value:02x}"
