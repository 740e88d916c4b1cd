"""Numbers of ``test_tasks_prp.py``: head and decoder, motion attention, error of the reconstruction, frames.

    git clone https://github.com/yuanyao366/PRP
    git -C PRP checkout a0e42ba735be6a6e46b77c989203cab312ed618d
    python tests/golden/make/prp.py PRP

``SSCN_OneClip`` in training mode, ``getPatchLossMask_DPAU`` and ``Motion_MSEloss_NoFakeGt`` with the weights and inputs
of the test, and 60 samples of ``PredictDataset`` on a video whose frame k is all k.
"""

from __future__ import annotations

import collections
import os
import random
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from official import checkout, compare, cut, finish, golden_test
from torch import Tensor, nn
from torchvision import transforms

COMMIT = "a0e42ba735be6a6e46b77c989203cab312ed618d"


class Capture:
    """200 frames of 4 x 4 pixels, each all its number."""

    def __init__(self, path: str) -> None:
        self._next = 0

    def get(self, what: str) -> float:
        return 200.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self._next == 200:
            return False, None
        self._next += 1
        return True, np.full((4, 4, 3), self._next - 1, dtype=np.uint8)

    def release(self) -> None:
        pass


CV2 = SimpleNamespace(
    VideoCapture=Capture,
    cvtColor=lambda frame, code: frame,
    CAP_PROP_FRAME_COUNT="frames",
    COLOR_BGR2RGB="rgb",
)


def heads_and_decoder(root: Path, stored: ModuleType) -> None:
    """The network behind a backbone that gives its map as it is."""
    parts = cut(root / "models" / "net_part.py", "conv3d", "up3d", nn=nn)
    network = cut(root / "models" / "sscn.py", "SSCN_OneClip", **parts)["SSCN_OneClip"]
    official = network(nn.Identity(), with_classifier=True, num_classes=4).train()
    stored.set_parameters(list(official.named_parameters()))
    with torch.no_grad():
        clip, logits = official(stored.wave(2, 512, 1, 2, 2, pitch=0.9))
    compare("logits", logits, stored.LOGITS, **stored.TOLERANCE)
    compare("shape of the clip", clip.shape, [2, 3, 16, 32, 32])
    compare("clip", stored.chosen_of(clip), stored.CLIP, **stored.TOLERANCE)
    compare(
        "mean and deviation of the clip",
        [clip.mean(), clip.std()],
        [stored.CLIP_MEAN, stored.CLIP_DEVIATION],
        rtol=1e-5,
    )


def frames(root: Path, stored: ModuleType, attention: Any) -> None:
    """What of a video is shown, rebuilt, and measured for motion, by stride."""
    measured: list[tuple[int, int]] = []

    def noted(clip: Tensor, rebuilt: Tensor, low: float, high: float) -> Tensor:
        numbers = (255 * clip[0, :, 0, 0]).round().int()
        assert torch.equal(numbers - numbers[0], torch.arange(16, dtype=torch.int32))
        mask = attention(clip, rebuilt, low=low, high=high)
        measured.append((int(numbers[0]), mask.shape[1]))
        return mask

    official = cut(
        root / "datasets" / "predict_dataset.py",
        "PredictDataset",
        collections=collections,
        cv2=CV2,
        data=torch.utils.data,
        np=np,
        os=os,
        patch_region=SimpleNamespace(getPatchLossMask_DPAU=noted),
        pd=SimpleNamespace(read_csv=lambda path, **options: {0: ["x"]}),  # a split with one video
        random=random,
        torch=torch,
        transforms=transforms,
    )
    loader = official["PredictDataset"]("")
    np.random.seed(0)
    found = {}
    for _ in range(60):
        measured.clear()
        shown, rebuilt, label, _, mask, real = loader[0]
        assert mask.shape[1] == rebuilt.shape[1] == 32
        shown, rebuilt = ((255 * clip[0, :, 0, 0]).round().int() for clip in (shown, rebuilt[:, real == 1]))
        first = int(shown[0])
        (each,) = {length for _, length in measured}
        places = [start - first for start, _ in measured]
        sample = ((shown - first).tolist(), (rebuilt - first).tolist(), places, each)
        assert found.setdefault(loader.sample_step_list[label], sample) == sample
    compare("strides", sorted(found), sorted(stored.OFFICIAL_FRAMES))
    for stride, expected in sorted(stored.OFFICIAL_FRAMES.items()):
        names = ("frames", "rebuilt frames", "lengths that motion is measured in", "rebuilt frames of each length")
        for name, numbers, official_ones in zip(names, found[stride], expected, strict=True):
            compare(f"stride {stride}, {name}", numbers, official_ones)


def main() -> int:
    """Run each part, and compare."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = checkout(sys.argv[1], COMMIT)
    stored = golden_test("test_tasks_prp")
    heads_and_decoder(root, stored)

    mask = cut(root / "datasets" / "patch_region.py", "getPatchLossMask_DPAU", F=F, torch=torch)
    attention = mask["getPatchLossMask_DPAU"]
    clips = stored.moving_still_and_partly()
    moving, still, partly = (attention(clip, torch.zeros(3, 4, 112, 112), low=0.8, high=2.0) for clip in clips)
    assert torch.equal(moving, moving[:, :1].expand_as(moving)), "the same in all rebuilt frames"
    moving, still, partly = moving[:, 0], still[:, 0], partly[:, 0]
    compare("attention, means", moving.mean((1, 2)), stored.ATTENTION_MEAN, **stored.TOLERANCE)
    chosen = torch.stack([moving[place] for place in stored.ATTENTION])
    compare("attention", chosen, list(stored.ATTENTION.values()), **stored.TOLERANCE)
    for name, flat, expected in (("where nothing moves", still, 1.0), ("of a still channel", partly[1], 2.0)):
        compare(f"attention {name}, from and to", [flat.min(), flat.max()], [expected] * 2, rtol=1.3e-6, atol=1e-5)
    change = (partly[0] - moving[0]).abs().max()
    compare("attention of another channel than the still one, change", change, 0.0, rtol=1.3e-6, atol=1e-5)

    losses = cut(root / "train_predict.py", "Motion_MSEloss_NoFakeGt", nn=nn, torch=torch)
    error = losses["Motion_MSEloss_NoFakeGt"]()
    output, target, weight, real = stored.reconstructions()
    found = [error(output, target, weight, flags) for flags in real]
    compare("errors", found, stored.ERRORS, rtol=1e-6)

    frames(root, stored, attention)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
