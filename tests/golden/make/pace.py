"""Numbers of ``test_tasks_pace.py``: the frames of a clip at every rate, with and without a loop.

    git clone https://github.com/laura-wang/video-pace
    git -C video-pace checkout cc1e56124e8d1a0fae5340e1851846eeccf12c88
    python tests/golden/make/pace.py video-pace

``loop_load_rgb`` and ``__getitem__`` of ``ucf101_pace_pretrain`` read frames that are the numbers in the names of their
files.
"""

from __future__ import annotations

import os
import random
import re
import sys
from types import SimpleNamespace

import numpy as np
from official import checkout, compare, cut, finish, golden_test

COMMIT = "cc1e56124e8d1a0fae5340e1851846eeccf12c88"


def imread(path: str) -> np.ndarray:
    """A frame of one pixel, the number in its file's name."""
    match = re.search(r"frame(\d+)\.jpg$", path)
    assert match is not None
    return np.full((1, 1, 3), int(match[1]))


def main() -> int:
    """Load the clips, and compare."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = checkout(sys.argv[1], COMMIT)
    given = {"cv2": SimpleNamespace(imread=imread), "np": np, "os": os, "random": random}
    official = cut(root / "datasets" / "ucf101.py", "ucf101_pace_pretrain", Dataset=object, **given)
    loader = object.__new__(official["ucf101_pace_pretrain"])  # __init__ reads a list of files
    stored = golden_test("test_tasks_pace")
    for plan, frames in (stored.FITS | stored.LOOPS).items():
        start, rate, clip_len, num_frames = plan
        clip = loader.loop_load_rgb("x", start, rate, clip_len, num_frames)
        compare(f"frames of {plan}", clip[:, 0, 0, 0], frames)
    # Clips of 2 frames in videos of 1000, so that hardly any draw of 60 has its loop between the two.
    loader.rgb_lines, loader.rgb_prefix, loader.clip_len, loader.max_sr = ["x 0 1000\n"], "", 2, 4
    loader.transforms_ = loader.toPIL = loader.color_jitter_ = lambda frames: frames
    random.seed(0)
    pairs = set()
    for _ in range(60):
        clip, label = loader[0]
        if clip[0, 1, 0, 0] > clip[0, 0, 0, 0]:
            pairs.add((int(clip[0, 1, 0, 0] - clip[0, 0, 0, 0]), label))
    compare("pairs of rate and label", sorted(pairs), [(1, 0), (2, 1), (3, 2), (4, 3)])
    return finish()


if __name__ == "__main__":
    sys.exit(main())
