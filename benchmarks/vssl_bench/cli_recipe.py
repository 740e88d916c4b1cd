"""``vssl recipe``: the published setting of each task, and one that is trained in about a minute."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from vssl_bench.recipes import Recipe

__all__ = ["recipe"]

_WIDTH = 100


@click.command("recipe")
@click.argument("arguments", nargs=-1, metavar="[TASK[@NAME]] [KEY=VALUE]...")
@click.option("--full", is_flag=True, help="Every option with its value, not only what the recipe says.")
@click.option("--json", "as_json", is_flag=True, help="The configuration, or the list, as JSON.")
def recipe(arguments: tuple[str, ...], full: bool, as_json: bool) -> None:
    """Write a recipe as the configuration of a pretraining; without a name show them all.

    \b
    vssl recipe                                        what there is
    vssl recipe rotation@paper data=folder data.root=VIDEOS > rotation.yaml
    vssl pretrain rotation.yaml

    TASK alone means TASK@paper. KEY=VALUE changes the configuration, as for 'vssl pretrain'.
    """  # noqa: D301 (click's \b is a control character)
    from vssl_bench.recipes import find_recipe
    from vssl_core.cli.state import current_registry
    from vssl_core.cli.terminal import print_json
    from vssl_core.config.compose import to_yaml
    from vssl_core.errors import ConfigError

    names = [argument for argument in arguments if "=" not in argument]
    overrides = [argument for argument in arguments if "=" in argument]
    if not names and not overrides:
        _print_all(as_json)
        return
    if len(names) != 1:
        raise ConfigError(f"expected one TASK[@NAME], got {', '.join(names) or 'none'}; 'vssl recipe' lists them")
    found = find_recipe(names[0], current_registry())
    plain = _config(found, overrides, full)
    if as_json:
        print_json(plain)
    else:
        click.echo(_heading(found, plain) + to_yaml(plain), nl=False)


def _config(found: Recipe, overrides: list[str], full: bool) -> dict[str, Any]:
    """Return the plain configuration, checked: all of it, or what the recipe and the overrides say."""
    from vssl_core.cli.state import current_registry
    from vssl_core.config.compose import compose, parse_override, to_plain
    from vssl_core.config.schema import PretrainConfig

    config = compose(PretrainConfig, None, overrides, base=found.pretrain)
    whole: dict[str, Any] = to_plain(config)
    registry = current_registry()
    task = registry.resolve("tasks", config.task)
    backbone = registry.resolve("backbones", config.backbone) if task.spec.uses_backbone else None
    data = registry.resolve("datasets", config.data)
    if full:
        parts = {"task": task, "backbone": backbone, "data": data}
        return whole | {key: part.as_config() for key, part in parts.items() if part is not None}
    said = {*found.pretrain, *(parse_override(text)[0][0] for text in overrides)}
    return {key: value for key, value in whole.items() if key in said}


def _heading(found: Recipe, plain: dict[str, Any]) -> str:
    """Return comments that say what the recipe is, and what it is to be held against."""
    lines = [found.reference, *textwrap.wrap(found.note, _WIDTH)]
    lines += [f"published: {number.words}" for number in found.published]
    if "data" not in plain:
        lines.append("It names no videos: add data=... here, or to vssl pretrain.")
    return "".join(f"# {line}\n" for line in lines)


def _print_all(as_json: bool) -> None:
    from vssl_bench.recipes import load_recipes, recipe_tasks, summary_rows
    from vssl_core.cli.state import current_registry
    from vssl_core.cli.terminal import output, print_json, remarks, simple_table
    from vssl_core.errors import VsslError

    registry = current_registry()
    recipes: list[Recipe] = []
    for task in recipe_tasks():
        try:
            recipes.extend(load_recipes(task, registry).values())
        except VsslError as error:  # such as a task whose plugin is disabled: the others are there all the same
            remarks().print(f"not shown: {error}", style="yellow", soft_wrap=True)
    if as_json:
        print_json([_plain(found) for found in recipes])
        return
    columns = ["recipe", "backbone", "batch", "budget", "optimiser", "published, per cent"]
    output().print(simple_table(columns, summary_rows(recipes, registry), whole=("backbone", "budget")))


def _plain(found: Recipe) -> dict[str, Any]:
    return {
        "task": found.task,
        "name": found.name,
        "note": found.note,
        "published": [number.words for number in found.published],
        "pretrain": dict(found.pretrain),
    }
