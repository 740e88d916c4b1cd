"""Videos, a reader, batches and a network that need no files and no other plugin."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vssl_core.contracts import Batch, Features, PretextTask, Targets, Video, View
from vssl_core.data.loader import Loader
from vssl_core.errors import ClipError, DataError

__all__ = ["FakeBackbone", "FakeDataset", "FakeReader", "fake_batch", "fake_videos"]

_FPS = 25.0
_TEXTURE = 5


def fake_videos(n: int = 8, frames: int = 96, size: tuple[int, int] = (48, 64)) -> list[Video]:
    """Return rows of ``n`` videos that exist nowhere; ``FakeReader`` reads them.

    Args:
        n: videos.
        frames: readable frames of each.
        size: height and width as shown.
    """
    return [
        Video(
            index=index,
            video_id=f"fake-{index}",
            source=f"fake://{index}",
            n_frames=frames,
            fps=_FPS,
            duration_s=frames / _FPS,
            size=size,
            motion=_motion(frames, index),
        )
        for index in range(n)
    ]


def _motion(frames: int, index: int) -> np.ndarray:
    """Return float32 ``[frames]`` in [0, 1]: something always moves, here more and there less; the first entry is 0."""
    curve = 0.05 + 0.04 * np.sin(0.3 * np.arange(frames) + index)
    curve[0] = 0.0
    return curve.astype(np.float32)


class FakeReader:
    """Reads ``fake_videos``: each has a texture of its own that drifts, so that no two frames agree.

    A frame's pixels are a function of ``Video.index``, its number and the view's size alone.

    Args:
        n_classes: above 0: the video's colour and drift tell its class, ``Video.index % n_classes``.
    """

    def __init__(self, n_classes: int = 0) -> None:
        self.n_classes = n_classes

    def __call__(self, video: Video, views: Sequence[View]) -> list[np.ndarray]:
        """Return uint8 ``[T, H, W, 3]`` per view.

        Raises:
            ClipError: a frame is asked for that the video does not have.
        """
        return [self._read(video, view) for view in views]

    def _read(self, video: Video, view: View) -> np.ndarray:
        frames = np.asarray(view.frames)
        if video.n_frames < 1:
            raise ClipError(f"video {video.video_id!r} has no readable frames")
        if len(frames) and (frames.min() < 0 or frames.max() >= video.n_frames):
            raise ClipError(f"video {video.video_id!r} has {video.n_frames} frames, asked for {frames.tolist()}")
        rng = np.random.default_rng([_TEXTURE, video.index])
        height, width = view.size
        waves = rng.uniform(0.5, 3.0, size=(3, 2)) * 2 * np.pi
        phase, drift = rng.uniform(0, 2 * np.pi, size=3), rng.uniform(0.1, 0.4, size=3)
        y = np.linspace(0, 1, height)[None, :, None, None]
        x = np.linspace(0, 1, width)[None, None, :, None]
        t = frames[:, None, None, None].astype(np.float64)
        if self.n_classes:
            kind = video.index % self.n_classes
            drift = drift + 0.5 * kind
            tint = np.cos(2 * np.pi * (kind / self.n_classes + np.arange(3) / 3))
            wave = np.sin(waves[:, 0] * y + waves[:, 1] * x + phase + drift * t)
            return (127.5 + 70 * wave + 55 * tint).astype(np.uint8)
        pixels = 127.5 + 127.5 * np.sin(waves[:, 0] * y + waves[:, 1] * x + phase + drift * t)
        return pixels.astype(np.uint8)


class FakeDataset:
    """A ``Dataset`` of fake videos with a label of classes (``"kind"``) and one of numbers (``"speed"``).

    Args:
        n_train: videos of split ``"train"``.
        n_test: videos of split ``"test"``.
        n_classes: classes of ``"kind"``, told by colour and drift.
        frames: readable frames of a video.
        unreadable: so many of the test videos have no readable frames.
    """

    name = "fake"

    def __init__(
        self, *, n_train: int = 60, n_test: int = 24, n_classes: int = 3, frames: int = 96, unreadable: int = 0
    ) -> None:
        self.n_classes = n_classes
        videos = fake_videos(n_train + n_test, frames)
        broken = range(n_train, n_train + unreadable)
        rows = [dataclasses.replace(v, n_frames=0, duration_s=0.0) if v.index in broken else v for v in videos]
        self._videos = {"train": rows[:n_train], "test": rows[n_train:]}

    def splits(self) -> Sequence[str]:
        """Return ``("train", "test")``."""
        return tuple(self._videos)

    def videos(self, split: str) -> Sequence[Video]:
        """Return the videos of a split."""
        return self._videos[split]

    def labels(self) -> Sequence[str]:
        """Return ``("kind", "speed")``."""
        return ("kind", "speed")

    def targets(self, split: str, label: str) -> Targets:
        """Return class ``index % n_classes``, or it as a number.

        Raises:
            DataError: there is no such label.
        """
        kinds = np.array([video.index % self.n_classes for video in self._videos[split]], dtype=np.int64)
        if label == "kind":
            return Targets("class", kinds, tuple(f"kind-{k}" for k in range(self.n_classes)))
        if label == "speed":
            return Targets("number", kinds.astype(np.float32), ())
        raise DataError(f"data set 'fake' has no label {label!r}; it has 'kind' and 'speed'")

    def groups(self, split: str) -> Sequence[str]:
        """Return each video's own id: none share a source."""
        return [video.video_id for video in self._videos[split]]

    def content_hashes(self, split: str) -> Sequence[str]:
        """Return each video's source, which decides its pixels."""
        return [video.source for video in self._videos[split]]

    def reader(self) -> FakeReader:
        """Return a reader that draws the pixels."""
        return FakeReader(self.n_classes)

    @property
    def provenance(self) -> Mapping[str, str]:
        """Return nothing: the pixels are made from the index."""
        return {}

    def fingerprint(self) -> str:
        """Return what the pixels and labels depend on."""
        shape = [(split, len(rows), sum(v.n_frames for v in rows)) for split, rows in self._videos.items()]
        return f"fake-{self.n_classes}-{shape}"


def fake_batch(
    task: PretextTask,
    n: int = 4,
    *,
    frames: int = 96,
    seed: int = 0,
    n_classes: int = 0,
    videos: Sequence[Video] | None = None,
) -> Batch:
    """Return what the loader would hand to ``task`` for ``n`` fake videos: uint8 views, targets, seeds, index.

    Args:
        task: asked for its planner.
        n: videos.
        frames: readable frames of each video; enough for what the task asks.
        seed: decides frames, targets and ``Batch.seeds``.
        n_classes: above 0: ``targets["label"]`` holds labels 0, 1, ... as for a task that needs labels.
        videos: rows to plan for instead.

    Raises:
        DataError: the planner refuses the videos, or its views do not stack.
    """
    rows = list(videos) if videos is not None else fake_videos(n, frames)
    labels = np.arange(len(rows)) % n_classes if n_classes else None
    loader = Loader(rows, task.planner(), FakeReader(), batch_size=len(rows), seed=seed, workers=0, labels=labels)
    return next(iter(loader.batches(0, 1)))


class FakeBackbone(nn.Module):
    """A linear map of space-time patches with every capability; takes any clip that its patches divide.

    Attributes:
        embed_dim: 24.
        patch_size: frames, rows and columns of a patch.
    """

    provides = frozenset({"map", "temporal", "tokens", "masking", "frames"})
    input_mode = "raw"

    def __init__(self, embed_dim: int = 24, patch_size: tuple[int, int, int] = (2, 4, 4)) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.patch_size = patch_size
        self.sampling: Mapping[str, Any] = {}
        self.project = nn.Conv3d(3, embed_dim, patch_size, stride=patch_size)
        self.mix = nn.Linear(embed_dim, embed_dim)

    def preprocess(self, video: Tensor) -> Tensor:
        """Centre float ``[B, 3, T, H, W]``; its last frame is repeated to fill a patch."""
        missing = -video.shape[2] % self.patch_size[0]
        if missing:
            video = torch.cat([video, video[:, :, -1:].expand(-1, -1, missing, -1, -1)], dim=2)
        return (video - 0.5) * 2

    def embed(self, video: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """Return tokens ``[B, N, D]`` and their grid ``(t, h, w)``."""
        patches = self.project(video)
        t, h, w = patches.shape[2:]
        return patches.flatten(2).transpose(1, 2), (t, h, w)

    def encode(self, tokens: Tensor, keep: Tensor) -> Tensor:
        """Return ``[B, K, D]`` of the tokens ``keep`` int64 ``[B, K]``."""
        kept = tokens.gather(1, keep.unsqueeze(-1).expand(-1, -1, tokens.shape[2]))
        mixed: Tensor = self.mix(torch.relu(kept))
        return mixed

    def frame_features(self, video: Tensor) -> Tensor:
        """Return ``[B, T, D]``, each frame taken as a clip that stands still."""
        batch, channels, frames, height, width = video.shape
        still = video.transpose(1, 2).reshape(batch * frames, channels, 1, height, width)
        pooled: Tensor = self(still).pooled
        return pooled.reshape(batch, frames, -1)

    def forward(self, video: Tensor) -> Features:
        """Return the features of float ``[B, 3, T, H, W]`` in [0, 1]."""
        tokens, grid = self.embed(self.preprocess(video))
        tokens = self.mix(torch.relu(tokens))
        return Features(map=tokens.transpose(1, 2).unflatten(2, grid), pooled=tokens.mean(1))
