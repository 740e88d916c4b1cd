"""Recipes of pretraining: for each task the published setting and one that is trained in about a minute.

One file a task, ``suites/recipes/TASK.yaml``::

    task: rotation
    paper:
      note: what differs from the published setting, and why
      published:
        - {dataset: UCF101, protocol: fine-tuned, metric: top1, value: 62.9, backbone: R3D-18,
           pretrained_on: Kinetics-400, source: "Jing et al. 2018, table 5", mark: R}
      pretrain: {task: rotation, backbone: r3d-18, batch_size: 32, epochs: 200, optim: {name: momentum, lr: 0.1}}
    tiny:
      pretrain: {task: rotation@tiny, backbone: r2plus1d-tiny, steps: 240}

``tiny`` has as many steps, 240 at most, as one core does in a minute, its start and its evaluation included (what a
step takes: ``benchmarks/speed/results/tasks.json``). Further names beside ``paper`` and ``tiny`` are further recipes.
What stands under ``pretrain`` is a layer of a ``PretrainConfig`` without data: which videos is the user's to say.
"""

from __future__ import annotations

import importlib.resources
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vssl_core.components import Reference
from vssl_core.config.compose import load_yaml, typed
from vssl_core.config.schema import PretrainConfig, option
from vssl_core.engine.planned import check_pair
from vssl_core.errors import ConfigError, near_names
from vssl_core.plugins import Registry

__all__ = [
    "DEFAULT",
    "MARKS",
    "Published",
    "Recipe",
    "find_recipe",
    "load_recipes",
    "parse_recipes",
    "recipe_tasks",
    "summary_rows",
]

#: the recipe that a task's name alone stands for
DEFAULT = "paper"
_REQUIRED = (DEFAULT, "tiny")

#: how far a published number can be trusted: what stands in a record of it
MARKS = {
    "R": "read in the method's own paper or repository",
    "T": "from another work's comparison table",
    "m": "from memory: not verified, and not shown as a number",
}

_LAYER = frozenset(field.name for field in fields(PretrainConfig)) - {"data", "seed", "label", "out"}


@dataclass(kw_only=True, slots=True)
class _RecipeFile:
    """One recipe in a file."""

    note: str = option("", "what it is, and what differs from the published setting")
    published: list[Any] = option([], "numbers that were published for this setting, or for one near it")
    pretrain: dict[str, Any] = option({}, "keys of a pretraining, without data, seed, label and out")


@dataclass(kw_only=True, slots=True)
class Published:
    """A number that a work reports; ``value`` in the units of its table, per cent for accuracies."""

    dataset: str = option("", "what was measured on, such as UCF101")
    protocol: str = option("", "how, such as fine-tuned, linear probe or retrieval")
    metric: str = option("", "such as top1 or recall@1")
    value: float = option(math.nan, "the number; there is none to fall back on, and NaN is refused")
    backbone: str = option("", "the network, as the source calls it")
    pretrained_on: str = option("", "the videos that the task was trained on")
    source: str = option("", "where the number stands: work, table or section, or repository")
    mark: str = option("", "how it is known", choices=("", *MARKS))

    @property
    def words(self) -> str:
        """The number with all that it depends on, in one line; one that nobody has verified is withheld."""
        value = f"{self.value:g}" if self.mark != "m" else "?"
        return (
            f"{self.dataset} {self.protocol} {self.metric} {value} ({self.backbone}, {self.pretrained_on}; "
            f"{self.source} [{self.mark}])"
        )


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way of pretraining a task, checked.

    Attributes:
        task: name of the task.
        name: ``"paper"``, ``"tiny"`` or another.
        note: what it is; empty where there is nothing to say.
        published: numbers that it is to be held against.
        pretrain: layer of a ``PretrainConfig`` without data, seed, label and out.
    """

    task: str
    name: str
    note: str
    published: tuple[Published, ...]
    pretrain: Mapping[str, Any]

    @property
    def reference(self) -> str:
        """``TASK@NAME``."""
        return f"{self.task}@{self.name}"

    def config(self) -> PretrainConfig:
        """Return it with the defaults of all that it does not say."""
        return typed(PretrainConfig, self.pretrain)


def recipe_tasks() -> list[str]:
    """Return the tasks that have a file, sorted."""
    folder = importlib.resources.files("vssl_bench").joinpath("suites", "recipes")
    if not folder.is_dir():
        return []
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def load_recipes(task: str, registry: Registry) -> dict[str, Recipe]:
    """Return the recipes of a task by name.

    Raises:
        ConfigError: the task has no file, or something in it is unknown, missing or impossible.
    """
    known = recipe_tasks()
    if task not in known:
        listed = ", ".join(known) or "none"
        raise ConfigError(f"no recipes of '{task}'{near_names(task, known) or ';'} tasks with recipes: {listed}")
    inside = importlib.resources.files("vssl_bench").joinpath("suites", "recipes", f"{task}.yaml")
    with importlib.resources.as_file(inside) as file:
        plain = load_yaml(file)
    if plain.get("task") != task:
        raise ConfigError(f"recipes/{task}.yaml: task={plain.get('task')!r}; expected {task!r}, as the file is called")
    return parse_recipes(plain, f"recipes/{task}.yaml", registry)


def find_recipe(reference: str, registry: Registry) -> Recipe:
    """Return the recipe ``TASK@NAME``; ``TASK`` alone means its ``paper``.

    Raises:
        ConfigError: there is no such task or recipe, or the file is wrong.
    """
    task, _, name = reference.partition("@")
    recipes = load_recipes(task, registry)
    name = name or DEFAULT
    if name not in recipes:
        near = near_names(name, recipes) or ";"
        raise ConfigError(f"task {task} has no recipe '{name}'{near} its recipes: {', '.join(recipes)}")
    return recipes[name]


def parse_recipes(plain: Mapping[str, Any], where: str, registry: Registry) -> dict[str, Recipe]:
    """Check a plain file of recipes and return them by name.

    Raises:
        ConfigError: a key is unknown or missing, a number has no source, or the task cannot go with the backbone.
    """
    task = plain.get("task")
    if not isinstance(task, str) or not task:
        raise ConfigError(f"{where}: lacks task, the name of a pretext task")
    missing = [name for name in _REQUIRED if name not in plain]
    if missing:
        raise ConfigError(f"{where}: lacks the recipes {', '.join(missing)}; every task has {' and '.join(_REQUIRED)}")
    names = [name for name in plain if name != "task"]
    recipes = {name: _recipe(task, name, plain[name], f"{where}: {name}", registry) for name in names}
    if not recipes[DEFAULT].note:
        raise ConfigError(f"{where}: {DEFAULT}.note is empty; say what differs from the published setting, or nothing")
    return recipes


def _recipe(task: str, name: str, plain: Any, where: str, registry: Registry) -> Recipe:
    file = typed(_RecipeFile, plain if isinstance(plain, Mapping) else {"pretrain": plain}, where=where)
    published = tuple(_published(item, f"{where}.published[{i}]") for i, item in enumerate(file.published))
    for key in file.pretrain:
        if key not in _LAYER:
            near = near_names(str(key), _LAYER) or ";"
            raise ConfigError(f"{where}.pretrain.{key} is no key of a recipe{near} known: {', '.join(sorted(_LAYER))}")
    recipe = Recipe(task, name, file.note, published, file.pretrain)
    config = typed(PretrainConfig, file.pretrain, where=f"{where}.pretrain")
    if "task" not in file.pretrain or Reference.parse(config.task, where=f"{where}.pretrain.task").name != task:
        raise ConfigError(f"{where}.pretrain.task={file.pretrain.get('task')!r}; expected {task}, whose recipe it is")
    if bool(config.steps) == bool(config.epochs):
        raise ConfigError(f"{where}.pretrain: expected a budget as steps or as epochs, and one of them")
    resolved = registry.resolve("tasks", config.task, where=f"{where}.pretrain.task")
    if resolved.spec.uses_backbone:
        if "backbone" not in file.pretrain:
            raise ConfigError(f"{where}.pretrain lacks backbone")
        backbone = registry.resolve("backbones", config.backbone, where=f"{where}.pretrain.backbone")
        reason = check_pair(resolved, backbone)
        if reason:
            raise ConfigError(f"{where}: {reason}")
    return recipe


def _published(plain: Any, where: str) -> Published:
    number = typed(Published, plain if isinstance(plain, Mapping) else {"source": plain}, where=where)
    lacking = [field.name for field in fields(Published) if getattr(number, field.name) == ""]
    if lacking:
        raise ConfigError(f"{where} lacks {', '.join(lacking)}; a number without its source and setting says nothing")
    return number


def summary_rows(recipes: Sequence[Recipe], registry: Registry) -> list[list[str]]:
    """Return a line a recipe, as texts: its name, backbone, batch, budget, optimiser and published numbers."""
    rows = []
    for recipe in recipes:
        config = recipe.config()
        resolved = registry.resolve("tasks", config.task)
        backbone = Reference.parse(config.backbone, where="backbone").name if resolved.spec.uses_backbone else "-"
        budget = f"{config.steps} steps" if config.steps else f"{config.epochs:g} epochs"
        optim = f"{config.optim.name} {config.optim.lr:g}"
        known = [number for number in recipe.published if number.mark != "m"]
        words = ", ".join(f"{n.dataset} {n.value:g} ({n.protocol}, {n.backbone})" for n in known)
        rows.append([recipe.reference, backbone, str(config.batch_size), budget, optim, words])
    return rows
