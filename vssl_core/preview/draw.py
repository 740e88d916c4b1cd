"""Drawing a preview: one PNG contact sheet, or one HTML page with moving clips."""

from __future__ import annotations

import base64
import html
import io
import textwrap
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vssl_core.preview.samples import Preview, Sample, ShownView

__all__ = ["draw_page", "draw_sheet"]

_SMALLEST_TILE = 72
_MOST_FRAMES = 8
_GAP, _MARGIN, _LINE = 4, 12, 18
_TEXT_WIDTH = 270
# Width of a letter of the font, in pixels, rounded up: text is wrapped by it.
_CHARACTER = 7
_INK, _FAINT, _PAPER, _RULE = (20, 20, 20), (110, 110, 110), (255, 255, 255), (220, 220, 220)
_FRAME_MS = 125


class _Strip(NamedTuple):
    """One view, ready to be pasted: its caption, and its frames with their numbers (empty: it has none)."""

    caption: str
    tiles: list[tuple[Image.Image, str]]

    @property
    def width(self) -> int:
        return max(sum(tile.width + _GAP for tile, _ in self.tiles), _CHARACTER * len(self.caption))

    @property
    def height(self) -> int:
        numbered = any(number for _, number in self.tiles)
        return self.tiles[0][0].height + _GAP + _LINE * (bool(self.caption) + numbered)


def draw_sheet(preview: Preview, path: Path) -> None:
    """Write a PNG: what is asked, then per sample its answer, and beside it its views, their frames with numbers."""
    strips = [[_Strip(view.caption, _tiles(view)) for view in sample.views] for sample in preview.samples]
    texts = [_lines(sample) for sample in preview.samples]
    heights = [
        max(sum(strip.height for strip in views), (1 + len(text)) * _LINE) + 2 * _GAP
        for text, views in zip(texts, strips, strict=True)
    ]
    left = _MARGIN + _TEXT_WIDTH
    width = left + max(strip.width for views in strips for strip in views) + _MARGIN
    heading = _wrapped(_title(preview), width) + _wrapped(preview.question, width)
    sheet = Image.new("RGB", (width, sum(heights) + (len(heading) + 1) * _LINE + 2 * _MARGIN), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    titles = len(_wrapped(_title(preview), width))
    for line, text in enumerate(heading):
        pen.text((_MARGIN, _MARGIN + line * _LINE), text, fill=_FAINT if line < titles else _INK, font=font)
    top = _MARGIN + (len(heading) + 1) * _LINE
    for sample, lines, views, height in zip(preview.samples, texts, strips, heights, strict=True):
        for line, text in enumerate([_short(sample.video_id), *lines]):
            pen.text((_MARGIN, top + line * _LINE), text, fill=_INK if line else _FAINT, font=font)
        y = top
        for strip in views:
            if strip.caption:
                pen.text((left, y), strip.caption, fill=_INK, font=font)
            x, below = left, y + _LINE * bool(strip.caption)
            for tile, number in strip.tiles:
                sheet.paste(tile, (x, below))
                pen.text((x, below + tile.height + 1), number, fill=_FAINT, font=font)
                x += tile.width + _GAP
            y += strip.height
        top += height
        pen.line([(_MARGIN, top - _GAP), (width - _MARGIN, top - _GAP)], fill=_RULE)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG")


def draw_page(preview: Preview, path: Path) -> None:
    """Write one HTML file, self-contained: a row per sample, each view as a clip that plays in a loop."""
    rows = []
    for sample in preview.samples:
        said = [sample.answer] if sample.answer else _labels(sample)
        labels = "<br>".join(html.escape(text) for text in said)
        clips = "".join(
            f'<figure>{_figure_title(view)}<img alt="" src="data:image/png;base64,{_animation(view)}">'
            f"<figcaption>{_numbers(view)}</figcaption></figure>"
            for view in sample.views
        )
        rows.append(f"<tr><th><small>{html.escape(sample.video_id)}</small><br>{labels}</th><td>{clips}</td></tr>")
    title = html.escape(_title(preview))
    question = f"<p>{html.escape(preview.question)}</p>" if preview.question else ""
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>"
        "body{font:14px system-ui,sans-serif;margin:2rem;color:#222;background:#fff}h1{font-size:1.1rem}"
        "th{text-align:left;font-weight:400;vertical-align:top;padding:0 2rem 1rem 0;max-width:22rem}"
        "td{display:flex;flex-wrap:wrap;gap:1rem;padding-bottom:1rem}figure{margin:0;max-width:20rem}"
        "img{width:9rem;image-rendering:pixelated;display:block}small,figcaption{color:#666;font-size:12px}"
        f"</style><h1>{title}</h1>{question}<table>{''.join(rows)}</table></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _title(preview: Preview) -> str:
    chance = f", chance {preview.chance:.3f}" if preview.chance is not None else ""
    return f"{preview.task} on {preview.data}{chance}: what the network is shown, after augmentation"


def _lines(sample: Sample) -> list[str]:
    """Return what stands below a sample's name: its answer, wrapped, or its targets one by one."""
    return _wrapped(sample.answer, _TEXT_WIDTH) if sample.answer else _labels(sample)


def _labels(sample: Sample) -> list[str]:
    return [_short(f"{name}: {value}") for name, value in sample.targets.items()]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(20, (width - 2 * _MARGIN) // _CHARACTER))


def _short(text: str, most: int = 36) -> str:
    return text if len(text) <= most else f"...{text[3 - most :]}"


def _figure_title(view: ShownView) -> str:
    return f"<div>{html.escape(view.caption)}</div>" if view.caption else ""


def _numbers(view: ShownView) -> str:
    if not view.frames:
        return ""
    return f"{'' if len(view.frames) == len(view.pixels) else 'of '}frames {' '.join(map(str, view.frames))}"


def _tiles(view: ShownView) -> list[tuple[Image.Image, str]]:
    """Return up to eight frames, spread over the clip, enlarged by whole factors, with their numbers in the video.

    Pictures that are no frames of it have no numbers, nor have clips whose length the task changed: which of the frames
    that were read they show is not known.
    """
    chosen = np.unique(np.linspace(0, len(view.pixels) - 1, min(_MOST_FRAMES, len(view.pixels))).round().astype(int))
    known = len(view.frames) == len(view.pixels)
    return [(_enlarged(view.pixels[t]), str(view.frames[t]) if known else "") for t in chosen.tolist()]


def _enlarged(pixels: np.ndarray) -> Image.Image:
    factor = max(1, -(-_SMALLEST_TILE // pixels.shape[0]))
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _animation(view: ShownView) -> str:
    frames = [Image.fromarray(np.ascontiguousarray(pixels)) for pixels in view.pixels]
    stream = io.BytesIO()
    # default_image=False: the first frame is part of the loop.
    frames[0].save(stream, format="PNG", save_all=True, append_images=frames[1:], duration=_FRAME_MS, loop=0)
    return base64.b64encode(stream.getvalue()).decode("ascii")
