"""NT-Xent and the pace task's attraction against loops that follow the printed formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vssl_contrast.nt_xent import nt_xent
from vssl_core.pretext.contrast import info_nce
from vssl_speed.pace import attraction
from vssl_speed.video_bank import bank_contrast


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def loop(embedding: Tensor, video: list[int], temperature: float) -> float:
    """Mean over pairs (i, p) of -log e^s_ip / (e^s_ip + sum over clips of other videos)."""
    terms = []
    for i, j in ((i, j) for i in range(len(video)) for j in range(len(video))):
        if i == j or video[i] != video[j]:
            continue
        positive = math.exp(cosine(embedding[i], embedding[j]) / temperature)
        negatives = [
            math.exp(cosine(embedding[i], embedding[k]) / temperature)
            for k in range(len(video))
            if video[k] != video[i]
        ]
        terms.append(-math.log(positive / (positive + sum(negatives))))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("rho", [2, 3])
@pytest.mark.parametrize("batch", [2, 5])
def test_against_a_loop(rho: int, batch: int) -> None:
    embedding = torch.randn(rho * batch, 7, generator=torch.Generator().manual_seed(rho), dtype=torch.float64)
    video = torch.arange(batch).repeat(rho)
    result = nt_xent(embedding, video, 0.1)
    assert float(result.loss) == pytest.approx(loop(embedding, video.tolist(), 0.1), rel=1e-5)
    assert float(result.chance) == pytest.approx((rho - 1) / (rho * batch - 1))


def test_two_clips_are_simclr() -> None:
    """Cross-entropy over all other clips, as in SlowFast's ``simclr`` and SimCLR's equation 1."""
    first, second = torch.randn(2, 6, 9, generator=torch.Generator().manual_seed(0))
    everything = F.normalize(torch.cat([first, second]), dim=1)
    logits = (everything @ everything.T / 0.1).fill_diagonal_(-math.inf)
    expected = F.cross_entropy(logits, torch.cat([torch.arange(6, 12), torch.arange(6)]))
    found = nt_xent(torch.cat([first, second]), torch.arange(6).repeat(2), 0.1).loss
    torch.testing.assert_close(found, expected)


def test_the_order_of_the_batch_does_not_matter() -> None:
    embedding = torch.randn(10, 7, generator=torch.Generator().manual_seed(1))
    video = torch.arange(5).repeat(2)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(2))
    one, other = nt_xent(embedding, video, 0.1), nt_xent(embedding[order], video[order], 0.1)
    torch.testing.assert_close(one.loss, other.loss)
    torch.testing.assert_close(one.top1, other.top1)


def test_retrieval_counts_nearest_neighbours_of_the_same_video() -> None:
    near = torch.eye(4).repeat(2, 1) + 0.01 * torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    assert float(nt_xent(near, torch.arange(4).repeat(2), 0.1).top1) == 1
    assert float(nt_xent(near, torch.tensor([0, 1, 2, 3, 1, 2, 3, 0]), 0.1).top1) == 0


def test_one_video_alone_teaches_nothing() -> None:
    embedding = torch.randn(2, 4, requires_grad=True)
    result = nt_xent(embedding, torch.zeros(2, dtype=torch.int64), 0.1)
    result.loss.backward()
    assert float(result.loss.detach()) == 0
    assert embedding.grad is not None
    assert torch.equal(embedding.grad, torch.zeros_like(embedding))


def test_a_video_met_twice_is_no_negative_of_itself() -> None:
    embedding = torch.randn(6, 5, generator=torch.Generator().manual_seed(3))
    video = [0, 1, 0, 0, 1, 0]  # the third row is video 0 again
    assert float(nt_xent(embedding, torch.tensor(video), 0.2).loss) == pytest.approx(
        loop(embedding, video, 0.2), rel=1e-5
    )


def test_attraction_against_a_loop() -> None:
    embedding = torch.randn(7, 5, generator=torch.Generator().manual_seed(4))
    group = [0, 1, 0, 2, 1, 0, 3]  # clips 3 and 6 are alone
    terms = []
    for i in range(7):
        weight = [math.exp(cosine(embedding[i], embedding[k]) / 0.5) for k in range(7)]
        same = [weight[k] for k in range(7) if k != i and group[k] == group[i]]
        if same:
            terms.append(-math.log(sum(same) / (sum(weight) - weight[i])))
    found = attraction(embedding, torch.tensor(group), 0.5)
    assert float(found) == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_attraction_of_pairs_is_nt_xent() -> None:
    embedding = torch.randn(8, 5, generator=torch.Generator().manual_seed(5))
    video = torch.arange(4).repeat(2)
    torch.testing.assert_close(attraction(embedding, video, 0.1), nt_xent(embedding, video, 0.1).loss)


def test_attraction_without_any_pair_is_zero() -> None:
    embedding = torch.randn(3, 5, requires_grad=True)
    loss = attraction(embedding, torch.arange(3), 0.1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert embedding.grad is not None and torch.isfinite(embedding.grad).all()


def _queue(query: Tensor, positive: Tensor, bank: Tensor) -> Tensor:
    return info_nce(query, positive, bank, 0.07).loss


def _own_queue(query: Tensor, positive: Tensor, bank: Tensor) -> Tensor:
    return info_nce(query, positive, bank.expand(len(query), -1, -1), 0.07).loss


def _bank(query: Tensor, positive: Tensor, bank: Tensor) -> Tensor:
    return bank_contrast(query, positive, bank, torch.ones(len(query), len(bank), dtype=torch.bool), 0.07).loss


def _attraction(query: Tensor, positive: Tensor, bank: Tensor) -> Tensor:
    return attraction(torch.cat([query, positive, bank]), torch.arange(len(query)).repeat(4), 0.1)


@pytest.mark.parametrize("contrast", [_queue, _own_queue, _bank, _attraction])
def test_autocast_does_not_round_similarities(contrast: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Features near each other, as at the start of training: bfloat16 tells their similarities from no other."""
    generator = torch.Generator().manual_seed(6)
    near = torch.randn(1, 32, generator=generator) + 0.02 * torch.randn(32, 32, generator=generator)
    query, positive, bank = F.normalize(near, dim=1).split([8, 8, 16])
    losses, gradients = [], []
    for enabled in (False, True):
        asked = query.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            loss = contrast(asked, positive, bank)
        (gradient,) = torch.autograd.grad(loss, asked)
        losses.append(loss.detach())
        gradients.append(gradient)
    assert losses[1].dtype == torch.float32
    assert torch.equal(*losses) and torch.equal(*gradients)
