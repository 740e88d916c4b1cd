"""Numbers of ``test_tasks_rotation.py``: the turned clips and the frames of the official loader.

    git clone https://github.com/LongLong-Jing/3DRotNet
    git -C 3DRotNet checkout 32dcfcfc887cd36ede8c810aa7ee7f85c7e558fe
    python tests/golden/make/rotation.py 3DRotNet

``Video_Dataloader.__getitem__`` reads a video of 40 frames of 3 x 3 pixels, 100 t + 10 y + x, after ``random.seed(3)``.
"""

from __future__ import annotations

import random
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from official import checkout, compare, cut, finish, golden_test
from torch import Tensor

COMMIT = "32dcfcfc887cd36ede8c810aa7ee7f85c7e558fe"


class File:
    """What ``h5py.File`` gave under Python 2, where keys and items were lists: one group with one array."""

    def __init__(self, path: str, mode: str) -> None:
        t, y, x = np.meshgrid(np.arange(40), np.arange(3), np.arange(3), indexing="ij")
        self._video = np.repeat((100 * t + 10 * y + x)[..., None], 3, axis=3)

    def keys(self) -> list[str]:
        return ["video"]

    def items(self) -> list[tuple[str, None]]:
        return [("frames", None)]

    def get(self, name: str) -> Any:
        return self if name == "video" else self._video


def to_tensor(frames: list[np.ndarray]) -> Tensor:
    """``[3, T, H, W]``, without the random crop and flip and the normalisation that would hide the numbers."""
    return torch.from_numpy(np.stack(frames).transpose(3, 0, 1, 2).copy())


def main() -> int:
    """Run the loader, and compare."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = checkout(sys.argv[1], COMMIT)
    old_numpy = SimpleNamespace(**vars(np) | {"float": float})  # numpy.float went in 1.24
    given = {"h5py": SimpleNamespace(File=File), "np": old_numpy, "random": random, "torch": torch}
    official = cut(root / "Video_dataloader.py", "Video_Dataloader", data=torch.utils.data, **given)
    loader = object.__new__(official["Video_Dataloader"])  # __init__ reads lists of files
    loader.data_list, loader.nframes, loader.video_transform_one = ["x"], 40, to_tensor
    random.seed(3)
    items = loader[0]
    stored = golden_test("test_tasks_rotation")
    clips, targets = items[:4], items[4:]
    compare("first frames less 300", torch.stack([clip[0, 0] - 300 for clip in clips]), stored.OFFICIAL)
    compare("targets", torch.cat(targets), [0, 1, 2, 3])
    for turn, clip in enumerate(clips):
        frames = 3 + (clip - clip[:, :1]) // 100
        assert bool((frames == frames[:1, :, :1, :1]).all()), "a turn is the same in all frames and channels"
        compare(f"frames of the clip turned by {turn}", frames[0, :, 0, 0], stored.OFFICIAL_FRAMES)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
