"""Recipes: the file's checks, ``vssl recipe``, and every recipe that is there tried at its full shape."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from support.first_party import first_party_registry

import vssl_bench
from vssl_bench.recipes import find_recipe, parse_recipes, recipe_tasks, summary_rows
from vssl_core.cli.main import cli
from vssl_core.cli.state import State
from vssl_core.config.compose import compose, load_yaml
from vssl_core.config.schema import OptimConfig, PretrainConfig
from vssl_core.contracts import Batch, Video
from vssl_core.engine.loop import TrainOptions, train
from vssl_core.engine.precision import pick_precision
from vssl_core.errors import ConfigError
from vssl_core.testing import fake_batch, fake_videos

REGISTRY = first_party_registry()

#: tasks that compare the videos of a batch, and so need more than one -> how many
_VIDEOS: Mapping[str, int] = {}
#: `paper` recipes that take less than five seconds
_QUICK = frozenset({"clip-order"})

_FILE: dict[str, Any] = {
    "task": "pace",
    "paper": {
        "note": "as published",
        "published": [
            {
                "dataset": "UCF101", "protocol": "fine-tuned", "metric": "top1", "value": 77.1, "source": "table 4",
                "backbone": "R(2+1)D", "pretrained_on": "Kinetics-400", "mark": "R",
            }
        ],
        "pretrain": {"task": "pace", "backbone": "r2plus1d-18", "epochs": 18, "optim": {"name": "sgd", "lr": 1e-3}},
    },
    "tiny": {"pretrain": {"task": "pace@tiny", "backbone": "r2plus1d-tiny", "steps": 240}},
}  # fmt: skip


def _changed(*path: str, to: Any = None) -> dict[str, Any]:
    """Return the file with one value changed, or gone where ``to`` is None."""
    plain = copy.deepcopy(_FILE)
    inner: Any = plain
    for key in path[:-1]:
        inner = inner[int(key) if key.isdigit() else key]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return plain


def test_a_whole_file_is_taken_as_it_stands() -> None:
    recipes = parse_recipes(_FILE, "here", REGISTRY)
    assert list(recipes) == ["paper", "tiny"]
    paper = recipes["paper"]
    assert (paper.reference, paper.note, paper.pretrain) == ("pace@paper", "as published", _FILE["paper"]["pretrain"])
    assert paper.published[0].words == ("UCF101 fine-tuned top1 77.1 (R(2+1)D, Kinetics-400; table 4 [R])")
    config = paper.config()
    assert (config.epochs, config.optim.name, config.optim.lr, config.batch_size) == (18, "sgd", 1e-3, 48)


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        (_changed("task"), "lacks task"),
        (_changed("tiny"), "lacks the recipes tiny"),
        (_changed("paper"), "lacks the recipes paper"),
        (_changed("paper", "note"), r"paper\.note is empty"),
        (_changed("paper", "notes", to="x"), "notes.*no such option; did you mean 'note'"),
        (_changed("paper", "published", "0", "source"), r"published\[0\] lacks source"),
        (_changed("paper", "published", "0", "value"), r"published\[0\]\.value=nan"),
        (_changed("paper", "published", "0", "mark", to="X"), r"mark='X'.*one of"),
        (_changed("paper", "published", to=[77.1]), r"published\[0\]"),
        (_changed("paper", "pretrain", "data", to="toy-motion"), r"pretrain\.data is no key of a recipe"),
        (_changed("paper", "pretrain", "stepz", to=3), r"stepz is no key.*did you mean 'steps'"),
        (_changed("paper", "pretrain", "steps", to=3), "expected a budget as steps or as epochs"),
        (_changed("tiny", "pretrain", "steps"), "expected a budget as steps or as epochs"),
        (_changed("paper", "pretrain", "optim", "rate", to=3), r"optim\.rate.*no such option"),
        (_changed("paper", "pretrain", "backbone"), "lacks backbone"),
        (_changed("paper", "pretrain", "backbone", to="r3d-50"), "no backbone 'r3d-50'"),
        (_changed("paper", "pretrain", "task", to="rtt"), r"pretrain\.task='rtt'; expected pace"),
        (_changed("paper", "pretrain", "task"), r"pretrain\.task=None; expected pace"),
        (_changed("tiny", "pretrain", "task", to={"name": "pace@tiny", "ratez": 2}), "ratez.*did you mean 'rates'"),
        (_changed("tiny", "pretrain", "task", to="pace@small"), "no recipe 'small'"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_place(plain: Mapping[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_recipes(plain, "here", REGISTRY)


def test_a_task_that_cannot_go_with_its_backbone_is_refused() -> None:
    plain = {
        "task": "videomae",
        "paper": {"note": "x", "pretrain": {"task": "videomae", "backbone": "r3d-18", "steps": 1}},
        "tiny": {"pretrain": {"task": "videomae@tiny", "backbone": "vit-tiny-video", "steps": 1}},
    }
    with pytest.raises(ConfigError, match="here: paper: task videomae needs a backbone that offers masking"):
        parse_recipes(plain, "here", REGISTRY)


def test_numbers_from_memory_are_withheld() -> None:
    published = parse_recipes(_changed("paper", "published", "0", "mark", to="m"), "here", REGISTRY)["paper"].published
    assert "77" not in published[0].words and "top1 ? (" in published[0].words
    recipes = list(parse_recipes(_changed("paper", "published", "0", "mark", to="m"), "here", REGISTRY).values())
    assert "77" not in str(summary_rows(recipes, REGISTRY))


# ------------------------------------------------------------------------------------------- the files that are there

_FOLDER = Path(vssl_bench.__file__).parent / "suites" / "recipes"
# Read without checking, so that one wrong file fails its own tests alone.
_ALL = [(task, name) for task in recipe_tasks() for name in load_yaml(_FOLDER / f"{task}.yaml") if name != "task"]


def test_there_are_recipes() -> None:
    assert _ALL


@pytest.mark.parametrize("task", recipe_tasks())
def test_tiny_is_the_spec_s_recipe(task: str) -> None:
    tiny = find_recipe(f"{task}@tiny", REGISTRY).config()
    assert tiny.steps and not tiny.epochs
    ours = REGISTRY.resolve("tasks", tiny.task)
    assert ours.options == REGISTRY.resolve("tasks", f"{task}@tiny").options


class _Fakes:
    """Batches of fake videos, long enough for anything; where they move is known."""

    def __init__(self, task: Any, n: int) -> None:
        rng = np.random.default_rng(0)
        self.task = task
        self.videos: list[Video] = [
            dataclasses.replace(video, motion=rng.random(video.n_frames).astype(np.float32))
            for video in fake_videos(n, 600)
        ]

    def batches(self, start_step: int, total_steps: int) -> Iterator[Batch]:
        for step in range(start_step, total_steps):
            yield fake_batch(self.task, seed=step, videos=self.videos)

    def state(self) -> Mapping[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        pass


def _slow(task: str, name: str) -> Any:
    slow = name == "paper" and task not in _QUICK
    return pytest.param(task, name, id=f"{task}@{name}", marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize(("task", "name"), [_slow(task, name) for task, name in _ALL])
def test_two_steps_at_full_shape(task: str, name: str) -> None:
    """The recipe as it stands, its own optimiser and schedule included, but for one video a batch."""
    config = find_recipe(f"{task}@{name}", REGISTRY).config()
    torch.manual_seed(0)
    spec = REGISTRY.resolve("tasks", config.task).spec
    backbone = REGISTRY.build("backbones", config.backbone) if spec.uses_backbone else None
    built = REGISTRY.build("tasks", config.task, backbone)
    videos = _VIDEOS.get(task, 1)
    built.setup(videos, 2)
    before = {key: value.clone() for key, value in built.encoder().named_parameters()}
    device = torch.device("cpu")
    optim: OptimConfig = dataclasses.replace(config.optim, accumulate=1)
    options = TrainOptions(
        total_steps=2, optim=optim, device=device, precision=pick_precision("fp32", device), seed=0, log_every=1
    )
    losses: list[float] = []
    cost = train(built, _Fakes(built, videos), options, log=lambda step, metrics: losses.append(metrics["loss"]))
    assert cost.steps == 2 and len(losses) == 2 and np.isfinite(losses).all()
    moved = [key for key, value in built.encoder().named_parameters() if not torch.equal(value, before[key])]
    assert moved, "two steps leave the network as it was"


# ------------------------------------------------------------------------------------------------------------ the verb


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["recipe", *arguments], obj=State(REGISTRY))


@pytest.fixture(scope="module")
def some() -> str:
    return "multi"


def test_what_the_verb_writes_is_the_configuration_of_a_pretraining(some: str, tmp_path: Path) -> None:
    for full in ((), ("--full",)):
        result = _invoke(f"{some}@tiny", "steps=3", "data=toy-physics", "optim.lr=0.5", *full)
        assert result.exit_code == 0, result.output
        file = tmp_path / "r.yaml"
        file.write_text(result.output)
        config = compose(PretrainConfig, file)
        recipe = find_recipe(f"{some}@tiny", REGISTRY).config()
        data = REGISTRY.resolve("datasets", config.data)
        assert (config.steps, data.name, config.optim.lr) == (3, "toy-physics", 0.5)
        assert (config.batch_size, config.optim.name) == (recipe.batch_size, recipe.optim.name)
        theirs, ours = (REGISTRY.resolve("tasks", value.task).options for value in (recipe, config))
        assert theirs == ours


def test_what_the_verb_writes_says_what_the_recipe_is(some: str) -> None:
    lines = _invoke(some).output.splitlines()
    paper = find_recipe(some, REGISTRY)
    assert lines[0] == f"# {some}@paper"
    comments = " ".join(line.removeprefix("# ") for line in lines if line.startswith("#"))
    assert " ".join(paper.note.split()) in comments and "names no videos" in comments
    for number in paper.published:
        assert number.words in comments


def test_the_verb_lists_every_recipe() -> None:
    result = _invoke()
    assert result.exit_code == 0
    for task, name in _ALL:
        assert f"{task}@{name}" in result.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("rotatoin",), "no recipes of 'rotatoin'"),
        (("steps=3",), r"expected one TASK\[@NAME\]"),
        (("pace", "rtt"), "got pace, rtt"),
    ],
)
def test_the_verb_says_what_it_expects(arguments: tuple[str, ...], complaint: str) -> None:
    result = _invoke(*arguments)
    assert result.exit_code == 2
    assert re.search(complaint, result.output)


def test_the_verb_names_near_recipes(some: str) -> None:
    result = _invoke(f"{some}@papre")
    assert result.exit_code == 2 and "did you mean 'paper'" in result.output


def test_overrides_are_checked(some: str) -> None:
    result = _invoke(some, "stepz=3")
    assert result.exit_code == 2 and "stepz" in result.output
