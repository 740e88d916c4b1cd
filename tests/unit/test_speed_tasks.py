"""``benchmarks/speed/tasks.py`` on fake videos: what it counts, and that it measures and profiles."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from support.tasks import TinyNet

_FOLDER = Path(__file__).parents[2] / "benchmarks" / "speed"


@pytest.fixture(scope="module")
def tasks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("speed_tasks", _FOLDER / "tasks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(_FOLDER))
    sys.modules["speed_tasks"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(_FOLDER))
    return module


def test_frames_are_counted_where_they_enter_and_once(tasks: ModuleType) -> None:
    net = TinyNet()

    def run() -> None:
        net(torch.zeros(2, 3, 8, 16, 16))
        net(torch.zeros(3, 3, 4, 16, 16))
        net.preprocess(torch.zeros(1, 3, 8, 16, 16))

    assert tasks.count_frames([net], run) == {(8, 16): 24, (4, 16): 12}
    assert "forward" not in vars(net) and "preprocess" not in vars(net)


def test_copies_that_are_trained_count_and_teachers_do_not(tasks: ModuleType) -> None:
    net = torch.nn.Linear(2, 2)
    task = torch.nn.ModuleDict({"net": net, "second": torch.nn.Linear(2, 2), "head": torch.nn.Flatten()})
    task["teacher"] = torch.nn.Linear(2, 2).requires_grad_(False)
    assert tasks.trained_networks(task, net) == [net, task["second"]]


class Parts(torch.nn.Module):
    """Calls its backbone by another name, and one of two heads; a product of its own besides."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Frames()
        self.heads = torch.nn.ModuleDict({"a": torch.nn.Linear(4, 2, bias=False), "b": torch.nn.Linear(4, 9)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.backbone.frame_features(x)
        return self.heads["a"](found) @ torch.ones(2, 1)


class Frames(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = torch.nn.Linear(8, 4, bias=False)

    def frame_features(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.map(x)
        return found


def test_shares_of_arithmetic_are_told_by_part(tasks: ModuleType) -> None:
    """Of one row 2 x 8 x 4 operations are the backbone's, 2 x 4 x 2 the head's and 2 x 2 nobody's: 64, 16, 4."""
    task = Parts()
    trainer = SimpleNamespace(task=task, forward=lambda: task(torch.ones(3, 8)))
    assert tasks.arithmetic(trainer) == pytest.approx({"backbone": 64 / 84, "heads.a": 16 / 84, "elsewhere": 4 / 84})
    assert "forward" not in vars(task.heads["a"]) and "frame_features" not in vars(task.backbone)


def test_clips_of_changing_size_are_averaged(tasks: ModuleType) -> None:
    """Of three clips two have 8 pixels and one has 16, four times as many: on average twice the frames of 8."""
    net, sizes = TinyNet(), itertools.cycle((8, 16, 8))
    length, size, total = tasks.clips_seen(lambda: net(torch.zeros(3, 3, 4, *[next(sizes)] * 2)), [net])
    drawn = [size for _, size in zip(range(40), itertools.cycle((8, 16, 8)), strict=False)]
    assert (length, size) == (4, 8)
    assert total == round(12 * sum(size**2 for size in drawn) / 64 / 40)
    assert tasks.clips_seen(lambda: net(torch.zeros(3, 3, 4, 8, 8)), [net]) == (4, 8, 12)


def test_a_task_is_measured_against_as_many_frames(tasks: ModuleType) -> None:
    arguments = ["--data", "fake", "--task", "pace", "--batches", "1", "--rounds", "1", "--profile", "--json"]
    result = CliRunner().invoke(tasks.main, arguments)
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)["rows"]
    assert (row["task"], row["backbone"], row["batch"], row["frames"], row["clip"]) == (
        "pace", "r2plus1d-tiny", 48, 48 * 8, "8 x 32",
    )  # fmt: skip
    assert row["ratios"]["median_cpu"] > 0.2
    assert "convolution" in result.stderr
    (shares,) = re.findall(r"operations of a forward pass: backbone (\d+) %", result.stderr)
    assert 90 < int(shares) <= 100, "pace has a linear layer besides"
