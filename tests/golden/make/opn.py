"""Numbers of ``test_tasks_opn.py``: classes of orders, crops and channels; the head.

    git clone https://github.com/HsinYingLee/OPN
    git -C OPN checkout d0ba14e54f53c74eed6fc9ab42b7ea650d4f83d6
    git clone https://github.com/xudejing/video-clip-order-prediction
    git -C video-clip-order-prediction checkout 7a1710d3debd66a328e2395676fecd18ecdebeae
    python tests/golden/make/opn.py OPN video-clip-order-prediction

``train_temporal_four.forward`` makes 400 tuples of frames of constant grey, and 400 of frames that show their
coordinates, each after ``random.seed(0)``; ``OPN``, its last layer cut to 12 classes, has the weights and features of
the test.
"""

from __future__ import annotations

import math
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from official import checkout, compare, cut, finish, golden_test
from PIL import Image
from torch import nn

COMMIT = "d0ba14e54f53c74eed6fc9ab42b7ea650d4f83d6"
HEAD_COMMIT = "7a1710d3debd66a328e2395676fecd18ecdebeae"

MEAN = 96.5  # that the official layer takes off


def grey(number: int) -> np.ndarray:
    """A frame that is all 10 times its number, from 0 to 3."""
    return np.full((120, 120, 3), 10 * number, dtype=np.uint8)


def coordinates(number: int) -> np.ndarray:
    """Rows in red, columns in green, 200 in blue."""
    y, x = np.meshgrid(np.arange(120), np.arange(120), indexing="ij")
    return np.stack([y, x, np.full_like(y, 200)], axis=2).astype(np.uint8)


def tuples(root: Path, frame: Callable[[int], np.ndarray], n: int) -> list[tuple[np.ndarray, int]]:
    """What the official layer puts into its outputs: ``[4, 3, 80, 80]`` with the mean put back, and the label."""

    def open_frame(path: str) -> Image.Image:
        match = re.search(r"frame(\d+)\.jpg$", path)
        assert match is not None
        return Image.fromarray(frame(int(match[1])))

    official = cut(
        root / "UCF_datalayers.py",
        "train_temporal_four",
        caffe=SimpleNamespace(Layer=object),
        Image=SimpleNamespace(open=open_frame, FLIP_LEFT_RIGHT=Image.FLIP_LEFT_RIGHT),
        np=np,
        random=random,
        select=[0, 1, 2, 3],  # used there, and defined nowhere
        shuffle=random.shuffle,
    )
    layer: Any = official["train_temporal_four"]()
    # What setup() would read from files: one tuple of four frames, and a region that starts at row 7, column 9.
    layer.batchsize, layer.tuplenum, layer.idxcounter, layer.randlist = 1, 1, 0, [0]
    layer.imagesize = layer.height = layer.width = 80
    layer.channels, layer.label = 3, np.zeros(1)
    layer.filelist, layer.framelist, layer.croplist = ["x"], [[0, 1, 2, 3]], np.array([[7, 9]])
    found = []
    for _ in range(n):
        top = [SimpleNamespace(data=np.zeros((1, 3, 80, 80))) for _ in range(4)] + [SimpleNamespace(data=np.zeros(1))]
        layer.forward(None, top)
        found.append((np.stack([blob.data[0] for blob in top[:4]]) + MEAN, int(top[4].data[0])))
    return found


def orders_crops_and_channels(root: Path, stored: ModuleType) -> None:
    """The layer that reads frames."""
    random.seed(0)
    shown = {(*(clip[:, 0, 0, 0] / 10).astype(int).tolist(), label) for clip, label in tuples(root, grey, 400)}
    expected = [(*order, label) for order, label in stored.OFFICIAL]
    compare("frames in the order that they are shown in, and labels", sorted(shown), sorted(expected))

    random.seed(0)
    rows, combinations = [], set()
    for clip, _ in tuples(root, coordinates, 400):
        assert (clip == clip[:, :1]).all(), "three equal channels in every frame"
        down, across = (clip[:, 0, -1, 0] - clip[:, 0, 0, 0] != 0), (clip[:, 0, 0, -1] - clip[:, 0, 0, 0] != 0)
        channels = np.where(down, 0, np.where(across, 1, 2))
        combinations.add(tuple(channels.tolist()))
        rows.extend(clip[channels == 0, 0, 0, 0].tolist())
    compare("smallest and largest first row of a crop", [min(rows), max(rows)], stored.OFFICIAL_FIRST_ROWS)
    compare("combinations of channels", len(combinations), stored.OFFICIAL_COMBINATIONS)


def head(root: Path, stored: ModuleType) -> None:
    """Logits and loss."""
    official = cut(root / "models" / "opn.py", "OPN", math=math, nn=nn, torch=torch)["OPN"]
    network = official(base_network=nn.Flatten(), feature_size=4, tuple_len=4).eval()
    network.fc8 = nn.Linear(network.fc8.in_features, 12)
    with torch.no_grad():
        stored.set_head(network.fc7, network.fc8)
        logits = network(stored.wave(2, 4, 4, pitch=0.9).view(2, 4, 4, 1, 1))
        loss = nn.functional.cross_entropy(logits, torch.tensor([3, 10]))
    compare("logits", logits, stored.OFFICIAL_LOGITS, rtol=1e-4, atol=1e-4)
    compare("loss", loss, stored.OFFICIAL_LOSS, rtol=1e-4, atol=1e-4)


def main() -> int:
    """Run both, and compare."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    layers, heads = checkout(sys.argv[1], COMMIT), checkout(sys.argv[2], HEAD_COMMIT)
    stored = golden_test("test_tasks_opn")
    orders_crops_and_channels(layers, stored)
    head(heads, stored)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
