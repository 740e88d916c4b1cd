"""Frozen features of videos: read by a recipe, without randomness, each video on its own.

Every clip goes through the encoder in eval mode, so that a clip's features do not depend on its neighbours. The batch
size changes them by rounding alone: convolution kernels sum in another order, which moves float32 features by some 1e-6
of their size (the tests hold them to 1e-4).
"""

from __future__ import annotations

import copy
import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vssl_core.contracts import ClipRecipe, Reader, Video, View
from vssl_core.data.plan import recipe_views
from vssl_core.data.transforms import to_float
from vssl_core.errors import ClipError, DataError, PluginError

__all__ = ["SETTLE_CLIPS", "Extraction", "effective_recipe", "extract", "settle_batch_norm"]

#: clips a batch when batch norm is settled; a constant, for it decides the statistics
SETTLE_CLIPS = 32

_STREAM_SETTLE = 31

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Extraction:
    """Features of a list of videos and what they cost.

    Attributes:
        values: float32 ``[N, clips, D]`` of the readable videos, in order.
        rows: int64 ``[N]``: their positions in the list.
        unreadable: ``video_id`` -> reason, of the others.
        frames: frames that were read.
        clips: clips that went through the encoder, those for settling counted.
    """

    values: np.ndarray
    rows: np.ndarray
    unreadable: Mapping[str, str]
    frames: int
    clips: int


def effective_recipe(recipe: ClipRecipe, sampling: Mapping[str, Any]) -> ClipRecipe:
    """Return a protocol's recipe with what the encoder insists on (``Backbone.sampling``) put over it.

    Raises:
        PluginError: the encoder insists on something that a recipe does not have, or on what a protocol alone decides.
    """
    allowed = {"frames", "stride", "clips", "size", "whole"}
    wrong = sorted(set(sampling) - allowed)
    if wrong:
        raise PluginError(
            f"the encoder's sampling sets {', '.join(wrong)}; an encoder may set {', '.join(sorted(allowed))} "
            "(Backbone.sampling)"
        )
    return dataclasses.replace(recipe, **sampling)


def extract(
    encoder: nn.Module,
    videos: Sequence[Video],
    recipe: ClipRecipe,
    reader: Reader,
    *,
    device: torch.device,
    batch_size: int,
    workers: int = 0,
    report: Report | None = None,
) -> Extraction:
    """Return the pooled features of every clip of every video.

    Args:
        encoder: a ``Backbone`` on ``device``; put in eval mode.
        videos: whose features.
        recipe: how each is read, the encoder's own sampling already in it.
        reader: reads pixels.
        device: where the encoder is.
        batch_size: clips a forward pass; changes results by rounding alone.
        workers: threads that read ahead; 0: read in between.
        report: called with the videos done and their number.

    Raises:
        PluginError: the encoder does not return pooled features ``[B, D]``.
    """
    encoder.eval()
    rows: list[int] = []
    unreadable: dict[str, str] = {}
    waiting: list[np.ndarray] = []
    parts: list[np.ndarray] = []
    requests = ((video, lambda video=video: recipe_views(video, recipe)) for video in videos)
    for row, result in enumerate(_read(requests, reader, workers)):
        if isinstance(result, ClipError):
            unreadable[videos[row].video_id] = str(result)
        else:
            rows.append(row)
            waiting += result
        while len(waiting) >= batch_size:
            parts.append(_encode(encoder, waiting[:batch_size], device))
            del waiting[:batch_size]
        if report is not None:
            report(row + 1, len(videos))
    if waiting:
        parts.append(_encode(encoder, waiting, device))
    n_clips = len(rows) * recipe.clips
    width = parts[0].shape[1] if parts else int(encoder.embed_dim)  # type: ignore[arg-type]
    values = np.concatenate(parts) if parts else np.zeros((0, width), dtype=np.float32)
    return Extraction(
        values=values.reshape(len(rows), recipe.clips, width),
        rows=np.array(rows, dtype=np.int64),
        unreadable=unreadable,
        frames=n_clips * recipe.frames,
        clips=n_clips,
    )


def settle_batch_norm(
    encoder: nn.Module, videos: Sequence[Video], recipe: ClipRecipe, reader: Reader, *, device: torch.device
) -> tuple[nn.Module, int]:
    """Return a copy of an encoder whose batch norms hold statistics of the protocol's own clips, and the clips read.

    Statistics at the end of a short training lag behind the weights, and a random network has none. They are averaged
    over ``recipe.settle_batches`` batches of unperturbed clips with equal weights, as
    ``torch.optim.swa_utils.update_bn`` does, but with dropout off. The encoder that is passed in stays as it is; it is
    returned itself where it has no batch norm.

    Args:
        encoder: a ``Backbone`` on ``device``.
        videos: the videos to fit on; clips are taken from them in a fixed mixed order.
        recipe: how they are read; its perturbation is ignored.
        reader: reads pixels.
        device: where the encoder is.

    Raises:
        DataError: fewer than two clips can be read.
    """
    if recipe.settle_batches == 0 or not any(isinstance(module, _BatchNorm) for module in encoder.modules()):
        return encoder, 0
    plain = dataclasses.replace(recipe, perturb="none")
    order = np.random.default_rng([_STREAM_SETTLE, len(videos), recipe.clips]).permutation(len(videos) * recipe.clips)

    def request(pick: int) -> tuple[Video, Callable[[], list[View]]]:
        row, clip = divmod(int(pick), recipe.clips)
        return videos[row], lambda: recipe_views(videos[row], plain)[clip : clip + 1]

    results = _read((request(pick) for pick in order), reader, workers=0)
    readable = (result[0] for result in results if not isinstance(result, ClipError))
    clips = list(islice(readable, recipe.settle_batches * SETTLE_CLIPS))
    if len(clips) < 2:
        raise DataError(f"batch norm cannot be settled on {len(clips)} readable clips; set protocol.settle_batches=0")

    settled = copy.deepcopy(encoder).eval()
    for module in settled.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # a plain average over batches
            module.train()
    n_batches = min(recipe.settle_batches, max(1, len(clips) // 2))
    for batch in np.array_split(np.stack(clips), n_batches):  # even parts: no batch of a single clip
        _encode(settled, list(batch), device)
    return settled.eval(), len(clips)


def _encode(encoder: nn.Module, clips: Sequence[np.ndarray], device: torch.device) -> np.ndarray:
    """Return pooled features float32 ``[B, D]`` of uint8 clips ``[T, H, W, 3]``."""
    with torch.inference_mode():
        features = encoder(to_float(torch.from_numpy(np.stack(clips)).to(device)))
        pooled = features.pooled.float()
    if pooled.ndim != 2 or len(pooled) != len(clips):
        raise PluginError(
            f"the encoder returned pooled features {list(pooled.shape)} for {len(clips)} clips; expected [B, D]"
        )
    values: np.ndarray = pooled.cpu().numpy()
    return values


def _read(
    requests: Iterable[tuple[Video, Callable[[], list[View]]]], reader: Reader, workers: int
) -> Iterator[list[np.ndarray] | ClipError]:
    """Yield the clips of each request in order, or why it has none; up to ``4 * workers`` requests ahead."""
    if workers == 0:
        yield from (_read_one(reader, video, plan) for video, plan in requests)
        return
    pending: deque[Future[list[np.ndarray] | ClipError]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for video, plan in requests:
                pending.append(pool.submit(_read_one, reader, video, plan))
                if len(pending) >= 4 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _read_one(reader: Reader, video: Video, plan: Callable[[], list[View]]) -> list[np.ndarray] | ClipError:
    try:
        return reader(video, plan())
    except ClipError as error:
        return error
