"""Numbers of ``test_tasks_vcop.py``: the head, the numbering of orders, where the clips of a tuple lie.

    git clone https://github.com/xudejing/video-clip-order-prediction
    git -C video-clip-order-prediction checkout 7a1710d3debd66a328e2395676fecd18ecdebeae
    python tests/golden/make/clip_order.py video-clip-order-prediction

``VCOPN`` with the weights and features of the test; ``order_class_index`` of every order of three; the tuples that
``UCF101VCOPDataset`` cuts out of a video of 64 frames, which are their own numbers.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import sys
from types import SimpleNamespace

import numpy as np
import torch
from official import checkout, compare, cut, finish, golden_test
from torch import nn

COMMIT = "7a1710d3debd66a328e2395676fecd18ecdebeae"


def vread(path: str) -> np.ndarray:
    """64 frames of one pixel, each its number."""
    return np.arange(64).reshape(64, 1, 1, 1)


def main() -> int:
    """Run the head, number the orders, cut the tuples, and compare."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = checkout(sys.argv[1], COMMIT)
    stored = golden_test("test_tasks_vcop")

    head = cut(root / "models" / "vcopn.py", "VCOPN", math=math, nn=nn, torch=torch)["VCOPN"]
    official = head(base_network=nn.Flatten(), feature_size=4, tuple_len=3).eval()
    ours = stored.fixed_head()
    with torch.no_grad():
        official.fc7.load_state_dict(ours.pair.state_dict())
        official.fc8.load_state_dict(ours.order.state_dict())
        features = stored.wave(2, 3, 4, pitch=0.9)
        logits = official(features.view(2, 3, 4, 1, 1, 1))
    compare("logits", logits, stored.OFFICIAL_LOGITS, rtol=1e-4, atol=1e-4)

    number = cut(root / "train_vcop.py", "order_class_index", itertools=itertools)["order_class_index"]
    classes = {order: number(torch.tensor(order)) for order in itertools.permutations(range(3))}
    compare("classes of orders", classes, stored.OFFICIAL_CLASSES)

    given = {"np": np, "os": os, "random": random, "torch": torch, "Dataset": object}
    readers = {"skvideo": SimpleNamespace(io=SimpleNamespace(vread=vread))}
    tuples = cut(root / "datasets" / "ucf101.py", "UCF101VCOPDataset", **given, **readers)["UCF101VCOPDataset"]
    loader = object.__new__(tuples)  # __init__ reads a list of files
    loader.root_dir, loader.train, loader.train_split, loader.transforms_ = "", True, ["x"], None
    loader.clip_len, loader.interval, loader.tuple_len, loader.tuple_total_frames = 16, 8, 3, 64
    random.seed(0)
    seen = {}
    for _ in range(60):
        clips, order = loader[0]
        starts = [int(np.ravel(clip)[0]) for clip in clips]
        for clip, start in zip(clips, starts, strict=True):
            assert np.ravel(clip).tolist() == list(range(start, start + 16))
        seen[tuple(start // 24 for start in starts)] = number(torch.as_tensor(order))
        places = sorted(starts)
    compare("first frames of the clips", places, [0, 24, 48])
    compare("classes of the orders that are shown", dict(sorted(seen.items())), stored.OFFICIAL_CLASSES)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
