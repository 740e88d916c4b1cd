"""``transrank``: formula-only, the official branch could not be had. Values are worked out by hand. Tolerance 1e-6."""

from __future__ import annotations

import math

import pytest
import torch
from support.networks import FirstPixel

from vssl_core.contracts import Batch
from vssl_speed.transrank import TransRank, rank_scores

# Clips in the order of the views; clip 0 went through transformation 2, clip 1 through 0, clip 2 through 1.
SCORES = torch.tensor([[[0.2, -1.0, 1.5], [2.0, 0.5, 0.0], [1.2, 0.4, 1.0]]])
WENT_THROUGH = torch.tensor([[2, 0, 1]])


def test_every_column_ranks_its_own_clip_first() -> None:
    """Margin 1. Column 0: right 2.0; 1 - 2 + 0.2 < 0, 1 - 2 + 1.2 = 0.2. Column 1: right 0.4; 1 - 0.4 - 1 < 0,
    1 - 0.4 + 0.5 = 1.1. Column 2: right 1.5; 1 - 1.5 + 0 < 0, 1 - 1.5 + 1 = 0.5. Mean of six: 1.8 / 6.
    """
    loss, first = rank_scores(SCORES, WENT_THROUGH, 1.0)
    assert math.isclose(float(loss), 0.3, rel_tol=1e-6)
    assert math.isclose(float(first), 2 / 3, rel_tol=1e-6), "column 1 has clip 1 in front"


def test_without_a_margin_only_wrong_orders_count() -> None:
    """Column 1 alone: 0.5 - 0.4."""
    loss, _ = rank_scores(SCORES, WENT_THROUGH, 0.0)
    assert math.isclose(float(loss), 0.1 / 6, rel_tol=1e-5)


def test_videos_are_ranked_by_themselves() -> None:
    """A video's own level shifts all scores of a column alike and changes nothing."""
    level = torch.tensor([[[10.0, -3.0, 5.0]]])
    both = torch.cat([SCORES, SCORES + level])
    loss, first = rank_scores(both, WENT_THROUGH.expand(2, -1), 1.0)
    assert math.isclose(float(loss), 0.3, rel_tol=1e-5)
    assert math.isclose(float(first), 2 / 3, rel_tol=1e-6)


@pytest.mark.parametrize("formulation", ["rank", "classify"])
def test_scores_of_the_batch_are_those_of_its_clips(formulation: str) -> None:
    task = TransRank(FirstPixel(), frames=8, formulation=formulation).eval()
    with torch.no_grad():
        task.head.weight.copy_(torch.eye(3))
        task.head.bias.zero_()
    scores = torch.cat([SCORES, SCORES[:, [1, 2, 0]]])
    went = torch.tensor([[2, 0, 1], [0, 1, 2]])
    views = tuple(scores[:, clip].view(2, 3, 1, 1, 1).expand(-1, -1, 8, 2, 2) for clip in range(3))
    output = task(Batch(views, {"transformation": went}, torch.tensor([1, 2]), torch.tensor([0, 1])))
    if formulation == "rank":
        assert math.isclose(float(output.loss.detach()), 0.3, rel_tol=1e-6)
        assert math.isclose(float(output.metrics["accuracy"]), 2 / 3, rel_tol=1e-6)
        return
    # Row by row: log sum exp of a clip's scores less its own.
    rows = [(0, 2), (1, 0), (2, 1)]
    expected = [SCORES[0, clip].logsumexp(0) - SCORES[0, clip, label] for clip, label in rows]
    assert math.isclose(float(output.loss.detach()), float(sum(expected)) / 3, rel_tol=1e-6)
    assert math.isclose(float(output.metrics["accuracy"]), 2 / 3, rel_tol=1e-6), "clip 2 looks most like 0"
