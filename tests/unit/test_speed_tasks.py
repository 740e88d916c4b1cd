"""``benchmarks/speed/tasks.py`` on fake videos: what it counts, and that it measures and profiles."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

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
