"""The command ``vssl``: its verbs, each in a module of its own and imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import click

from vssl_core import __version__
from vssl_core.cli.state import State
from vssl_core.errors import ConfigError, VsslError, near_names

__all__ = ["OWN_VERBS", "cli", "main"]

#: verb -> one line; the verb ``x`` is the attribute ``command`` of module ``vssl_core.cli.x``
OWN_VERBS: Mapping[str, str] = {
    "list": "Show the components that are installed.",
    "info": "Show one component: what it is, its recipes and its options.",
    "plugins": "Show the plugins, and why one of them is broken.",
    "pretrain": "Train a backbone on a pretext task.",
    "evaluate": "Measure a pretrained encoder under a protocol.",
    "preview": "Draw what a task shows the network, with the labels it makes.",
    "speed": "Measure reading, augmentation and training apart, and say which holds the others up.",
    "doctor": "Check this machine and say what to do about what is wrong.",
}

_INTERRUPTED = 130  # as a shell reports SIGINT


class Verbs(click.Group):
    """vssl's own verbs and those of plugins (kind ``commands``); prints vssl's errors without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the own verbs, then those of plugins."""
        offered = ctx.ensure_object(State).registry.names("commands")
        return [*OWN_VERBS, *(name for name in offered if name not in OWN_VERBS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Import one verb.

        Raises:
            UsageError: there is no such verb.
            PluginError: the plugin that offers it cannot be loaded.
        """
        if cmd_name in OWN_VERBS:
            command: click.Command = importlib.import_module(f"vssl_core.cli.{cmd_name}").command
            return command
        registry = ctx.ensure_object(State).registry
        if cmd_name not in registry.names("commands"):
            known = self.list_commands(ctx)
            broken = [info.describe() for info in registry.plugins if info.status != "ok"]
            hint = "".join(f"\n  not loaded: {line}" for line in broken)
            raise click.UsageError(
                f"no verb '{cmd_name}'{near_names(cmd_name, known) or ';'} verbs: {', '.join(known)}{hint}", ctx
            )
        offered: click.Command = registry.load("commands", cmd_name)
        return offered

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs with their summaries, importing none of them."""
        registry = ctx.ensure_object(State).registry
        with formatter.section("Verbs"):
            formatter.write_dl(list(OWN_VERBS.items()))
        offered = [
            (entry.spec.name, f"{entry.spec.summary} [{entry.plugin}]") for entry in registry.entries("commands")
        ]
        if offered:
            with formatter.section("Verbs of plugins"):
                formatter.write_dl(offered)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb; vssl's own errors become a message and an exit code."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            _complain(str(error))
            ctx.exit(2)
        except VsslError as error:
            _complain(str(error))
            ctx.exit(1)
        except KeyboardInterrupt:
            _complain("interrupted: what was finished and checkpointed is kept; run the same command to go on")
            ctx.exit(_INTERRUPTED)


def _complain(message: str) -> None:
    click.secho(f"error: {message}", fg="red", err=True)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vssl")
def cli() -> None:
    """Self-supervised learning from video: pretext tasks, transfer, leaderboards.

    \b
    vssl list tasks                               what there is
    vssl info task rtt                            its options
    vssl pretrain task=rtt@tiny steps=100         train
    vssl evaluate RUN protocol=linear-probe@tiny  measure

    Options of components are written key=value (task.frames=8, optim.lr=1e-3), or in a YAML file.
    """  # noqa: D301 (click's \b is a control character)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    cli.main(args=list(arguments) if arguments is not None else None, prog_name="vssl")


if __name__ == "__main__":
    main()
