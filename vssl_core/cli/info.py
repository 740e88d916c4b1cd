"""``vssl info``: one component with its guide, recipes and options."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import click

from vssl_core.cli.list import describe_entry, flags
from vssl_core.cli.state import current_registry
from vssl_core.cli.terminal import output, print_json, simple_table
from vssl_core.components import kind_name, singular
from vssl_core.plugins import Entry, Registry

__all__ = ["command", "option_rows"]


@click.command("info")
@click.argument("kind")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of text.")
def command(kind: str, name: str, as_json: bool) -> None:
    """Show the component NAME of a KIND: what it is, how to use it, its recipes and its options.

    \b
    vssl info task rtt
    vssl info dataset ucf101
    vssl info backbone timm/resnet18
    """  # noqa: D301 (click's \b is a control character)
    registry = current_registry()
    name, _, recipe = name.partition("@")
    entry = registry.entry(kind, name)
    options = _options(registry, kind, name)
    if recipe:
        registry.resolve(kind, f"{name}@{recipe}")  # an unknown one is an error here too
    if as_json:
        print_json({**describe_entry(entry), "guide": entry.spec.guide, "options": options})
    else:
        _print(entry, options)


def _options(registry: Registry, kind: str, name: str) -> list[dict[str, Any]]:
    config = None if kind_name(kind) == "suites" else registry.config_class(kind, name)
    return list(option_rows(config())) if config else []


def option_rows(config: Any, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Yield name, type, default, doc and bounds of every field of a config instance, nested ones as ``optim.lr``."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from option_rows(value, f"{name}.")
            continue
        yield {
            "name": name,
            "type": _type_words(hints[field.name]),
            "default": value if not isinstance(value, tuple) else list(value),
            "doc": field.metadata.get("doc", ""),
            "minimum": field.metadata.get("minimum"),
            "maximum": field.metadata.get("maximum"),
            "choices": list(field.metadata["choices"]) if field.metadata.get("choices") else None,
        }


def _type_words(hint: Any) -> str:
    if hint is Any:
        return "component"
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")


def _print(entry: Entry, options: list[dict[str, Any]]) -> None:
    console, spec = output(), entry.spec
    console.print(f"{singular(entry.kind)} {spec.name}", style="bold")
    facts: Mapping[str, str] = {
        "summary": spec.summary,
        "version": str(spec.version),
        "paper": spec.paper,
        "plugin": entry.offered_by.removeprefix("plugin "),
        "target": spec.target,
        "notes": ", ".join(flags(entry)),
        "extras": ", ".join(spec.extras),
    }
    for name, value in facts.items():
        if value:
            console.print(f"  {name:<9}{value}", soft_wrap=True)
    for recipe, chosen in spec.recipes.items():
        words = " ".join(f"{key}={_word(value)}" for key, value in chosen.items())
        console.print(f"  @{recipe:<8}{words}", soft_wrap=True)
    if spec.guide:
        console.print()
        console.print(spec.guide.rstrip("\n"), soft_wrap=True)
    if not options:
        console.print("  no options")
        return
    rows = [[o["name"], o["type"], _word(o["default"]), _limits(o), o["doc"]] for o in options]
    console.print()
    console.print(simple_table(["option", "type", "default", "allowed", "meaning"], rows))


def _limits(option: Mapping[str, Any]) -> str:
    if option["choices"]:
        return "|".join(str(choice) for choice in option["choices"])
    low, high = option["minimum"], option["maximum"]
    if low is not None and high is not None:
        return f"{low}..{high}"
    if low is not None:
        return f">= {low}"
    return f"<= {high}" if high is not None else ""


def _word(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_word(item) for item in value) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return repr(value) if value == "" else str(value)
