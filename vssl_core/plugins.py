"""The registry: what is installed, by kind and name, and how it is loaded and built. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import inspect
import os
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from vssl_core.components import (
    CONFIG_KEYS,
    Reference,
    Resolved,
    UnknownComponentError,
    check_config_class,
    describe,
    import_object,
    import_target,
    kind_name,
    parameters,
    singular,
)
from vssl_core.config.schema import unchanged
from vssl_core.discovery import Entry, PluginInfo, discover_plugins
from vssl_core.errors import ConfigError, PluginError, near_names
from vssl_core.hookspecs import HOOK_KINDS
from vssl_core.weighted import parse_weighted

__all__ = ["DISABLE_VARIABLE", "Entry", "PluginInfo", "Registry", "Resolved", "UnknownComponentError"]

#: environment variable: comma-separated names of plugins that are listed but not loaded
DISABLE_VARIABLE = "VSSL_DISABLE_PLUGINS"


class Registry:
    """Components of all plugins. Make one with ``Registry.discover()`` and pass it around; there is no global one.

    Kinds are accepted in the plural and the singular (``"tasks"``, ``"task"``).

    Attributes:
        plugins: what became of every plugin, by name.
        notes: remarks for the user, such as a disabled plugin that does not exist.
    """

    def __init__(self, plugins: Iterable[PluginInfo], entries: Iterable[Entry], notes: Iterable[str] = ()) -> None:
        self.plugins = list(plugins)
        self.notes = list(notes)
        self._entries: dict[str, dict[str, list[Entry]]] = {kind: {} for kind in HOOK_KINDS.values()}
        for entry in entries:
            self._entries[entry.kind].setdefault(entry.spec.name, []).append(entry)

    @classmethod
    def discover(
        cls,
        *,
        plugins: Mapping[str, object] | None = None,
        entry_points: bool = True,
        disable: Iterable[str] | None = None,
    ) -> Registry:
        """Load every plugin guarded, and return what they offer; a plugin that fails is listed and harms no other.

        Args:
            plugins: further plugins (modules or objects with hooks) by name, not installed.
            entry_points: whether the installed ones (entry points in group ``vssl``) are loaded.
            disable: names of plugins to leave out; by default those in ``VSSL_DISABLE_PLUGINS``, comma-separated.
        """
        if disable is None:
            disable = [name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",") if name.strip()]
        found = discover_plugins(plugins or {}, entry_points=entry_points, disable=disable)
        return cls(found.plugins, found.entries, found.notes)

    # ------------------------------------------------------------------------------------------- look-up

    def kinds(self) -> list[str]:
        """Return every kind of component, offered or not."""
        return list(self._entries)

    def names(self, kind: str) -> list[str]:
        """Return the names offered of a kind, sorted; members of families such as ``timm/NAME`` are not listed."""
        return sorted(self._entries[kind_name(kind)])

    def entries(self, kind: str) -> list[Entry]:
        """Return everything offered of a kind, by name; a name offered twice stands there twice."""
        offered = self._entries[kind_name(kind)]
        return [entry for name in sorted(offered) for entry in offered[name]]

    def entry(self, kind: str, name: str) -> Entry:
        """Return the one entry of that name, or the member of a family (``timm/NAME``).

        Raises:
            UnknownComponentError: nobody offers it.
            PluginError: more than one plugin does.
        """
        kind = kind_name(kind)
        offered = self._entries[kind].get(name, [])
        if len(offered) > 1:
            who = " and by ".join(entry.offered_by for entry in offered)
            plugins = sorted({entry.plugin for entry in offered})
            raise PluginError(
                f"{singular(kind)} '{name}' is offered by {who}; uninstall one, or set {DISABLE_VARIABLE} to one of: "
                f"{', '.join(plugins)}"
            )
        if offered:
            return offered[0]
        prefix, slash, member = name.partition("/")
        if slash and f"{kind}:{prefix}" in self._entries["resolvers"]:
            return self._member(kind, prefix, member)
        raise UnknownComponentError(self._unknown(kind, name))

    def family(self, kind: str, prefix: str) -> list[str]:
        """Return the members' names of a family, without its prefix.

        Raises:
            PluginError: there is no such family, or it cannot list its members.
        """
        resolver = self.entry("resolvers", f"{kind_name(kind)}:{prefix}")
        names = import_object(resolver, resolver.spec.target)
        try:
            return sorted(names())
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise PluginError(f"{describe(resolver)}: listing its names raised {cause}") from error

    def load(self, kind: str, name: str) -> Any:
        """Import and return a component's target: a class or function, a ``click.Command``, or a suite's packaged file.

        Raises:
            PluginError: there is no such component, or it cannot be imported.
        """
        return import_target(self.entry(kind, name))

    def config_class(self, kind: str, name: str) -> type | None:
        """Import and return the dataclass of a component's options, ``None`` where it has none.

        Raises:
            PluginError: there is no such component, or its config class is missing or unusable.
        """
        entry = self.entry(kind, name)
        if not entry.spec.config:
            return None
        return check_config_class(entry, import_object(entry, entry.spec.config))

    # -------------------------------------------------------------------------------------------- building

    def resolve(self, kind: str, value: object, *, where: str | None = None) -> Resolved:
        """Return a component with its complete, checked options.

        Args:
            kind: such as ``"tasks"``.
            value: ``"name"``, ``"name@recipe"`` or a mapping with ``name``, optionally ``recipe``, and options.
            where: the key under which ``value`` stands, for errors; by default the kind's own, such as ``task``.

        Raises:
            UnknownComponentError: there is no such component.
            ConfigError: there is no such recipe, or an option is unknown, of the wrong type or out of bounds.
        """
        from vssl_core.config.compose import to_plain

        kind = kind_name(kind)
        where = where or CONFIG_KEYS[kind]
        reference = Reference.parse(value, where=where)
        instance = self._configure(kind, reference, where)
        options = {} if instance is None else to_plain(instance)
        inner: dict[str, Resolved] = {}
        known = dataclasses.fields(instance) if instance is not None else ()
        for field in known:
            place = f"{where}.{field.name}"
            if field.metadata.get("component"):
                inner[field.name] = self.resolve(field.metadata["component"], options[field.name], where=place)
            if field.metadata.get("components"):
                for part in parse_weighted(options[field.name], where=place):
                    resolved = self.resolve(field.metadata["components"], part.value, where=f"{place}.{part.name}")
                    inner[f"{field.name}.{part.name}"] = resolved
        entry = self.entry(kind, reference.name)
        return Resolved(kind, reference.name, reference.recipe, options, entry, inner, unchanged(known, options))

    def build(self, kind: str, value: object, *args: Any, **options: Any) -> Any:
        """Resolve, load and call a component's target: ``Target(*args, **all_options)``.

        ``build=`` is handed to a constructor that names it. Keywords that are parameters of the constructor but no
        options (``n_classes``) are handed through; the others are options over those in ``value``.

        Args:
            kind: such as ``"tasks"``.
            value: as in ``resolve``, or a ``Resolved``.
            args: positional arguments of the target.
            options: options and further keywords.

        Raises:
            PluginError: it cannot be found or imported, or its constructor does not take what its config declares.
            ConfigError: as in ``resolve``.
        """
        kind = kind_name(kind)
        where = CONFIG_KEYS[kind]
        reference = Reference.parse(value.as_config() if isinstance(value, Resolved) else value, where=where)
        entry = self.entry(kind, reference.name)
        target = import_target(entry)
        config = self.config_class(kind, reference.name)
        fields = {field.name for field in dataclasses.fields(config)} if config else set()
        takes = parameters(target)
        handed = {key: given for key, given in options.items() if key not in fields and key in takes}
        chosen = {key: given for key, given in options.items() if key not in handed}
        reference = dataclasses.replace(reference, options={**reference.options, **chosen})
        instance = self._configure(kind, reference, where)
        keywords = {name: getattr(instance, name) for name in fields} | handed
        if "build" in takes and "build" not in keywords:
            keywords["build"] = self.build
        try:
            inspect.signature(target).bind(*args, **keywords)
        except TypeError as error:
            raise PluginError(
                f"{describe(entry)}: {entry.spec.target} cannot be called with {len(args)} positional arguments and "
                f"keywords {sorted(keywords)}: {error}; its keywords must be the fields of its config class"
            ) from error
        return target(*args, **keywords)

    # ------------------------------------------------------------------------------------------- internals

    def _configure(self, kind: str, reference: Reference, where: str) -> Any:
        from vssl_core.config.compose import typed

        entry = self.entry(kind, reference.name)
        recipes = entry.spec.recipes
        if reference.recipe and reference.recipe not in recipes:
            near = near_names(reference.recipe, recipes)
            listed = f"recipes: {', '.join(sorted(recipes))}" if recipes else "it has none"
            if kind == "tasks" and reference.recipe == "paper":
                listed += f"; the published setting, optimiser and all, is 'vssl recipe {reference.name}@paper'"
            raise ConfigError(f"{where}: {describe(entry)} has no recipe '{reference.recipe}'{near or ';'} {listed}")
        config = self.config_class(kind, reference.name)
        if config is None:
            if reference.options:
                given = ", ".join(sorted(reference.options))
                raise ConfigError(f"{where}: {describe(entry)} takes no options, got {given}")
            return None
        owner = describe(entry)
        recipe = recipes[reference.recipe] if reference.recipe else {}
        if recipe:  # by itself first, so that a fault in it is not laid at the user's door
            typed(config, recipe, where=f"{where}@{reference.recipe}", owner=owner)
        return typed(config, recipe, reference.options, where=where, owner=owner)

    def _member(self, kind: str, prefix: str, member: str) -> Entry:
        resolver = self.entry("resolvers", f"{kind}:{prefix}")
        known = self.family(kind, prefix)
        if member not in known:
            raise UnknownComponentError(
                f"no {singular(kind)} '{prefix}/{member}' among the {len(known)} that {resolver.offered_by} knows"
                f"{near_names(member, known)}"
            )
        module = resolver.spec.target.partition(":")[0]
        spec = dataclasses.replace(resolver.spec, name=f"{prefix}/{member}", target=f"{module}:member")
        return dataclasses.replace(resolver, kind=kind, spec=spec)

    def _unknown(self, kind: str, name: str) -> str:
        known = self.names(kind)
        families = [key.partition(":")[2] + "/NAME" for key in self._entries["resolvers"] if key.startswith(f"{kind}:")]
        listed = ", ".join(known + families) or "none is installed"
        message = f"no {singular(kind)} '{name}'{near_names(name, known) or ';'} known: {listed}"
        elsewhere = [other for other, offered in self._entries.items() if name in offered]
        if elsewhere:
            message += f". There is a {singular(elsewhere[0])} of that name"
        absent = [textwrap.shorten(info.describe(), 160) for info in self.plugins if info.status != "ok"]
        if absent:
            message += ". It may belong to a plugin that is not loaded (see `vssl plugins`):\n  " + "\n  ".join(absent)
        return message
