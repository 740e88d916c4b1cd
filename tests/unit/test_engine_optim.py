"""What an optimiser decays, and which one a name stands for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vssl_bench.recipes import find_recipe, recipe_tasks
from vssl_core.config.schema import OptimConfig
from vssl_core.engine.optim import make_optimizer
from vssl_core.errors import ConfigError
from vssl_core.plugins import Registry

REGISTRY = Registry.discover()


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def decayed(optimizer: torch.optim.Optimizer) -> list[tuple[int, float]]:
    """Return for each parameter, the largest first, how many numbers it has and how strongly it is decayed."""
    groups = optimizer.param_groups
    return sorted(((p.numel(), group["weight_decay"]) for group in groups for p in group["params"]), reverse=True)


def test_matrices_alone_are_decayed_unless_all_is_said() -> None:
    groups = [{"params": list(network().parameters())}]
    assert decayed(make_optimizer(groups, OptimConfig(name="momentum", weight_decay=0.5))) == [
        (12, 0.5),
        (4, 0.0),
        (4, 0.0),
        (4, 0.0),
    ]
    every = make_optimizer(groups, OptimConfig(name="momentum", weight_decay=0.5, decayed="all"))
    assert decayed(every) == [(12, 0.5), (4, 0.5), (4, 0.5), (4, 0.5)]


@pytest.mark.parametrize("what", ["matrices", "all"])
def test_a_group_keeps_its_own_decay_and_what_is_frozen_is_left_out(what: str) -> None:
    own, frozen = network(), network().requires_grad_(False)
    groups = [{"params": list(own.parameters()), "weight_decay": 0.1}, {"params": list(frozen.parameters())}]
    optimizer = make_optimizer(groups, OptimConfig(name="momentum", weight_decay=0.5, decayed=what))
    assert {decay for _, decay in decayed(optimizer)} == {0.1} and len(decayed(optimizer)) == 4
    with pytest.raises(ConfigError, match="no parameters to train"):
        make_optimizer(groups[1:], OptimConfig(decayed=what))


@pytest.mark.parametrize("task", recipe_tasks())
def test_published_momentum_is_plain(task: str) -> None:
    """timm's ``sgd`` is Nesterov's, which none of the published settings is."""
    config = find_recipe(f"{task}@paper", REGISTRY).config().optim
    optimizer = make_optimizer([{"params": list(network().parameters())}], config)
    assert config.name != "sgd" and not any(group.get("nesterov") for group in optimizer.param_groups)
    if isinstance(optimizer, torch.optim.SGD):
        assert all(group["momentum"] == config.momentum for group in optimizer.param_groups)


# Caffe's and TensorFlow's originals spare biases; tasks whose optimiser is not published have that of another.
SPARED = {"shuffle-learn", "opn", "jigsaw", "rtt", "simclr", "videomae", "colorization", "inpainting", "future-frames"}


def test_what_is_decayed_is_as_published() -> None:
    found = {task: find_recipe(f"{task}@paper", REGISTRY).config().optim.decayed for task in recipe_tasks()}
    assert {task for task, decayed in found.items() if decayed == "matrices"} == SPARED & found.keys()
