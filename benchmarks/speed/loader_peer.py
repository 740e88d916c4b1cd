"""The loader to compare with: torch's DataLoader, a clip a sample, augmented by torchvision in the workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from peers import File, make_reader
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from vssl_core.contracts import Planner, Video
from vssl_core.data.plan import sample_rng

__all__ = ["FLIP", "HUE", "JITTER", "PEERS", "RATIO", "SCALE", "PeerLoader"]

# The law of the augmentation, ours and theirs: smallest part of the area, aspect ratio, probability, factors.
SCALE, RATIO, FLIP, JITTER, HUE = 0.3, (3 / 4, 4 / 3), 0.5, 0.4, 0.1
#: of each library how it comes to a frame, and to a size
PEERS = {"torchcodec": ("approximate", "decoder"), "PyAV": ("seek", "bilinear")}

#: a video's place in the list, and the epoch
_Key = tuple[int, int]


class _Clips(Dataset[Tensor]):
    """Augmented clips, float32 ``[3, T, size, size]`` in [0, 1]."""

    def __init__(
        self,
        videos: Sequence[Video],
        files: Sequence[File],
        planner: Planner,
        library: str,
        *,
        seed: int,
        size: int,
        read_size: tuple[int, int] | None,
    ) -> None:
        self._videos, self._files, self._planner, self._seed = videos, files, planner, seed
        self._library, self._read_size = library, read_size
        self._transform = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(SCALE, 1.0), ratio=RATIO, antialias=True),
                v2.RandomHorizontalFlip(FLIP),
                v2.ColorJitter(JITTER, JITTER, JITTER, HUE),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, key: _Key) -> Tensor:
        row, epoch = key
        video = self._videos[row]
        # The clip that our loader's workers plan for this epoch.
        views, _ = self._planner(video, sample_rng(self._seed, epoch, video.index))
        mode, resize = PEERS[self._library]
        reader = make_reader(self._library, self._files[row], mode=mode, size=self._read_size, resize=resize)
        clip = torch.from_numpy(reader(views[0].frames)).permute(0, 3, 1, 2)
        augmented: Tensor = self._transform(clip).transpose(0, 1)
        return augmented


class PeerLoader:
    """Batches of augmented clips, float32 ``[B, 3, T, size, size]`` in [0, 1].

    Args:
        videos: one file each.
        files: theirs.
        planner: draws the frames of a clip.
        library: a key of ``PEERS``.
        batch_size: clips a batch; divides the number of videos.
        workers: processes.
        seed: of the clips and of the order of videos.
        size: height and width of what is delivered.
        read_size: height and width that frames are read at, before the crop; ``None``: the file's.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        files: Sequence[File],
        planner: Planner,
        library: str,
        *,
        batch_size: int,
        workers: int,
        seed: int,
        size: int,
        read_size: tuple[int, int] | None,
    ) -> None:
        clips = _Clips(videos, files, planner, library, seed=seed, size=size, read_size=read_size)
        self._order = _Order(len(videos), batch_size, seed)
        self._loader: Any = DataLoader(
            clips,
            batch_sampler=self._order,
            num_workers=workers,
            persistent_workers=workers > 0,
        )

    def batches(self, epochs: range) -> Iterator[Tensor]:
        """Yield the batches of whole epochs, in one stream."""
        self._order.epochs = epochs
        yield from self._loader

    def close(self) -> None:
        """End the workers."""
        self._loader = None


class _Order:
    """A batch sampler: every video once an epoch."""

    def __init__(self, n_videos: int, batch_size: int, seed: int) -> None:
        self.epochs = range(0)
        self._n_videos, self._batch_size, self._seed = n_videos, batch_size, seed

    def __iter__(self) -> Iterator[list[_Key]]:
        for epoch in self.epochs:
            generator = torch.Generator().manual_seed(self._seed + epoch)
            rows = torch.randperm(self._n_videos, generator=generator).tolist()
            for at in range(0, len(rows), self._batch_size):
                yield [(row, epoch) for row in rows[at : at + self._batch_size]]
