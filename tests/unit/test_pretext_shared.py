"""What pretext tasks share: permutation tables, momentum copies, queues, InfoNCE, motion windows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import TinyNet, video

from vssl_core.errors import ClipError, ConfigError
from vssl_core.pretext.clips import require_frames
from vssl_core.pretext.contrast import info_nce
from vssl_core.pretext.momentum import MomentumCopy
from vssl_core.pretext.motion import measure_motion, motion_curve, motion_window
from vssl_core.pretext.permutations import all_orders, distant_permutations, orders_up_to_reversal, reversal_classes
from vssl_core.pretext.queue import FeatureQueue

# --------------------------------------------------------------------------------------------- permutations


@pytest.mark.parametrize("n", range(1, 8))
def test_all_orders_as_itertools_lists_them(n: int) -> None:
    assert all_orders(n).tolist() == [list(order) for order in itertools.permutations(range(n))]
    assert all_orders(n).dtype == np.int64


@pytest.mark.parametrize("n", range(2, 6))
def test_an_order_and_its_reversal_are_one_class(n: int) -> None:
    orders, classes, kept = all_orders(n).tolist(), reversal_classes(n), orders_up_to_reversal(n).tolist()
    assert len(kept) == math.factorial(n) // 2
    for order, number in zip(orders, classes.tolist(), strict=True):
        assert kept[number] in (order, order[::-1])
        assert classes[orders.index(order[::-1])] == number
    assert np.bincount(classes).tolist() == [2] * len(kept)


def test_four_frames_have_twelve_classes() -> None:
    """The first and last of the table, worked out by hand: 0 1 2 3 (or 3 2 1 0), ..., 2 1 0 3 (or 3 0 1 2)."""
    kept = orders_up_to_reversal(4).tolist()
    assert kept[0] == [0, 1, 2, 3]
    assert kept[-1] == [2, 1, 0, 3]


def test_distant_permutations_are_those_of_the_greedy_rule() -> None:
    chosen = distant_permutations(4, 6).tolist()
    orders = [list(order) for order in itertools.permutations(range(4))]
    for k in range(1, 6):
        sums = [
            sum(a != b for before in chosen[:k] for a, b in zip(order, before, strict=True)) if order not in chosen[:k]
            else -1
            for order in orders
        ]  # fmt: skip
        assert sums[orders.index(chosen[k])] == max(sums)
    assert distant_permutations(4, 6).tolist() == chosen
    assert len({tuple(order) for order in distant_permutations(9, 100).tolist()}) == 100


def test_impossible_tables_are_refused() -> None:
    for call in (lambda: all_orders(10), lambda: all_orders(0), lambda: distant_permutations(3, 7)):
        with pytest.raises(ConfigError, match=r"take 1 to 9|ask for fewer"):
            call()
    with pytest.raises(ConfigError, match="2 or more"):
        orders_up_to_reversal(1)


# --------------------------------------------------------------------------------------------- momentum, queue


def test_momentum_copy_follows_parameters_and_keeps_its_buffers() -> None:
    torch.manual_seed(0)
    online = TinyNet()
    teacher = MomentumCopy(online, 0.9)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert teacher.module.training
    with torch.no_grad():
        online.conv.bias += 1.0
        online.norm.running_mean += 5.0
    before = teacher.module.conv.bias.clone()
    teacher.update(online)
    torch.testing.assert_close(teacher.module.conv.bias, 0.9 * before + 0.1 * online.conv.bias)
    assert torch.equal(teacher.module.norm.running_mean, torch.zeros(16))
    teacher.update(online, momentum=0.0)
    assert torch.equal(teacher.module.conv.bias, online.conv.bias)
    assert not teacher(torch.rand(2, 3, 4, 8, 8)).pooled.requires_grad
    assert {name.split(".")[0] for name in teacher.state_dict()} == {"average"}


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 7), batches=st.lists(st.integers(0, 9), max_size=6))
def test_queue_holds_the_newest_keys(size: int, batches: list[int]) -> None:
    queue = FeatureQueue(1, size)
    pushed: list[float] = []
    for n in batches:
        keys = [float(len(pushed) + k + 10) for k in range(n)]
        queue.push(torch.tensor(keys).reshape(n, 1))
        pushed += keys
    held = sorted(value for value in queue.items.flatten().tolist() if value >= 10)
    assert held == sorted(pushed[-size:])


def test_queue_starts_alike_and_moves_no_global_generator() -> None:
    state = torch.get_rng_state()
    first, second = FeatureQueue(8, 5), FeatureQueue(8, 5)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.items, second.items)
    torch.testing.assert_close(first.items.norm(dim=1), torch.ones(5))


# --------------------------------------------------------------------------------------------- InfoNCE


def test_info_nce_by_hand() -> None:
    """Cosines 0.6 with the positive, 0 and -1 with the negatives; at temperature 0.5 logits 1.2, 0, -2."""
    query, positive = torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    negatives = torch.tensor([[0.0, 7.0], [-1.0, 0.0]])
    result = info_nce(query, positive, negatives, 0.5)
    expected = math.log(math.exp(1.2) + 1.0 + math.exp(-2.0)) - 1.2
    assert float(result.loss) == pytest.approx(expected, abs=1e-6)
    assert float(result.top1) == 1.0
    own = info_nce(query, positive, negatives[None], 0.5)
    assert float(own.loss) == pytest.approx(expected, abs=1e-6)
    assert float(info_nce(query, negatives[1:], positive, 0.5).top1) == 0.0


# --------------------------------------------------------------------------------------------- motion, short videos


def test_motion_window_prefers_what_moves() -> None:
    curve = np.array([9.0, 0.0, 0.0, 3.0, 0.0, 1.0])  # the first entry lies outside of every stretch
    rng = np.random.default_rng(0)
    starts = np.bincount([motion_window(curve, 2, rng) for _ in range(4000)], minlength=5)
    # Stretches of two frames hold the differences 0, 0, 3, 0, 1.
    np.testing.assert_allclose(starts / 4000, [0, 0, 0.75, 0, 0.25], atol=0.03)
    still = np.bincount([motion_window(np.zeros(6), 3, rng) for _ in range(4000)], minlength=4)
    np.testing.assert_allclose(still / 4000, 0.25, atol=0.03)
    assert motion_window(curve, 6, rng) == 0


def test_a_missing_curve_is_an_error_that_helps() -> None:
    with pytest.raises(ClipError, match=r"'v0.mp4'.*--motion.*task.select=uniform"):
        motion_curve(video(), "opn", "task.select=uniform")


def test_only_planners_that_ask_have_motion_measured() -> None:
    calls = []

    class Set:
        def measure_motion(self) -> None:
            calls.append("measured")

    class Asks:
        needs_motion = True

    measure_motion(object(), Set())  # type: ignore[arg-type]
    assert not calls
    measure_motion(Asks(), Set())  # type: ignore[arg-type]
    assert calls == ["measured"]
    measure_motion(Asks(), object())  # type: ignore[arg-type]  # a set that cannot: its videos say so


def test_short_videos_are_refused_by_the_options_that_ask_for_more() -> None:
    require_frames("opn", video(n_frames=32), 32, frames=4)
    with pytest.raises(ClipError, match=r"opn needs 33 frames \(task.frames=4, task.stride=11\).*'v0.mp4' has 32"):
        require_frames("opn", video(n_frames=32), 33, frames=4, stride=11)
