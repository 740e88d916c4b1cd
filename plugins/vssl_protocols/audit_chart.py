"""The bar chart of an audit: a bar for each way in which clips were shown, and a line at chance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

__all__ = ["Bar", "draw_chart"]

_MARGIN, _NAME_WIDTH, _BAR_WIDTH, _VALUE_WIDTH = 16, 130, 420, 60
_BAR, _GAP, _LINE = 22, 10, 20
_INK, _FAINT, _PAPER, _GRID = (20, 20, 20), (110, 110, 110), (255, 255, 255), (228, 228, 228)
_WHOLE, _OTHER, _CHANCE = (38, 84, 124), (110, 160, 200), (200, 60, 40)


class Bar(NamedTuple):
    """One bar: what was shown, and a fraction in [0, 1]."""

    name: str
    value: float


def draw_chart(title: str, bars: Sequence[Bar], chance: float | None, path: Path) -> None:
    """Write a PNG: horizontal bars of accuracies on an axis from 0 to 100 per cent, the first one darker.

    Args:
        title: above the bars.
        bars: from top to bottom.
        chance: where the line stands; None: none is drawn.
        path: of the file; its folder is made.
    """
    font = ImageFont.load_default(13)
    left = _MARGIN + _NAME_WIDTH
    top = _MARGIN + 2 * _LINE
    bottom = top + len(bars) * (_BAR + _GAP)
    legend = f"chance {100 * chance:.1f} %" if chance is not None else ""
    width = max(left + _BAR_WIDTH + _VALUE_WIDTH + _MARGIN, round(font.getlength(title)) + 2 * _MARGIN)
    picture = Image.new("RGB", (width, bottom + 2 * _LINE + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((_MARGIN, _MARGIN), title, fill=_INK, font=font)
    for quarter in range(5):
        x = left + _BAR_WIDTH * quarter // 4
        pen.line([(x, top - 4), (x, bottom)], fill=_GRID)
        pen.text((x, bottom + 3), str(25 * quarter), fill=_FAINT, font=font, anchor="ma")
    for number, bar in enumerate(bars):
        y = top + number * (_BAR + _GAP)
        pen.text((left - 8, y + _BAR // 2), bar.name, fill=_INK, font=font, anchor="rm")
        x = left + round(_BAR_WIDTH * min(1.0, max(0.0, bar.value)))
        if x > left:
            pen.rectangle([(left, y), (x, y + _BAR)], fill=_OTHER if number else _WHOLE)
        pen.text((x + 6, y + _BAR // 2), f"{100 * bar.value:.1f}", fill=_INK, font=font, anchor="lm")
    if chance is not None:
        x = left + round(_BAR_WIDTH * chance)
        pen.line([(x, top - 4), (x, bottom)], fill=_CHANCE, width=2)
        pen.text((left, bottom + _LINE), legend, fill=_CHANCE, font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, format="PNG")
