"""``vssl plugins``: what became of every plugin."""

from __future__ import annotations

import click

from vssl_core.cli.main import OWN_VERBS
from vssl_core.cli.state import current_registry
from vssl_core.cli.terminal import output, print_json, simple_table
from vssl_core.plugins import Registry

__all__ = ["command", "hidden_verbs"]


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON list instead of a table.")
def command(as_json: bool) -> None:
    """Show every plugin: what it offers, or why it is broken or disabled.

    A broken plugin offers nothing and harms no other. VSSL_DISABLE_PLUGINS=name,name leaves plugins out.
    """
    registry = current_registry()
    if as_json:
        print_json(
            [
                {
                    "name": info.name,
                    "distribution": info.distribution,
                    "version": info.version,
                    "status": info.status,
                    "reason": info.reason,
                    "counts": dict(info.counts),
                }
                for info in registry.plugins
            ]
        )
        return
    console = output()
    rows = []
    for info in registry.plugins:
        offers = ", ".join(f"{n} {kind}" for kind, n in info.counts.items())
        rows.append([info.name, f"{info.distribution} {info.version}".strip(), info.status, offers or info.reason])
    if not rows:
        console.print("no plugins are installed")
        return
    console.print(simple_table(["plugin", "distribution", "status", "offers, or why not"], rows))
    for note in [*registry.notes, *hidden_verbs(registry)]:
        console.print(f"note: {note}", style="yellow", soft_wrap=True)


def hidden_verbs(registry: Registry) -> list[str]:
    """Return remarks on verbs of plugins that vssl's own of the same name hide."""
    return [
        f"the verb '{entry.spec.name}' of {entry.offered_by} is hidden by vssl's own"
        for entry in registry.entries("commands")
        if entry.spec.name in OWN_VERBS
    ]
