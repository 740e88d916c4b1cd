"""What may be taken away from decoded clips, to see what a task looks at: time, order, fine pixels, borders, colour.

Each perturbation takes and gives the views of a batch, uint8 ``[B, T, H, W, 3]`` RGB, before the task's own
augmentation. Views of optical flow (float16) are no pictures and stay: they are what a task takes its answers from.
Draws come from ``Batch.seeds`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vssl_core.contracts import Batch
from vssl_core.data.transforms import permutations

__all__ = ["PERTURBATIONS", "crop_borders", "freeze", "grey", "reencode", "shuffle"]

#: stream of the orders of frames; augmentations and first-party tasks use others
_STREAM = 1301
#: weights of red, green and blue in luma (ITU-R BT.601)
_LUMA = (0.299, 0.587, 0.114)
_TIME_BASE = Fraction(1, 25)


def freeze(batch: Batch) -> Batch:
    """Show the middle frame of every view throughout it.

    Views of a single frame have nothing to freeze by themselves: where all have one, each shows the first one's frame.
    """

    def one(view: Tensor) -> Tensor:
        middle = view.shape[1] // 2
        return view[:, middle : middle + 1].expand_as(view).contiguous()

    pictures = _pictures(batch)
    first = next(iter(pictures.values()), None)
    if first is not None and _single_frames(pictures):
        return _changed(batch, {slot: first.clone() for slot in pictures})
    return _changed(batch, {slot: one(view) for slot, view in pictures.items()})


def shuffle(batch: Batch) -> Batch:
    """Show the frames of every view in another order, drawn for each sample, never the order that they have.

    Views of a single frame are shuffled among one another where all have one.
    """
    pictures = _pictures(batch)
    if _single_frames(pictures):
        together = torch.cat(list(pictures.values()), dim=1)
        return _changed(batch, dict(zip(pictures, _reordered(together, batch.seeds, 0).split(1, dim=1), strict=True)))
    return _changed(batch, {slot: _reordered(view, batch.seeds, slot) for slot, view in pictures.items()})


def _pictures(batch: Batch) -> dict[int, Tensor]:
    """Return the views that are pictures, by their places."""
    return {slot: view for slot, view in enumerate(batch.views) if view.dtype == torch.uint8}


def _changed(batch: Batch, changed: Mapping[int, Tensor]) -> Batch:
    """Return the batch with some of its views replaced."""
    return batch._replace(views=tuple(changed.get(slot, view) for slot, view in enumerate(batch.views)))


def _each(batch: Batch, one: Callable[[Tensor], Tensor]) -> Batch:
    return _changed(batch, {slot: one(view) for slot, view in _pictures(batch).items()})


def _single_frames(views: Mapping[int, Tensor]) -> bool:
    shapes = {view.shape for view in views.values()}
    return len(views) > 1 and len(shapes) == 1 and next(iter(shapes))[1] == 1


def _reordered(view: Tensor, seeds: Tensor, slot: int) -> Tensor:
    frames = view.shape[1]
    order = permutations(seeds, frames, stream=_STREAM + slot)
    same = (order == torch.arange(frames, device=order.device)).all(dim=1, keepdim=True)
    order = torch.where(same, order.roll(1, dims=1), order)
    return view.gather(1, order[:, :, None, None, None].expand_as(view))


def grey(batch: Batch) -> Batch:
    """Give red, green and blue the value of their luma."""

    def one(view: Tensor) -> Tensor:
        luma = (view.float() * view.new_tensor(_LUMA, dtype=torch.float32)).sum(dim=4, keepdim=True)
        return luma.round().to(torch.uint8).expand_as(view).contiguous()

    return _each(batch, one)


def crop_borders(batch: Batch, part: float) -> Batch:
    """Cut ``part`` of height and width off each border, at least a pixel, and enlarge the rest to the size it had."""

    def one(view: Tensor) -> Tensor:
        height, width = view.shape[2:4]
        top, left = max(1, round(part * height)), max(1, round(part * width))
        inner = view[:, :, top : height - top, left : width - left].flatten(0, 1).permute(0, 3, 1, 2).float()
        enlarged = F.interpolate(inner, (height, width), mode="bilinear", align_corners=False)
        return enlarged.round().to(torch.uint8).permute(0, 2, 3, 1).reshape(view.shape)

    return _each(batch, one)


def reencode(batch: Batch, crf: int) -> Batch:
    """Write every clip as H.264 (libx264, yuv420p, constant rate factor ``crf``) and read it back.

    Views are encoded as they stand, frame after frame; a view of one frame becomes one intra-coded picture.
    """

    def one(view: Tensor) -> Tensor:
        clips = [torch.from_numpy(_coded(clip, crf)) for clip in view.cpu().numpy()]
        return torch.stack(clips).to(view.device)

    return _each(batch, one)


def _coded(clip: np.ndarray, crf: int) -> np.ndarray:
    """Encode and decode uint8 ``[T, H, W, 3]``."""
    frames, height, width = clip.shape[:3]
    # Chroma is halved, which takes even sizes: the last row and column are repeated, and cut off again.
    padded = np.pad(clip, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}  # bits must not depend on the number of cores
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = padded.shape[1:3]
    encoder.pix_fmt, encoder.options = "yuv420p", options
    encoder.time_base = _TIME_BASE
    decoder = av.CodecContext.create("h264", "r")
    packets = []
    for number, pixels in enumerate(padded):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, _TIME_BASE
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    read = np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])
    assert len(read) == frames
    return np.ascontiguousarray(read[:, :height, :width])


#: name in metrics -> perturbation of (batch, crf, part of the border)
PERTURBATIONS: dict[str, Callable[[Batch, int, float], Batch]] = {
    "frozen": lambda batch, crf, part: freeze(batch),
    "shuffled": lambda batch, crf, part: shuffle(batch),
    "reencoded": lambda batch, crf, part: reencode(batch, crf),
    "cropped": lambda batch, crf, part: crop_borders(batch, part),
    "grey": lambda batch, crf, part: grey(batch),
}
