"""``skip-clip``, formula-only: there is no official code, expected values are worked out by hand.

Formula: sum over i < j of max(0, margin - score_i + score_j), scores cosine similarities averaged over cells (arXiv
1910.12770). Tolerance 1e-6.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vssl_core.contracts import Batch, Features
from vssl_order.skip_clip import SkipClip, cell_similarity, rank_future


def test_similarity_is_averaged_over_cells_not_over_maps() -> None:
    """Two cells: (1, 0) against (3, 4) has cosine 3/5, (0, 2) against (0, -1) has -1: mean -1/5.

    The cosine of the two maps as long vectors would be (3 - 2) / (sqrt 5 * sqrt 26).
    """
    context = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).T.reshape(1, 2, 1, 2)
    target = torch.tensor([[3.0, 4.0], [0.0, -1.0]]).T.reshape(1, 2, 1, 2)
    torch.testing.assert_close(cell_similarity(context, target), torch.tensor([-0.2]), rtol=0, atol=1e-6)


def test_ranking() -> None:
    """Scores .9, .5, .6 of places 0, 1, 2, margin .2.

    Pairs: 0 before 1 leads by .4: 0; 0 before 2 by .3: 0; 1 before 2 by -.1: .3. Two of three are right.
    """
    ranking = rank_future(torch.tensor([[0.9, 0.5, 0.6]]), torch.tensor([[0, 1, 2]]), 0.2)
    torch.testing.assert_close(ranking.loss, torch.tensor(0.3), rtol=0, atol=1e-6)
    torch.testing.assert_close(ranking.accuracy, torch.tensor(2 / 3), rtol=0, atol=1e-6)


def test_ranking_follows_places_not_the_order_shown() -> None:
    """The same scores of places 2, 0, 1: .5 before .6 costs .3, .5 before .9 costs .6, .6 before .9 costs .5.

    With the sample above: (1.4 + .3) / 2, and 2 of 6 pairs right.
    """
    scores = torch.tensor([[0.9, 0.5, 0.6], [0.9, 0.5, 0.6]])
    ranking = rank_future(scores, torch.tensor([[2, 0, 1], [0, 1, 2]]), 0.2)
    torch.testing.assert_close(ranking.loss, torch.tensor(0.85), rtol=0, atol=1e-6)
    torch.testing.assert_close(ranking.accuracy, torch.tensor(1 / 3), rtol=0, atol=1e-6)


def test_a_lead_smaller_than_the_margin_costs_the_rest() -> None:
    ranking = rank_future(torch.tensor([[0.45, 0.4]]), torch.tensor([[0, 1]]), 0.1)
    torch.testing.assert_close(ranking.loss, torch.tensor(0.05), rtol=0, atol=1e-6)
    assert float(ranking.accuracy) == 1.0


def test_a_tie_is_half_right() -> None:
    """Scores .5, .5, .2 of places 0, 1, 2: a tie and two pairs in order, 5/6; three equal scores are at chance, 1/2."""
    place = torch.tensor([[0, 1, 2]])
    ranking = rank_future(torch.tensor([[0.5, 0.5, 0.2]]), place, 0.1)
    torch.testing.assert_close(ranking.accuracy, torch.tensor(5 / 6), rtol=0, atol=1e-6)
    torch.testing.assert_close(ranking.loss, torch.tensor(0.1), rtol=0, atol=1e-6)
    assert float(rank_future(torch.full((4, 3), 0.3), place.expand(4, 3), 0.1).accuracy) == 0.5


class Colours(nn.Module):
    """The map is the clip itself, every second frame of it left out; pooled, its mean."""

    embed_dim = 3

    def forward(self, clips: Tensor) -> Features:
        return Features(clips[:, :, ::2], clips.mean(dim=(2, 3, 4)))


def clip(red: float, green: float) -> Tensor:
    """Two frames of one colour, 4 x 4 pixels."""
    return torch.tensor([red, green, 0.0]).view(1, 3, 1, 1, 1).expand(1, 3, 2, 4, 4)


def test_task_compares_the_first_view_with_the_others() -> None:
    """Context (1, 0); shown are (0, 1), score 0, the sooner one, and (1, 1), score 1/sqrt 2: .1 + .7071.

    Equal logits for the turns cost log 4, weighed by 2.
    """
    task = SkipClip(Colours(), frames=2, size=8, read_size=0, targets=2, turning=2.0)
    with torch.no_grad():
        task.turn.weight.zero_()
        task.turn.bias.zero_()
    views = (clip(1.0, 0.0), clip(0.0, 1.0), clip(1.0, 1.0))
    targets = {"place": torch.tensor([[0, 1]]), "turns": torch.tensor([0])}
    output = task(Batch(views, targets, torch.arange(1), torch.arange(1)))
    expected = 0.1 + math.sqrt(0.5) + 2 * math.log(4.0)
    torch.testing.assert_close(output.loss, torch.tensor(expected), rtol=0, atol=1e-6)
    assert float(output.metrics["accuracy"]) == 0.0
    without = SkipClip(Colours(), frames=2, size=8, read_size=0, targets=2, turning=0.0)
    output = without(Batch(views, {**targets, "place": torch.tensor([[1, 0]])}, torch.arange(1), torch.arange(1)))
    torch.testing.assert_close(output.loss, torch.tensor(0.0), rtol=0, atol=1e-6)
    assert set(output.metrics) == {"accuracy"}


def test_each_sample_is_compared_with_its_own_context_which_names_the_turn() -> None:
    """Sample 1 as above: .1 + .7071, wrong. Sample 2: context (0, 1), shown are (1, 1), score .7071, the later one, and
    (0, 1), score 1, the sooner one: it leads by more than .1.

    Turns from the contexts (1, 0) and (0, 1): logits 1, 0, -1, 0 and 0, 2, 0, 0 for turns 0 and 1.
    """
    task = SkipClip(Colours(), frames=2, size=8, read_size=0, targets=2, turning=0.5)
    with torch.no_grad():
        task.turn.weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
        task.turn.bias.zero_()
    views = (
        torch.cat([clip(1.0, 0.0), clip(0.0, 1.0)]),
        torch.cat([clip(0.0, 1.0), clip(1.0, 1.0)]),
        torch.cat([clip(1.0, 1.0), clip(0.0, 1.0)]),
    )
    targets = {"place": torch.tensor([[0, 1], [1, 0]]), "turns": torch.tensor([0, 1])}
    output = task(Batch(views, targets, torch.arange(2), torch.arange(2)))
    turns = (math.log(math.e + 2 + 1 / math.e) - 1, math.log(3 + math.exp(2.0)) - 2)
    expected = (0.1 + math.sqrt(0.5)) / 2 + 0.5 * sum(turns) / 2
    torch.testing.assert_close(output.loss, torch.tensor(expected), rtol=0, atol=1e-6)
    assert float(output.metrics["accuracy"]) == 0.5
    assert float(output.metrics["turns_accuracy"]) == 1.0
