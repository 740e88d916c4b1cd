"""``vssl list``: the components that are installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from vssl_core.cli.state import current_registry
from vssl_core.cli.terminal import note_broken, output, print_json, simple_table
from vssl_core.components import kind_name
from vssl_core.discovery import Entry
from vssl_core.plugins import Registry

__all__ = ["command", "describe_entry", "flags"]


@click.command("list")
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Write a JSON list instead of tables.")
def command(kind: str | None, as_json: bool) -> None:
    """Show the components that are installed, of one KIND or of all.

    KIND is tasks, backbones, heads, protocols, datasets, flows, trackers, launchers, suites, commands or resolvers, or
    the singular of one. A family such as timm/NAME stands for many names.
    """
    registry = current_registry()
    kinds = [kind_name(kind)] if kind else [k for k in registry.kinds() if k != "resolvers"]
    if as_json:
        print_json([describe_entry(entry) for k in kinds for entry in _entries(registry, k)])
    else:
        console = output()
        for k in kinds:
            entries = _entries(registry, k)
            if entries:
                console.print(_table(k, entries, title=k if len(kinds) > 1 else ""))
                if len(kinds) > 1:
                    console.print()
            elif kind:
                console.print(f"no {k} are installed")
    note_broken(registry.plugins)


def describe_entry(entry: Entry) -> dict[str, Any]:
    """Return everything that a Spec says, as plain JSON."""
    spec = entry.spec
    return {
        "kind": entry.kind,
        "name": spec.name,
        "summary": spec.summary,
        "version": spec.version,
        "paper": spec.paper,
        "plugin": entry.plugin,
        "distribution": entry.distribution,
        "distribution_version": entry.distribution_version,
        "requires": sorted(spec.requires),
        "provides": sorted(spec.provides),
        "needs_labels": spec.needs_labels,
        "trains": spec.trains,
        "uses_backbone": spec.uses_backbone,
        "recipes": {name: dict(options) for name, options in spec.recipes.items()},
        "extras": list(spec.extras),
        "target": spec.target,
        "config": spec.config,
    }


def _entries(registry: Registry, kind: str) -> list[Entry]:
    families = [e for e in registry.entries("resolvers") if e.spec.name.startswith(f"{kind}:")]
    return [*registry.entries(kind), *families]


#: columns that are left out where no component of a kind has anything in them
_OPTIONAL = ("recipes", "needs", "gives", "paper")


def _table(kind: str, entries: Sequence[Entry], title: str) -> Any:
    rows = []
    for entry in entries:
        spec = entry.spec
        name = f"{spec.name.partition(':')[2]}/NAME" if entry.kind == "resolvers" and kind != "resolvers" else spec.name
        notes = f" [{', '.join(remarkable(entry))}]" if remarkable(entry) else ""
        cells = {
            "name": name,
            "v": str(spec.version),
            "recipes": " ".join(f"@{recipe}" for recipe in spec.recipes),
            "needs": "+".join(sorted(spec.requires)),
            "gives": "+".join(sorted(spec.provides)),
            "paper": spec.paper,
            "plugin": entry.plugin,
            "summary": spec.summary + notes,
        }
        rows.append(cells)
    columns = [name for name in rows[0] if name not in _OPTIONAL or any(row[name] for row in rows)]
    whole = ("v", "needs", "plugin")
    return simple_table(columns, [[row[name] for name in columns] for row in rows], title=title, whole=whole)


def remarkable(entry: Entry) -> list[str]:
    """Return what is out of the ordinary about a component, in words."""
    spec = entry.spec
    found = []
    if spec.needs_labels:
        found.append("needs labels")
    if not spec.trains:
        found.append("trains nothing")
    if not spec.uses_backbone:
        found.append("own encoder")
    return found


def flags(entry: Entry) -> list[str]:
    """Return ``remarkable``, and what a component requires and provides."""
    spec = entry.spec
    found = remarkable(entry)
    if spec.requires:
        found.append("needs " + "+".join(sorted(spec.requires)))
    if spec.provides:
        found.append("gives " + "+".join(sorted(spec.provides)))
    return found
