"""Drawing a preview: one PNG contact sheet, or one HTML page with moving clips."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vssl_core.preview.samples import Preview, Sample, ShownView

__all__ = ["draw_page", "draw_sheet"]

_SMALLEST_TILE = 72
_MOST_FRAMES = 8
_GAP, _MARGIN, _LINE = 4, 12, 18
_TEXT_WIDTH = 230
_INK, _FAINT, _PAPER = (20, 20, 20), (110, 110, 110), (255, 255, 255)
_FRAME_MS = 125


def draw_sheet(preview: Preview, path: Path) -> None:
    """Write a PNG: a row per sample and view, its frames with their numbers, the sample's labels beside them."""
    tiles = [[_tiles(view) for view in sample.views] for sample in preview.samples]
    height_of = {id(view): view[0][0].height + _LINE for sample in tiles for view in sample}
    widest = max(sum(tile.width + _GAP for tile, _ in view) for sample in tiles for view in sample)
    rows = [
        max(sum(height_of[id(view)] for view in views), (1 + len(sample.targets)) * _LINE) + _GAP
        for sample, views in zip(preview.samples, tiles, strict=True)
    ]
    size = (_TEXT_WIDTH + widest + 2 * _MARGIN, sum(rows) + _LINE + 2 * _MARGIN)
    sheet = Image.new("RGB", size, _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    pen.text((_MARGIN, _MARGIN), _title(preview), fill=_INK, font=font)
    top = _MARGIN + _LINE
    for sample, views, height in zip(preview.samples, tiles, rows, strict=True):
        for line, text in enumerate([_short(sample.video_id), *_labels(sample)]):
            pen.text((_MARGIN, top + line * _LINE), text, fill=_INK if line else _FAINT, font=font)
        y = top
        for view in views:
            x = _MARGIN + _TEXT_WIDTH
            for tile, number in view:
                sheet.paste(tile, (x, y))
                pen.text((x, y + tile.height + 1), str(number), fill=_FAINT, font=font)
                x += tile.width + _GAP
            y += height_of[id(view)]
        top += height
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG")


def draw_page(preview: Preview, path: Path) -> None:
    """Write one HTML file, self-contained: a row per sample, each view as a clip that plays in a loop."""
    rows = []
    for sample in preview.samples:
        labels = "<br>".join(html.escape(text) for text in _labels(sample))
        clips = "".join(
            f'<figure><img alt="" src="data:image/png;base64,{_animation(view)}">'
            f"<figcaption>frames {' '.join(map(str, view.frames))}</figcaption></figure>"
            for view in sample.views
        )
        rows.append(f"<tr><th><small>{html.escape(sample.video_id)}</small><br>{labels}</th><td>{clips}</td></tr>")
    title = html.escape(_title(preview))
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>"
        "body{font:14px system-ui,sans-serif;margin:2rem;color:#222;background:#fff}"
        "th{text-align:left;font-weight:400;vertical-align:top;padding:0 2rem 1rem 0}"
        "td{display:flex;flex-wrap:wrap;gap:1rem;padding-bottom:1rem}figure{margin:0;max-width:20rem}"
        "img{width:9rem;image-rendering:pixelated;display:block}small,figcaption{color:#666;font-size:12px}"
        f"</style><h1>{title}</h1><table>{''.join(rows)}</table></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _title(preview: Preview) -> str:
    chance = f", chance {preview.chance:.3f}" if preview.chance is not None else ""
    return f"{preview.task} on {preview.data}{chance}: what the network is shown, after augmentation"


def _labels(sample: Sample) -> list[str]:
    return [_short(f"{name}: {value}") for name, value in sample.targets.items()]


def _short(text: str, most: int = 36) -> str:
    return text if len(text) <= most else f"...{text[3 - most :]}"


def _tiles(view: ShownView) -> list[tuple[Image.Image, int]]:
    """Return up to eight frames, spread over the clip, enlarged by whole factors, with their numbers in the video."""
    chosen = np.unique(np.linspace(0, len(view.pixels) - 1, min(_MOST_FRAMES, len(view.pixels))).round().astype(int))
    numbers = view.frames if len(view.frames) == len(view.pixels) else tuple(range(len(view.pixels)))
    return [(_enlarged(view.pixels[t]), numbers[t]) for t in chosen.tolist()]


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
