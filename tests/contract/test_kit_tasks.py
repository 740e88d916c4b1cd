"""The conformance kit itself: a task that keeps the contract passes, and every single fault is found."""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vssl_core.config.schema import option
from vssl_core.contracts import Batch, Spec, StepOutput, Video, View
from vssl_core.data.draws import uniform
from vssl_core.data.transforms import to_float
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ClipError, ConfigError
from vssl_core.hookspecs import hookimpl
from vssl_core.testing import ConformanceError, check_task, isolated_registry

HERE = "kit_tasks_module"


@dataclass(kw_only=True, slots=True)
class Options:
    """Options of the task."""

    frames: int = option(4, "frames a clip", minimum=1)
    size: int = option(16, "height and width", minimum=8)


@dataclass(frozen=True)
class Planner:
    frames: int
    size: int

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        if video.n_frames < 2 * self.frames:
            raise ClipError("too short")
        half = int(rng.integers(2))
        start = int(rng.integers(0, video.n_frames - 2 * self.frames + 1))
        frames = start + half * self.frames + np.arange(self.frames, dtype=np.int64)
        return [View(frames, (self.size, self.size))], {"half": half}


class Good(BaseTask):
    """Which half of a stretch is shown."""

    planner_class: Any = Planner

    def __init__(self, backbone: Any, *, frames: int = 4, size: int = 16) -> None:
        super().__init__(backbone)
        self.chance: float | None = 0.5
        self._planner = self.planner_class(frames, size)
        self.norm = nn.BatchNorm1d(backbone.embed_dim)
        self.head = nn.Linear(backbone.embed_dim, 2)

    def planner(self) -> Any:
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        light = uniform(batch.seeds, 1, stream=1, low=0.5)[:, :, None, None, None]
        return batch._replace(views=(to_float(batch.views[0]) * light,))

    def forward(self, batch: Batch) -> StepOutput:
        logits = self.head(self.norm(self.backbone(batch.views[0]).pooled))
        target = batch.targets["half"]
        accuracy = (logits.argmax(1) == target).float().mean()
        return StepOutput(nn.functional.cross_entropy(logits, target), {"accuracy": accuracy.detach()})


# --------------------------------------------------------------------------------------------- faults


class LambdaPlanner(Good):
    def planner(self) -> Any:
        return lambda video, rng: self._planner(video, rng)


@dataclass(frozen=True)
class GlobalPlanner(Planner):
    def __call__(self, video: Video, rng: np.random.Generator) -> Any:
        return super().__call__(video, np.random.default_rng(random.randrange(9)))


@dataclass(frozen=True)
class OtherPlanner(Planner):
    """Ignores the generator that it is given."""

    def __call__(self, video: Video, rng: np.random.Generator) -> Any:
        return super().__call__(video, np.random.default_rng())


@dataclass(frozen=True)
class BeyondPlanner(Planner):
    def __call__(self, video: Video, rng: np.random.Generator) -> Any:
        views, targets = super().__call__(video, rng)
        return [views[0]._replace(frames=views[0].frames + video.n_frames)], targets


@dataclass(frozen=True)
class ListPlanner(Planner):
    def __call__(self, video: Video, rng: np.random.Generator) -> Any:
        views, targets = super().__call__(video, rng)
        return [views[0]._replace(frames=views[0].frames.tolist())], targets


@dataclass(frozen=True)
class FitPlanner(Planner):
    def __call__(self, video: Video, rng: np.random.Generator) -> Any:
        views, targets = super().__call__(video, rng)
        return [views[0]._replace(fit="squeeze")], targets


@dataclass(frozen=True)
class TensorPlanner(Planner):
    def __call__(self, video: Video, rng: np.random.Generator) -> Any:
        views, targets = super().__call__(video, rng)
        return views, {"half": torch.tensor(targets["half"])}


@dataclass(frozen=True)
class ChangingPlanner(Planner):
    def __call__(self, video: Video, rng: np.random.Generator) -> Any:
        views, targets = super().__call__(video, rng)
        return (views if video.n_frames < 310 else [*views, *views]), targets


def with_planner(name: str, planner: Any) -> type:
    return type(name, (Good,), {"planner_class": planner, "__doc__": "A fault."})


class GlobalAugment(Good):
    def augment(self, batch: Batch) -> Batch:
        batch = super().augment(batch)
        return batch._replace(views=(batch.views[0] * torch.rand(()),))


class BatchAugment(Good):
    """One draw for the whole batch."""

    def augment(self, batch: Batch) -> Batch:
        batch = super().augment(batch)
        return batch._replace(views=(batch.views[0] * uniform(batch.seeds[:1], 1, stream=2)[0, 0],))


class BrightAugment(Good):
    def augment(self, batch: Batch) -> Batch:
        batch = super().augment(batch)
        return batch._replace(views=(batch.views[0] * 3,))


class ByteAugment(Good):
    def augment(self, batch: Batch) -> Batch:
        return batch._replace(views=(batch.views[0].permute(0, 4, 1, 2, 3),))


class InPlaceAugment(Good):
    def augment(self, batch: Batch) -> Batch:
        result = super().augment(batch)
        batch.views[0].zero_()
        return result


class WrongSize(Good):
    def augment(self, batch: Batch) -> Batch:
        batch = super().augment(batch)
        return batch._replace(views=(batch.views[0][..., :8],))


class DetachedLoss(Good):
    def forward(self, batch: Batch) -> StepOutput:
        output = super().forward(batch)
        return output._replace(loss=output.loss.detach())


class VectorLoss(Good):
    def forward(self, batch: Batch) -> StepOutput:
        output = super().forward(batch)
        return output._replace(loss=output.loss[None])


class NanLoss(Good):
    def forward(self, batch: Batch) -> StepOutput:
        output = super().forward(batch)
        return output._replace(loss=output.loss * float("nan"))


class FrozenBackbone(Good):
    """Only the head learns."""

    def forward(self, batch: Batch) -> StepOutput:
        with torch.no_grad():
            pooled = self.backbone(batch.views[0]).pooled
        logits = self.head(self.norm(pooled))
        return StepOutput(nn.functional.cross_entropy(logits, batch.targets["half"]), {})


class AttachedMetric(Good):
    def forward(self, batch: Batch) -> StepOutput:
        output = super().forward(batch)
        return output._replace(metrics={"loss": output.loss})


class ForgottenParameter(Good):
    def param_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.backbone.parameters())}]


class TwiceGrouped(Good):
    def param_groups(self) -> list[dict[str, Any]]:
        return [*super().param_groups(), {"params": list(self.head.parameters())}]


class TrainingEvaluate(Good):
    """Evaluates in training mode, so that batch norm's statistics move."""

    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        output = self(batch)
        return {"accuracy": (output.metrics["accuracy"] * 4, 4)}


class LeavesEval(Good):
    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        self.eval()
        with torch.no_grad():
            return {"accuracy": (self(batch).metrics["accuracy"] * 4, 4)}


class MeanEvaluate(Good):
    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        return {"accuracy": (torch.tensor(5.0), 4)}


class HiddenState(Good):
    """Keeps what it learns outside its parameters and buffers."""

    scale = 1.0

    def after_step(self, step: int, total_steps: int) -> None:
        self.scale += 1.0

    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        return {"score": (torch.tensor(self.scale), 4)}


class WrongChance(Good):
    def __init__(self, backbone: Any, *, frames: int = 4, size: int = 16) -> None:
        super().__init__(backbone, frames=frames, size=size)
        self.chance = 50.0


class NoModule:
    """No nn.Module."""

    chance = None

    def __init__(self, backbone: Any, *, frames: int = 4, size: int = 16) -> None: ...


class MissingKeyword(Good):
    """Lacks an option that its configuration has."""

    def __init__(self, backbone: Any, *, frames: int = 4) -> None:
        super().__init__(backbone, frames=frames)


class ExtraKeyword(Good):
    """Has a keyword that no configuration can set."""

    def __init__(self, backbone: Any, *, frames: int = 4, size: int = 16, hidden: int = 3) -> None:
        super().__init__(backbone, frames=frames, size=size)


class OtherDefault(Good):
    """Its own default is another one than that of its configuration."""

    def __init__(self, backbone: Any, *, frames: int = 8, size: int = 16) -> None:
        super().__init__(backbone, frames=frames, size=size)


class Kwargs(Good):
    """Swallows any keyword."""

    def __init__(self, backbone: Any, **options: Any) -> None:
        super().__init__(backbone, **options)


FAULTS: dict[str, tuple[type, str]] = {
    "GlobalPlanner": (with_planner("GlobalPlannerTask", GlobalPlanner), "Python's global generator"),
    "OtherPlanner": (with_planner("OtherPlannerTask", OtherPlanner), "with one generator plans otherwise"),
    "BeyondPlanner": (with_planner("BeyondPlannerTask", BeyondPlanner), "asks for frames"),
    "ListPlanner": (with_planner("ListPlannerTask", ListPlanner), "one-dimensional int64 array"),
    "FitPlanner": (with_planner("FitPlannerTask", FitPlanner), "fit of a view is 'squeeze'"),
    "TensorPlanner": (with_planner("TensorPlannerTask", TensorPlanner), "'half' is a tensor"),
    "ChangingPlanner": (with_planner("ChangingPlannerTask", ChangingPlanner), "views of changing shape"),
    "GlobalAugment": (GlobalAugment, "torch's global generator"),
    "BatchAugment": (BatchAugment, "augment of a split batch differs"),
    "BrightAugment": (BrightAugment, r"expected \[0, 1\]"),
    "ByteAugment": (ByteAugment, "is torch.uint8; expected float"),
    "InPlaceAugment": (InPlaceAugment, "augment changes the batch"),
    "WrongSize": (WrongSize, "task.size is 16"),
    "DetachedLoss": (DetachedLoss, "loss has no gradient"),
    "VectorLoss": (VectorLoss, "expected a finite scalar"),
    "NanLoss": (NanLoss, "expected a finite scalar"),
    "FrozenBackbone": (FrozenBackbone, "does not reach the backbone"),
    "AttachedMetric": (AttachedMetric, "'loss' is not detached"),
    "ForgottenParameter": (ForgottenParameter, "in no parameter group: norm.weight, norm.bias, head.weight, head.bias"),
    "TwiceGrouped": (TwiceGrouped, "in two parameter groups"),
    "TrainingEvaluate": (TrainingEvaluate, "evaluate changes norm.running_mean"),
    "LeavesEval": (LeavesEval, "leaves modules in another mode"),
    "MeanEvaluate": (MeanEvaluate, "counts 5.0 right of 4"),
    "HiddenState": (HiddenState, "keep everything that training changes in parameters or buffers"),
    "WrongChance": (WrongChance, "chance is 50.0"),
    "NoModule": (NoModule, "expected an nn.Module"),
    "MissingKeyword": (MissingKeyword, r"\['size'\] are no keywords"),
    "ExtraKeyword": (ExtraKeyword, r"\['hidden'\] are no options"),
    "OtherDefault": (OtherDefault, "'frames' is 4 by configuration but 8 by constructor"),
    "Kwargs": (Kwargs, r"takes \*\*options; name every keyword"),
}


def check(task: type, **spec: Any) -> None:
    module = types.ModuleType(HERE)
    module.Task, module.Options = task, spec.pop("options", Options)  # type: ignore[attr-defined]
    task.__doc__ = task.__doc__ or "A fault."
    sys.modules[HERE] = module

    class Plugin:
        @hookimpl
        def vssl_tasks(self) -> Any:
            told = {"summary": "a task", "provides": frozenset({"accuracy"}), **spec}
            yield Spec(name="mine", target=f"{HERE}:Task", config=f"{HERE}:Options", **told)

    registry = isolated_registry(acme=Plugin())
    check_task(registry.entry("tasks", "mine"), registry)


def test_a_task_that_keeps_the_contract_passes() -> None:
    check(Good)
    check(Good, recipes={"tiny": {"frames": 2}})


class Scores(Good):
    """Measures something that is neither right nor wrong."""

    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        return {"score": (torch.tensor(2.0), 4)}


class NoChance(Good):
    """Counts right answers, and does not say how many guessing gives."""

    def __init__(self, backbone: Any, *, frames: int = 4, size: int = 16) -> None:
        super().__init__(backbone, frames=frames, size=size)
        self.chance = None


class Contrasts(Good):
    """Says how often its nearest is the right one, and not how often that is by chance."""

    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        return {"contrast_top1": (torch.tensor(2.0), 4)}


class Both(Good):
    """Beside an accuracy whose chance is known."""

    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        return {**super().evaluate(batch), "contrast_top1": (torch.tensor(2.0), 4)}


def test_what_a_spec_says_of_right_answers_must_be_what_is_measured() -> None:
    check(Scores, provides=frozenset())
    with pytest.raises(ConformanceError, match=r"that evaluate counts right answers .*; it gives score"):
        check(Scores)
    with pytest.raises(ConformanceError, match="say what guessing gives: set chance"):
        check(NoChance)
    with pytest.raises(ConformanceError, match="or measure contrast_chance beside it"):
        check(Contrasts)
    check(Both)
    with pytest.raises(ConformanceError, match=r"counts right answers \(accuracy\); say provides=frozenset"):
        check(Good, provides=frozenset())


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str) -> None:
    task, message = FAULTS[name]
    with pytest.raises(ConformanceError, match=message) as caught:
        check(task)
    assert str(caught.value).startswith("task 'mine' (plugin 'acme' given in memory): ")


def test_a_planner_that_cannot_be_pickled_is_found() -> None:
    with pytest.raises(ConformanceError, match="its planner cannot be pickled"):
        check(LambdaPlanner)


@dataclass(kw_only=True, slots=True)
class Undocumented:
    """One option says nothing."""

    frames: int = 4
    size: int = option(16, "height and width")


@dataclass(slots=True)
class Positional:
    """Takes its options by position."""

    frames: int = option(4, "frames a clip")
    size: int = option(16, "height and width")


@dataclass(kw_only=True, slots=True)
class NoDocstring:
    frames: int = option(4, "frames a clip")
    size: int = option(16, "height and width")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"options": Undocumented}, "option 'frames' of .* says nothing"),
        ({"options": Positional}, "takes 'frames' by position"),
        ({"options": NoDocstring}, "has no docstring"),
        ({"summary": ""}, "has no summary"),
        ({"summary": "x" * 200}, "no short line"),
    ],
)
def test_faults_of_spec_and_options_are_found(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        check(Good, **spec)


def test_a_recipe_that_does_not_resolve_is_found() -> None:
    with pytest.raises(ConfigError, match=r"task@small\.frmes: task 'mine'.*did you mean 'frames'"):
        check(Good, recipes={"small": {"frmes": 2}})
