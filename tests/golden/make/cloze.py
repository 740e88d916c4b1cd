"""Numbers of ``test_tasks_cloze.py``, from an unofficial code that reports the paper's accuracy.

    git clone https://github.com/BestJuly/VCP
    git -C VCP checkout ca99a08dc6540a5f9ebfdca11a83e9f7248fe335
    python tests/golden/make/cloze.py VCP

Its functions are cut out of their files, which import what they do not need here. Reading a clip is replaced: it gives
the numbers of its frames.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np
import torch
from official import checkout, compare, cut, finish, golden_test
from torch import Tensor, nn

COMMIT = "ca99a08dc6540a5f9ebfdca11a83e9f7248fe335"
SEEDS = range(400)  # enough for every outcome to come


def clips(frames: int = 8) -> Tensor:
    """``[1, 4, 1, frames, 4, 4]``: three clips and the one for elsewhere, whose pixels are 1000 more."""
    t, y, x = torch.meshgrid(torch.arange(frames), torch.arange(4), torch.arange(4), indexing="ij")
    clip = 100 * t + 10 * y + x
    return torch.stack([clip, clip, clip, clip + 1000])[None, :, None].clone()


def middle(train: dict[str, Any], label: int, seed: int) -> Tensor:
    """The middle clip, ``[8, 4, 4]``, after the operation of a label; the others must be left alone."""
    random.seed(seed)
    given = train["preprocess"](clips(), [label])[0, :, 0]
    assert torch.equal(given[0], clips()[0, 0, 0]), "the first clip was changed"
    assert torch.equal(given[2], clips()[0, 2, 0]), "the last clip was changed"
    return given[1]


def operation(clip: Tensor) -> str:
    """The name of what was done to a middle clip."""
    plain = clips()[0, 0, 0]
    if torch.equal(clip, plain):
        return "original"
    if torch.equal(clip, plain + 1000):
        return "remote"
    if not torch.equal(clip // 100, plain // 100):
        return "adjacent"
    turned = any(torch.equal(clip, torch.rot90(plain, turns, [1, 2])) for turns in (1, 2, 3))
    return "rotation" if turned else "permutation"


def main(path: str) -> int:
    code = checkout(path, COMMIT)
    names = ("preprocess", "spatial_permutation", "adjacent_shuffle")
    train = cut(code / "train_vcp.py", *names, torch=torch, random=random)
    read = cut(
        code / "datasets" / "ucf101.py",
        "load4clips",
        random=random,
        load_one_clip=lambda folder, frames, start, length: np.arange(start, start + length),
    )
    network = cut(code / "models" / "vcopn.py", "VCPN", torch=torch, nn=nn)
    test = golden_test("test_tasks_cloze")

    for label, name in enumerate(test.LABELS):
        compare(f"LABELS[{label}]", {operation(middle(train, label, seed)) for seed in SEEDS}, {name})
    compare("ORIGINAL", middle(train, 0, 0)[0], test.ORIGINAL)
    compare("REVERSED_QUARTERS", middle(train, 2, 0)[0], test.REVERSED_QUARTERS)

    turned: dict[int, Any] = {}
    exchanged: dict[tuple[int, int], Any] = {}
    of_seven: dict[tuple[int, int], Any] = {}
    for seed in SEEDS:
        # What the code is about to draw, drawn once before it.
        random.seed(seed)
        turns = random.randint(0, 2) + 1
        random.seed(seed)
        one = random.randint(0, 3)
        other = (one + random.randint(0, 2) + 1) % 4
        parts = (min(one, other), max(one, other))

        turned[turns] = middle(train, 1, seed)[0].tolist()
        exchanged[parts] = (middle(train, 3, seed)[:, 0, 0] // 100).tolist()
        random.seed(seed)
        of_seven[parts] = (train["adjacent_shuffle"](clips(7)[0, 0])[0, :, 0, 0] // 100).tolist()
    for turns, stored in test.TURNED.items():
        compare(f"TURNED[{turns}]", turned[turns], stored)
    for parts, stored in test.EXCHANGED.items():
        compare(f"EXCHANGED[{parts}]", exchanged[parts], stored)
    compare("EXCHANGED_OF_SEVEN", of_seven[1, 2], test.EXCHANGED_OF_SEVEN)

    remote = set()
    for seed in SEEDS:
        random.seed(seed)
        found, label = read["load4clips"]("", range(57), 20, 3, 4, 2)
        if label == 4:
            remote.add(int(found[3][0]))
    compare("REMOTE", remote, test.REMOTE)

    head = network["VCPN"](nn.Flatten(), 512)  # features go in and are handed on
    with torch.no_grad():
        head.fc.weight.copy_(test.wave(5, 1536, pitch=0.23) * 0.05)
        head.fc.bias.copy_(test.wave(5, pitch=0.7))
    compare("HEAD", head(test.wave(2, 3, 512, pitch=0.9)[..., None, None, None]), test.HEAD, rtol=1e-4, atol=1e-4)
    return finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
