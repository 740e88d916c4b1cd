"""``multi``: a weighted sum of tasks that share one backbone and one decode of the video.

After L. Tao, X. Wang, T. Yamasaki, "Pretext-Contrastive Learning: Toward Good Practices in Self-supervised Video
Representation Learning" (PCL), arXiv 2010.15464, section III: the losses of a pretext task and of a contrast on one
network are added up, the second with a weight. Official code: BestJuly/Pretext-Contrastive-Learning@bc46d88,
``train_vcp_contrast.py`` (``loss = loss_ce + loss_contrast * w_con``).

Implemented: any number of tasks, each with its own clips, augmentation, head and state; the loss is the sum of theirs,
each times its weight. All clips of a video are read in one pass over the file.

Where this deviates from PCL: there both losses look at the same clips, so that the network runs once for both; here
each task gets the clips that it asks for and runs the network on them by itself. A step therefore costs what the tasks'
steps cost together, less the decoding that they share, and batch norm sees the clips of one task at a time.

``draws`` says how the tasks' random draws hang together. ``"alone"``: every task draws what it would draw as the only
one, so that ``multi`` of one task with weight 1 is that task to the bit, and a task that is added changes nothing of
what the others see; tasks that draw in the same way then draw the same, such as where the first clip starts.
``"independent"``: each task draws from a stream of its own.

A video that is too short for one of the tasks is left out for all. Metrics and targets bear their task's name,
``pace.accuracy``; ``accuracy`` is the mean over the tasks that have classes, beside the mean of their chances.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vssl_baselines.asking import ask_planner
from vssl_core.contracts import Batch, Build, Explanation, Planner, StepOutput, Video, View
from vssl_core.data.transforms import split_seeds
from vssl_core.errors import ClipError, ConfigError, PluginError
from vssl_core.weighted import WeightedComponent, parse_weighted

__all__ = ["Multi", "MultiPlanner"]

#: stream of the seeds of independent draws; augmentations and first-party tasks use others
_STREAM = 811
_NAME = "multi"


@dataclass(frozen=True, slots=True)
class MultiPlanner:
    """Joins the plans of several tasks: views in their order, targets under their names."""

    names: tuple[str, ...]
    planners: tuple[Planner, ...]
    independent: bool

    @property
    def needs_motion(self) -> bool:
        """Whether one of them asks for the video's motion."""
        return any(bool(getattr(planner, "needs_motion", False)) for planner in self.planners)

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return every task's views and targets.

        Raises:
            ClipError: one of the tasks cannot use the video.
        """
        views: list[View] = []
        targets: dict[str, Any] = {}
        for name, planner in zip(self.names, self.planners, strict=True):
            own = np.random.default_rng(rng.integers(2**63)) if self.independent else copy.deepcopy(rng)
            try:
                planned, made = planner(video, own)
            except ClipError as error:
                raise ClipError(f"task.of.{name}: {error}") from error
            views.extend(planned)
            targets |= {f"{name}.{key}": value for key, value in made.items()}
        return views, targets


class Multi(nn.Module):
    """Trains several tasks at once on one backbone.

    Raises:
        ConfigError: ``of`` names no task, one twice, one that is not trained or needs labels, or a weight that is not
            positive; or a task exports another encoder than the shared backbone.
    """

    def __init__(self, backbone: nn.Module, *, build: Build, of: Mapping[str, Any], draws: str = "alone") -> None:
        super().__init__()
        members = parse_weighted(of, where="task.of")
        _refuse_members(members)
        self.backbone = backbone
        self.weights = {member.name: member.weight for member in members}
        self.independent = draws == "independent"
        self.inner = nn.ModuleDict({member.name: _built(member, build, backbone) for member in members})
        asked = [(name, ask_planner(task.planner())) for name, task in self._tasks()]
        #: views of each task as its planner asks for them; ``augment`` may change how many there are
        self._planned = {name: len(views) for name, (views, _) in asked}
        self._augmented: dict[str, int] = {}
        self.supervised_by_targets = all(
            getattr(self._task(name), "supervised_by_targets", bool(targets)) for name, (_, targets) in asked
        )
        self.asks_frame_order = any(getattr(task, "asks_frame_order", False) for _, task in self._tasks())
        self._chances = {name: task.chance for name, task in self._tasks() if task.chance is not None}
        self.chance: float | None = sum(self._chances.values()) / len(self._chances) if self._chances else None
        self.register_state_dict_post_hook(_drop_repeated)
        self.register_load_state_dict_pre_hook(_restore_repeated)

    def setup(self, n_videos: int, total_steps: int) -> None:
        """Set up every task."""
        for _, task in self._tasks():
            task.setup(n_videos, total_steps)

    def planner(self) -> MultiPlanner:
        """Return what asks every task's planner."""
        names = tuple(self.inner)
        return MultiPlanner(names, tuple(self._task(name).planner() for name in names), self.independent)

    def augment(self, batch: Batch) -> Batch:
        """Augment each task's views as it does: uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, H, W]`` in [0, 1]."""
        views: list[Tensor] = []
        targets: dict[str, Tensor] = {}
        for name, part in self._parts(batch, self._planned):
            augmented: Batch = self._task(name).augment(part)
            self._augmented[name] = len(augmented.views)
            views.extend(augmented.views)
            targets |= {f"{name}.{key}": value for key, value in augmented.targets.items()}
        return batch._replace(views=tuple(views), targets=targets)

    def forward(self, batch: Batch) -> StepOutput:
        """Return the weighted sum of the losses, and every task's loss and metrics under its name."""
        total: Tensor | None = None
        metrics: dict[str, Tensor] = {}
        for name, part in self._parts(batch, self._after_augment(batch)):
            output: StepOutput = self._task(name)(part)
            weighted = self.weights[name] * output.loss
            total = weighted if total is None else total + weighted
            metrics |= {f"{name}.loss": output.loss.detach()}
            metrics |= {f"{name}.{key}": value for key, value in output.metrics.items()}
        assert total is not None  # there is at least one task
        knows = [name for name in self.inner if name in self._chances or f"{name}.accuracy_chance" in metrics]
        rights = [metrics[f"{name}.accuracy"] for name in knows if f"{name}.accuracy" in metrics]
        if rights:
            metrics["accuracy"] = torch.stack([right.float() for right in rights]).mean()
        return StepOutput(total, metrics)

    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        """Return every task's figures under its name, and ``accuracy``, the mean over the tasks with classes.

        Where one of them measures what guessing gives, the mean of that is ``accuracy_chance``.
        """
        figures: dict[str, tuple[Tensor, int]] = {}
        rights: list[Tensor] = []
        guesses: list[Tensor] = []
        measured = False
        size = len(batch.index)
        for name, part in self._parts(batch, self._after_augment(batch)):
            found: Mapping[str, tuple[Tensor, int]] = self._task(name).evaluate(part)
            figures |= {f"{name}.{key}": value for key, value in found.items()}
            own = found.get("accuracy_chance")
            if "accuracy" in found and (own is not None or name in self._chances):
                total, n = found["accuracy"]
                rights.append(total.float() / n)
                measured = measured or own is not None
                guesses.append(own[0].float() / own[1] if own is not None else total.new_tensor(self._chances[name]))
            if name in self._chances:
                figures[f"{name}.chance"] = (
                    batch.seeds.new_full((), self._chances[name] * size, dtype=torch.float32),
                    size,
                )
        if rights:
            figures["accuracy"] = (torch.stack(rights).mean() * size, size)
        if measured:
            figures["accuracy_chance"] = (torch.stack([guess.float() for guess in guesses]).mean() * size, size)
        return figures

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Say of each sample what every task asks and what is right, task by task."""
        counts = self._after_augment(batch)
        told = [(name, counts[name], self._explained(name, part)) for name, part in self._parts(batch, counts)]
        joined = []
        for row in range(len(batch.index)):
            questions, answers, captions = [], [], []
            pictures: list[tuple[str, Tensor]] = []
            shown: list[int] = []
            first = 0
            for name, count, explanations in told:
                one = explanations[row] if explanations else Explanation("", "")
                questions.append(f"{name}: {one.question or 'the task does not say what it asks.'}")
                answers.append(f"{name}: {one.answer or '(not said)'}.")
                named = one.captions or ("",) * count
                captions += [f"{name}: {caption}".rstrip(": ") for caption in named]
                pictures += [(f"{name}: {caption}", clip) for caption, clip in one.pictures]
                shown += [first + place for place in (range(count) if one.shown is None else one.shown)]
                first += count
            whole = None if len(shown) == first else tuple(shown)
            joined.append(Explanation(" ".join(questions), " ".join(answers), tuple(captions), tuple(pictures), whole))
        return joined

    def param_groups(self) -> list[dict[str, Any]]:
        """Return every task's groups; what tasks share, such as the backbone, stands in the first group that has it."""
        seen: set[int] = set()
        groups: list[dict[str, Any]] = []
        for _, task in self._tasks():
            for group in task.param_groups():
                new = [parameter for parameter in group["params"] if id(parameter) not in seen]
                seen |= {id(parameter) for parameter in new}
                if new:
                    groups.append({**group, "params": new})
        return groups

    def after_step(self, step: int, total_steps: int) -> None:
        """Let every task follow the step."""
        for _, task in self._tasks():
            task.after_step(step, total_steps)

    def encoder(self) -> nn.Module:
        """Return the shared backbone."""
        return self.backbone

    # ------------------------------------------------------------------------------------------------- internals

    def _tasks(self) -> list[tuple[str, Any]]:
        return list(self.inner.items())

    def _task(self, name: str) -> Any:
        return self.inner[name]

    def _after_augment(self, batch: Batch) -> Mapping[str, int]:
        """Return how many views of an augmented batch each task has; most tasks keep the number that they asked for."""
        counts = self._augmented or self._planned
        if sum(counts.values()) != len(batch.views):
            raise PluginError(
                f"multi: a batch of {len(batch.views)} views, its tasks have {dict(counts)}; it has to go through this "
                "task's own augment before it is trained or evaluated on"
            )
        return counts

    def _parts(self, batch: Batch, counts: Mapping[str, int]) -> list[tuple[str, Batch]]:
        """Return each task's part of a batch: its views, its targets without their prefix, its seeds."""
        parts: list[tuple[str, Batch]] = []
        first = 0
        seeds = split_seeds(batch.seeds, len(self.inner), stream=_STREAM) if self.independent else None
        for k, name in enumerate(self.inner):
            prefix = f"{name}."
            own = {key.removeprefix(prefix): v for key, v in batch.targets.items() if key.startswith(prefix)}
            part = batch._replace(
                views=batch.views[first : first + counts[name]],
                targets=own,
                seeds=batch.seeds if seeds is None else seeds[:, k],
            )
            parts.append((name, part))
            first += counts[name]
        return parts

    def _explained(self, name: str, part: Batch) -> Sequence[Explanation]:
        explain = getattr(self._task(name), "explain", None)
        explanations: Sequence[Explanation] = explain(part) if explain is not None else []
        return explanations


def _refuse_members(members: Sequence[WeightedComponent]) -> None:
    example = "such as task.of.pace=1 task.of.simclr=0.5"
    if not members:
        raise ConfigError(f"task.of is empty; name the tasks and their weights, {example}")
    for member in members:
        if member.name == _NAME:
            raise ConfigError(f"task.of.{_NAME}: a sum of sums; name its tasks in this one, {example}")


def _built(member: WeightedComponent, build: Build, backbone: nn.Module) -> nn.Module:
    """Build one task on the shared backbone.

    Raises:
        ConfigError: it cannot be built without labels, reads no clips, or exports another encoder.
    """
    try:
        task: Any = build("tasks", member.value, backbone)
        views, _ = ask_planner(task.planner())
    except (ConfigError, PluginError, ClipError) as error:
        raise ConfigError(f"task.of.{member.name} cannot be a part of multi: {error}") from error
    if not views:
        raise ConfigError(f"task.of.{member.name} reads no clips, so there is nothing to train on")
    if task.encoder() is not backbone:
        raise ConfigError(
            f"task.of.{member.name} exports an encoder of its own and not the backbone that multi's tasks share; train "
            "it by itself"
        )
    built: nn.Module = task
    return built


# ------------------------------------------------------------------------------ the backbone is saved under one name


def _repeated(module: nn.Module) -> dict[str, str]:
    """Return the names under which a parameter or buffer stands again -> the first name that it stands under."""
    first: dict[int, str] = {}
    again: dict[str, str] = {}
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    for name, tensor in named:
        if first.setdefault(id(tensor), name) != name:
            again[name] = first[id(tensor)]
    return again


def _drop_repeated(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for name in _repeated(module):
        state.pop(prefix + name, None)


def _restore_repeated(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name, source in _repeated(module).items():
        if prefix + source in state:
            state.setdefault(prefix + name, state[prefix + source])
