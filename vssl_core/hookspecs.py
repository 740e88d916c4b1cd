"""The hooks through which a plugin offers components: one per kind, all of the same shape.

A plugin is a module (or object) named by an entry point in group ``vssl``::

    [project.entry-points.vssl]
    acme-speed = "acme_speed.plugin"

Each hook is called by itself inside a guard and its iterable is consumed there, so a plugin that raises is listed as
broken and harms no other. Hooks are called once per discovery; they must import nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from vssl_core.contracts import Spec

__all__ = ["HOOK_KINDS", "Hooks", "hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("vssl")
hookimpl = pluggy.HookimplMarker("vssl")


class Hooks:
    """Every hook that vssl calls."""

    @hookspec
    def vssl_tasks(self) -> Iterable[Spec]:  # type: ignore[empty-body]
        """Pretext tasks, built as ``Task(backbone, **options)``.

        Example::

            @hookimpl
            def vssl_tasks():
                yield Spec(name="my-task", target="acme.task:MyTask", config="acme.config:MyTask", summary="...")
        """

    @hookspec
    def vssl_backbones(self) -> Iterable[Spec]:  # type: ignore[empty-body]
        """Networks from clips to features, built as ``Backbone(**options)``; ``provides`` names their capabilities.

        Example::

            @hookimpl
            def vssl_backbones():
                yield Spec(name="my-net", target="acme.net:Net", config="acme.config:Net", provides=frozenset({"map"}))
        """

    @hookspec
    def vssl_heads(self) -> Iterable[Spec]:  # type: ignore[empty-body]
        """Heads from features to outputs, built as ``Head(embed_dim, n_outputs, **options)``.

        Example::

            @hookimpl
            def vssl_heads():
                yield Spec(name="my-head", target="acme.head:Head", config="acme.config:Head")
        """

    @hookspec
    def vssl_protocols(self) -> Iterable[Spec]:  # type: ignore[empty-body]
        """Ways of measuring an encoder, built as ``Protocol(**options)``; raise ``version`` when numbers change.

        Example::

            @hookimpl
            def vssl_protocols():
                yield Spec(name="my-probe", target="acme.probe:Probe", config="acme.config:Probe", version=2)
        """

    @hookspec
    def vssl_datasets(self) -> Iterable[Spec]:  # type: ignore[empty-body]
        """Sets of videos, built as ``Dataset(**options)``.

        Example::

            @hookimpl
            def vssl_datasets():
                yield Spec(name="my-videos", target="acme.data:Videos", config="acme.config:Videos")
        """

    @hookspec
    def vssl_flows(self) -> Iterable[Spec]:  # type: ignore[empty-body]
        """Ways of computing optical flow in loader workers, built as ``Flow(**options)``; see ``FlowProvider``.

        Example::

            @hookimpl
            def vssl_flows():
                yield Spec(name="my-flow", target="acme.flow:Flow", config="acme.config:Flow", extras=("flow",))
        """

    @hookspec
    def vssl_trackers(self) -> Iterable[Spec]:  # type: ignore[empty-body]
        """Listeners that get a copy of what happens, built as ``Tracker(**options)``.

        Example::

            @hookimpl
            def vssl_trackers():
                yield Spec(name="my-tracker", target="acme.track:Tracker")
        """

    @hookspec
    def vssl_launchers(self) -> Iterable[Spec]:  # type: ignore[empty-body]
        """Ways of running jobs, built as ``Launcher(**options)``.

        Example::

            @hookimpl
            def vssl_launchers():
                yield Spec(name="my-cluster", target="acme.cluster:Launcher", config="acme.config:Cluster")
        """

    @hookspec
    def vssl_suites(self) -> Iterable[Spec]:  # type: ignore[empty-body]
        """Suites of benchmark jobs; ``target`` is ``"package:path/in/package.yaml"``.

        Example::

            @hookimpl
            def vssl_suites():
                yield Spec(name="my-suite", target="acme:suites/mine.yaml", summary="...")
        """

    @hookspec
    def vssl_commands(self) -> Iterable[Spec]:  # type: ignore[empty-body]
        """Verbs of the command line; ``target`` is a ``click.Command``.

        Example::

            @hookimpl
            def vssl_commands():
                yield Spec(name="my-verb", target="acme.cli:command", summary="...")
        """

    @hookspec
    def vssl_resolvers(self) -> Iterable[Spec]:  # type: ignore[empty-body]
        """Families too large to list. ``name`` is ``"kind:prefix"``, such as ``"backbones:timm"`` for ``timm/NAME``.

        ``target`` is ``"module:names"``, a function that lists the family's names without importing torch; ``config``
        is that of every member; a member is built as the attribute ``member`` of the target's module, called with the
        name and the options.

        Example::

            @hookimpl
            def vssl_resolvers():
                yield Spec(name="backbones:acme", target="acme.zoo:names", config="acme.config:Zoo")
        """


#: hook name -> kind as users write it
HOOK_KINDS = {
    "vssl_tasks": "tasks",
    "vssl_backbones": "backbones",
    "vssl_heads": "heads",
    "vssl_protocols": "protocols",
    "vssl_datasets": "datasets",
    "vssl_flows": "flows",
    "vssl_trackers": "trackers",
    "vssl_launchers": "launchers",
    "vssl_suites": "suites",
    "vssl_commands": "commands",
    "vssl_resolvers": "resolvers",
}
