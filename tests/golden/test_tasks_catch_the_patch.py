"""``catch-the-patch`` against the official code, microsoft/CtP, commit 847b8fc1710d21438352de0f291b841b36ed3d2b.

``catch_the_patch.json`` was made with NumPy 2.4 (``np.int`` put back), OpenCV 5.0 and mmcv's RoIAlign replaced by
torchvision's of the same arguments, its two initialisers left out, by calling

- ``interpolate``: ``extend_key_frame_to_all`` on the values and key frames below, once for each kind;
- ``paths``: ``PatchMask.rectangle_movement(first, (112, 112), 3, 0.025, 16, [0.5, 0.3, 0.2])`` after
  ``np.random.seed(k)``, rounded and clipped as ``get_transform_param`` does, with everything that ``np.random`` drew;
- ``key_frames_16``, ``key_frames_8``: 40,000 times ``sample_key_frames(frames, [0.5, 0.3, 0.2])``, and how often what,
  both after one ``np.random.seed(0)``;
- ``opacity``: ``pick_alphas`` with shape, edge and a frame opacity of 1 forced;
- ``paste``: ``pick_patches``, ``pick_alphas`` and ``_apply_image`` on float32 frames of 12 x 12, with source, shape,
  edge and frame opacity (0.8 to 0.95, evenly) forced;
- ``head``: ``CtPHead(6, 5, 2, 3, 8, 4, target_stds=(0.8, 0.8, 0.04, 0.04))``: ``forward``, ``loss``, and ``predict`` of
  a 20th of what it returned, on the weights and the map of ``wave``.

``tests/golden/make/catch_the_patch.py`` runs them again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vssl_motion.patch_head import BoxLoss, PatchHead, box_targets, boxes_of_targets
from vssl_motion.patch_paste import paste_patches, patch_opacity
from vssl_motion.trajectories import INTERPOLATIONS, Trajectories, interpolate, key_frames

OFFICIAL: dict[str, Any] = json.loads((Path(__file__).parent / "catch_the_patch.json").read_text(encoding="utf-8"))
VALUES, KEYS = np.array([[0.0, 1.0], [6.0, -2.0], [3.0, 5.0]]), np.array([0, 4, 7])
PLACES = (
    *("squeeze_time.weight", "squeeze_time.bias", "hidden.weight", "hidden.bias"),
    *("predict.weight", "predict.bias"),
)
OFFICIAL_TRAJECTORIES = Trajectories(
    size=112,
    boxes=3,
    scales=(16.0,),
    ratios=(1.0,),
    scale_jitter=0.0,
    position_velocity=3.0,
    size_velocity=0.025,
    key_probabilities=(0.5, 0.3, 0.2),
)


class Replay:
    """Stands for a generator: gives back what NumPy drew for the official code, in its order."""

    def __init__(self, draws: Sequence[Sequence[Any]]) -> None:
        self.draws = list(draws)

    def _next(self, kind: str) -> Any:
        found, value = self.draws.pop(0)
        assert found == kind
        return value

    def choice(self, n: int, *, size: int | None = None, p: Sequence[float]) -> Any:
        assert n == len(p)
        return self._next("choice") if size is None else np.array([self._next("choice") for _ in range(size)])

    def integers(self, low: int, high: int, *, size: int) -> np.ndarray:
        drawn = np.array(self._next("integers"))
        assert drawn.shape == (size,) and low <= drawn.min() and drawn.max() < high
        return drawn

    def uniform(self, low: float, high: float, *, size: tuple[int, ...]) -> np.ndarray:
        drawn = np.array(self._next("uniform"))
        assert drawn.shape == tuple(size) and low <= drawn.min() and drawn.max() <= high
        return drawn


def wave(*shape: int, pitch: float) -> Tensor:
    """Fixed numbers without a generator."""
    k = torch.arange(math.prod(shape), dtype=torch.float64)
    return (torch.sin(k * pitch) * 0.3).reshape(shape).float()


def footage() -> np.ndarray:
    """float32 [4, 12, 12, 3] from 0 to 1."""
    numbers = np.arange(4 * 12 * 12 * 3)
    return (np.sin(numbers * 0.7).astype(np.float32) * 0.5 + 0.5).reshape(4, 12, 12, 3)


@pytest.mark.parametrize("kind", [kind for kind, _ in INTERPOLATIONS])
def test_values_between_key_frames(kind: str) -> None:
    np.testing.assert_allclose(interpolate(VALUES, KEYS, [kind, kind]), OFFICIAL["interpolate"][kind], atol=1e-6)


@pytest.mark.parametrize("number", range(6))
def test_paths_from_the_same_draws(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    first = np.array(OFFICIAL["first"])
    monkeypatch.setattr(Trajectories, "_first", lambda *_: (first[:, :2], first[:, 2:] - first[:, :2]))
    official = OFFICIAL["paths"][number]
    rng = Replay(official["draws"])
    boxes = OFFICIAL_TRAJECTORIES.draw(rng, 16)  # type: ignore[arg-type]
    assert not rng.draws, "every draw was used, none was missing"
    expected = np.array(official["boxes"])
    area = (expected[..., 2:] - expected[..., :2]).mean(axis=1).prod(axis=1)
    assert boxes.tolist() == expected[np.argsort(-area)].tolist()


@pytest.mark.parametrize("frames", [16, 8])
def test_key_frames_lie_as_often_where_they_officially_do(frames: int) -> None:
    official = {tuple(keys): share for keys, share in OFFICIAL[f"key_frames_{frames}"]}
    rng, n = np.random.default_rng(0), 20_000
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(n):
        keys = tuple(key_frames(rng, frames, (0.5, 0.3, 0.2)).tolist())
        counts[keys] = counts.get(keys, 0) + 1
    assert counts.keys() == official.keys()
    for keys, share in official.items():
        # Five standard errors of the difference of two counts.
        assert abs(counts[keys] / n - share) < 5 * math.sqrt(share * (1 - share) * (1 / n + 1 / 40_000)), keys


@pytest.mark.parametrize(
    "case", OFFICIAL["opacity"], ids=lambda case: f"{case['shape']}-{case['edge']}-{case['sides']}"
)
def test_outlines(case: dict[str, Any]) -> None:
    width, height = case["sides"]
    box = torch.tensor([[2.0, 3.0, 2.0 + width, 3.0 + height]])
    whole = patch_opacity(box, torch.tensor([case["shape"]]), torch.tensor([case["edge"]]), 16)
    torch.testing.assert_close(whole[0, 3 : 3 + height, 2 : 2 + width], torch.tensor(case["alpha"]), rtol=0, atol=2e-6)


def test_pasting() -> None:
    case = OFFICIAL["paste"]
    frames = torch.from_numpy(footage())
    boxes = torch.tensor(case["boxes"])
    opacity = torch.tensor(case["opacity"]) * torch.tensor(case["shown"])
    clip = frames.permute(3, 0, 1, 2)[None]
    pasted = paste_patches(
        clip,
        boxes[None],
        torch.tensor([case["source"]]),
        opacity[None],
        shape=torch.tensor([case["shape"]]),
        edge=torch.tensor([case["edge"]]),
    )
    # OpenCV's and torch's bilinear weights differ by float32's last bits.
    torch.testing.assert_close(pasted[0].permute(1, 2, 3, 0), torch.tensor(case["frames"]), rtol=0, atol=1e-5)
    assert (pasted - clip).abs().max() > 0.3


def test_head_loss_and_boxes() -> None:
    case = OFFICIAL["head"]
    head = PatchHead(embed_dim=6, map_frames=2, frames=4, hidden=5, roi_size=3)
    ours = dict(head.named_parameters())
    with torch.no_grad():
        for place, name in enumerate(PLACES):
            ours[name].copy_(wave(*ours[name].shape, pitch=0.37 + 0.11 * place))
    boxes = torch.tensor(case["boxes"])
    predicted = head(wave(2, 6, 2, 4, 4, pitch=0.53) * 3, boxes[:, :, 0], 32)
    torch.testing.assert_close(
        predicted.flatten(2).flatten(0, 1), torch.tensor(case["predicted"]), rtol=1e-4, atol=2e-6
    )
    loss = BoxLoss.of(predicted, box_targets(boxes, 0.8, 0.04))
    assert float(loss.position.detach()) == pytest.approx(case["loss_ctr"], rel=1e-5)
    assert float(loss.size.detach()) == pytest.approx(case["loss_size"], rel=1e-5)
    found = boxes_of_targets(predicted.detach() / 20, boxes[:, :, 0], 0.8, 0.04)
    torch.testing.assert_close(found.flatten(0, 1), torch.tensor(case["boxes_of_a_20th"]), rtol=0, atol=2e-5)
