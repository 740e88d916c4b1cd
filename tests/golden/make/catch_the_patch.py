"""Numbers of ``catch_the_patch.json``, from the official code. Needs OpenCV.

    git clone https://github.com/microsoft/CtP
    git -C CtP checkout 847b8fc1710d21438352de0f291b841b36ed3d2b
    python tests/golden/make/catch_the_patch.py CtP

Its functions and classes are cut out of their files. ``np.int`` is put back, mmcv's RoIAlign replaced by torchvision's
of the same arguments. Where the JSON file names a choice that the code draws (shape, edge, source, opacity), the draw
is forced.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch
from official import checkout, compare, cut, finish, golden_test
from torch import nn
from torchvision.ops import RoIAlign

COMMIT = "847b8fc1710d21438352de0f291b841b36ed3d2b"
KEY_FRAME_PROBS = [0.5, 0.3, 0.2]
DRAWS = 40_000

np.int = int  # the code is older than its removal


@contextmanager
def recorded() -> Iterator[list[list[Any]]]:
    """Note everything that ``np.random`` draws, under the names of NumPy's newer generators."""
    drawn: list[list[Any]] = []

    def note(name: str, draw: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*args: Any, **kwargs: Any) -> Any:
            value = draw(*args, **kwargs)
            drawn.append([name, np.asarray(value).tolist()])
            return value

        return noting

    names = {"choice": "choice", "randint": "integers", "uniform": "uniform"}
    with patch.multiple(np.random, **{old: note(new, getattr(np.random, old)) for old, new in names.items()}):
        yield drawn


@contextmanager
def forced(code: dict[str, Any], shape: int, edge: float, opacity: list[float], source: int = 0) -> Iterator[None]:
    """Force what one patch draws; an edge of 0.5 is a hard one.

    Its first and last frames are key frames, of which ``opacity`` holds the values.
    """

    def uniform(low: float, high: float) -> float:
        if (low, high) == (0, 1):
            return 0.0 if edge < 0.5 else 1.0
        return edge

    by_python = SimpleNamespace(uniform=uniform, randint=lambda low, high: source)
    by_numpy = {
        "choice": lambda n, p: shape if n == 3 else 0,
        "uniform": lambda low, high, size: np.array(opacity).reshape(size),
    }
    with patch.dict(code, random=by_python), patch.multiple(np.random, **by_numpy):
        yield


def mask(code: dict[str, Any], key_frame_probs: list[float]) -> Any:
    regions = {"num_rois": 3, "scales": (16,), "ratios": (1,), "scale_jitter": 0.0}
    return code["PatchMask"](regions, key_frame_probs, 3, 0.025, 0.5)


def pasted(code: dict[str, Any], case: dict[str, Any], frames: list[np.ndarray]) -> list[np.ndarray]:
    transform = mask(code, [1.0])
    boxes = np.array(case["boxes"])
    patches, alphas = [], []
    for box, source, shape, edge in zip(boxes, case["source"], case["shape"], case["edge"], strict=True):
        with forced(code, shape, edge, [case["opacity"][0], case["opacity"][-1]], source):
            cropped, index = transform.pick_patches(frames, box)
            patches.append(cropped)
            alphas.append(transform.pick_alphas(frames, box, index))
    given = {"patches": patches, "alphas": alphas, "traj_rois": boxes, "traj_labels": case["shown"]}
    return transform._apply_image(frames, given)


def compare_head(head: Any, test: Any, stored: dict[str, Any]) -> None:
    with torch.no_grad():
        for place, parameter in enumerate(head.parameters()):
            parameter.copy_(test.wave(*parameter.shape, pitch=0.37 + 0.11 * place))
    boxes = torch.tensor(stored["boxes"])
    number = torch.arange(2.0).repeat_interleave(2)[:, None]
    rois = torch.cat([number, boxes[:, :, 0].flatten(0, 1)], dim=1)
    predicted = head(test.wave(2, 6, 2, 4, 4, pitch=0.53) * 3, rois)
    losses = head.loss(predicted, rois, boxes)
    compare("head/names", [name for name, _ in head.named_parameters()], stored["names"])
    compare("head/predicted", predicted, stored["predicted"], rtol=1e-4, atol=2e-6)
    compare("head/loss_ctr", losses["loss_ctr"], stored["loss_ctr"], rtol=1e-5)
    compare("head/loss_size", losses["loss_size"], stored["loss_size"], rtol=1e-5)
    compare("head/boxes_of_a_20th", head.predict(predicted / 20, rois), stored["boxes_of_a_20th"], atol=2e-5)


def main(path: str) -> int:
    code = checkout(path, COMMIT) / "pyvrl"
    test = golden_test("test_tasks_catch_the_patch")
    stored = test.OFFICIAL

    transforms, ctp = code / "datasets" / "transforms", code / "models" / "pretraining" / "ctp"
    keys = ("sample_key_frames", "extend_key_frame_to_all")
    utils = cut(transforms / "dynamic_utils.py", *keys, np=np, List=list)
    base = cut(transforms / "base_transform.py", "BaseTransform", np=np, Any=Any)
    mover = cut(
        ctp / "ctp_transforms.py",
        *("RandomRegionSampler", "PatchMask"),
        **{key: utils[key] for key in keys},
        **{"np": np, "random": random, "cv2": cv2, "List": list, "BaseTransform": base["BaseTransform"]},
        TRANSFORMS=SimpleNamespace(register_module=lambda: lambda registered: registered),
    )
    head = cut(ctp / "ctp_head.py", "CtPHead", torch=torch, nn=nn, Iterable=Iterable, RoIAlign=RoIAlign)

    for kind, values in stored["interpolate"].items():
        found = utils["extend_key_frame_to_all"](test.VALUES, test.KEYS, kind)
        compare(f"interpolate/{kind}", found, values, atol=1e-6)

    first = np.array(stored["first"])
    for number, drawn_before in enumerate(stored["paths"]):
        np.random.seed(number)
        with recorded() as drawn:
            boxes = mover["PatchMask"].rectangle_movement(first, (112, 112), 3, 0.025, 16, KEY_FRAME_PROBS)
        compare(f"paths/{number}/draws", drawn, drawn_before["draws"])
        compare(f"paths/{number}/boxes", np.clip(np.round(boxes).astype(int), 0, 112), drawn_before["boxes"])

    np.random.seed(0)
    for frames in (16, 8):
        counts: dict[tuple[int, ...], int] = {}
        for _ in range(DRAWS):
            places = tuple(utils["sample_key_frames"](frames, KEY_FRAME_PROBS).tolist())
            counts[places] = counts.get(places, 0) + 1
        places = [list(place) for place in sorted(counts)]
        compare(f"key_frames_{frames}: places", places, [place for place, _ in stored[f"key_frames_{frames}"]])
        shares = np.array([counts[place] / DRAWS for place in sorted(counts)])
        compare(f"key_frames_{frames}: shares", shares, [share for _, share in stored[f"key_frames_{frames}"]])

    for case in stored["opacity"]:
        width, height = case["sides"]
        box = np.array([[2, 3, 2 + width, 3 + height]] * 2)
        with forced(mover, case["shape"], case["edge"], [1.0, 1.0]):
            alpha = mask(mover, [1.0]).pick_alphas(None, box, 0)[0]
        compare(f"opacity/{case['shape']}-{case['edge']}-{case['sides']}", alpha, case["alpha"], atol=2e-6)

    compare("paste/frames", pasted(mover, stored["paste"], list(test.footage())), stored["paste"]["frames"], atol=1e-5)
    compare_head(head["CtPHead"](6, 5, 2, 3, 8, 4, target_stds=(0.8, 0.8, 0.04, 0.04)), test, stored["head"])
    return finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
