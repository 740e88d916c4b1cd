"""Loads plugins one by one, each inside a guard, and checks what they offer. Imports nothing heavy.

Every plugin gets a pluggy manager of its own, so that nothing it registers, wraps or raises reaches another one.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import os
import re
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from types import MappingProxyType
from typing import Any, NamedTuple

import pluggy

from vssl_core.contracts import Spec
from vssl_core.errors import PluginError, near_names
from vssl_core.hookspecs import HOOK_KINDS, Hooks

__all__ = ["GROUP", "IN_MEMORY", "Discovery", "Entry", "PluginInfo", "discover_plugins"]

#: entry point group
GROUP = "vssl"

#: stands for the distribution of a plugin that was handed over as an object
IN_MEMORY = "in memory"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_OBJECT = re.compile(rf"{_DOTTED}:{_DOTTED}")
_RESOURCE = re.compile(rf"{_DOTTED}:[^/\\:][^\\:]*")
_MOST_SPECS = 10_000
_MACHINERY = (__file__, "<frozen", os.path.dirname(pluggy.__file__), os.path.dirname(importlib.__file__))
_TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "name": (str, "text"),
    "target": (str, "text"),
    "config": (str, "text"),
    "summary": (str, "text"),
    "version": (int, "a whole number"),
    "paper": (str, "text"),
    "requires": (frozenset, "a frozenset of text"),
    "provides": (frozenset, "a frozenset of text"),
    "needs_labels": (bool, "True or False"),
    "trains": (bool, "True or False"),
    "uses_backbone": (bool, "True or False"),
    "recipes": (Mapping, "a mapping of names to options"),
    "extras": (tuple, "a tuple of text"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One component as offered: its kind and Spec, and which plugin of which distribution offers it."""

    kind: str
    spec: Spec
    plugin: str
    distribution: str
    distribution_version: str

    @property
    def offered_by(self) -> str:
        """``"plugin 'speed' of vssl 0.1.0"``, for messages."""
        return f"plugin '{self.plugin}' {_origin(self.distribution, self.distribution_version)}"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What became of one plugin.

    Attributes:
        status: ``"ok"``, ``"broken"`` (it offers nothing; ``reason`` says why) or ``"disabled"``.
        counts: components offered per kind.
    """

    name: str
    distribution: str
    version: str
    status: str
    reason: str = ""
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def describe(self) -> str:
        """Return one line for messages: name, distribution, status and reason."""
        reason = f": {self.reason}" if self.reason else ""
        return f"'{self.name}' {_origin(self.distribution, self.version)} is {self.status}{reason}"


class Discovery(NamedTuple):
    """Everything found: plugins by name, their components, and notes for the user."""

    plugins: list[PluginInfo]
    entries: list[Entry]
    notes: list[str]


def discover_plugins(plugins: Mapping[str, object], *, entry_points: bool, disable: Iterable[str]) -> Discovery:
    """Load every plugin guarded; one that raises or breaks a rule is listed as broken and offers nothing.

    Args:
        plugins: modules or objects with hooks, by plugin name.
        entry_points: whether installed plugins (entry points in group ``vssl``) are loaded too.
        disable: names of plugins that are listed but not loaded.
    """
    disabled = set(disable)
    sources = [_Source(name, IN_MEMORY, "", functools.partial(_itself, plugin)) for name, plugin in plugins.items()]
    if entry_points:
        sources += _installed()
    found = Discovery([], [], [])
    for source in sorted(sources, key=lambda s: (s.name, s.distribution)):
        who = (source.name, source.distribution, source.version)
        if source.name in disabled:
            found.plugins.append(PluginInfo(*who, "disabled", "named in VSSL_DISABLE_PLUGINS or disable="))
            continue
        try:
            entries = _offers(source)
        except (Exception, SystemExit) as error:
            found.plugins.append(PluginInfo(*who, "broken", _reason(error)))
            continue
        counts = MappingProxyType(dict(Counter(entry.kind for entry in entries)))
        found.plugins.append(PluginInfo(*who, "ok", "", counts))
        found.entries.extend(entries)
    known = {source.name for source in sources}
    for name in sorted(disabled - known):
        found.notes.append(f"VSSL_DISABLE_PLUGINS names '{name}', which is no plugin here{near_names(name, known)}")
    return found


def _origin(distribution: str, version: str) -> str:
    return f"of {distribution} {version}".strip() if distribution != IN_MEMORY else "given in memory"


class _Source(NamedTuple):
    name: str
    distribution: str
    version: str
    load: Callable[[], object]


def _itself(plugin: object) -> object:
    return plugin


def _installed() -> list[_Source]:
    versions: dict[int, tuple[str, str]] = {}
    sources = []
    for point in metadata.entry_points(group=GROUP):
        dist = point.dist
        if dist is not None and id(dist) not in versions:
            versions[id(dist)] = (dist.name, dist.version)  # each access parses the whole METADATA file
        name, version = versions[id(dist)] if dist is not None else ("unknown distribution", "")
        sources.append(_Source(point.name, name, version, point.load))
    return sources


def _offers(source: _Source) -> list[Entry]:
    """Return what one plugin offers; whatever is wrong with it raises."""
    plugin = source.load()
    _check_hook_names(plugin)
    manager = pluggy.PluginManager("vssl")
    manager.add_hookspecs(Hooks)
    manager.register(plugin, source.name)
    entries = []
    for hook, kind in HOOK_KINDS.items():
        for impl in getattr(manager.hook, hook).get_hookimpls():
            if impl.wrapper or impl.hookwrapper:
                raise PluginError(f"{hook} is a wrapper; a plugin only offers, so use plain @hookimpl")
            for spec in _consume(hook, impl.function()):
                _check_spec(hook, kind, spec)
                entries.append(Entry(kind, spec, source.name, source.distribution, source.version))
    return entries


def _consume(hook: str, offered: object) -> list[Any]:
    if isinstance(offered, (str, bytes)) or not isinstance(offered, Iterable):
        raise PluginError(f"{hook} returned {offered!r}; expected Specs: write `yield Spec(...)`")
    specs = list(itertools.islice(offered, _MOST_SPECS + 1))
    if len(specs) > _MOST_SPECS:
        raise PluginError(f"{hook} yields more than {_MOST_SPECS} Specs; offer a family through vssl_resolvers")
    return specs


def _check_hook_names(plugin: object) -> None:
    for name in dir(plugin):
        member = inspect.getattr_static(plugin, name, None)
        function = getattr(member, "__func__", member)  # a static or class method of an object used as plugin
        if not inspect.isroutine(function):
            continue
        marked = getattr(function, "vssl_impl", None) is not None
        if name in HOOK_KINDS:
            if not marked:
                raise PluginError(f"{name} is not marked as a hook; put @hookimpl (from vssl_core.hookspecs) above it")
        elif marked or name.startswith("vssl_"):
            near = near_names(name, HOOK_KINDS)
            raise PluginError(f"{name} is no hook of vssl{near or ';'} hooks: {', '.join(HOOK_KINDS)}")


def _check_spec(hook: str, kind: str, spec: object) -> None:
    if not isinstance(spec, Spec):
        raise PluginError(f"{hook} yielded {spec!r}; expected vssl_core.contracts.Spec")
    where = f"{hook}, Spec '{spec.name}'"
    for name, (kinds, words) in _TYPES.items():
        value = getattr(spec, name)
        if not isinstance(value, kinds) or (kinds is int and isinstance(value, bool)):
            raise PluginError(f"{where}: {name}={value!r}; expected {words}")
    if spec.version < 1:
        raise PluginError(f"{where}: version={spec.version}; expected 1 or more")
    name = spec.name
    if kind == "resolvers":
        family, _, name = spec.name.partition(":")
        known = [k for k in HOOK_KINDS.values() if k not in ("resolvers", "suites", "commands")]
        if family not in known:
            near = near_names(family, known)
            raise PluginError(f"{where}: expected the name 'kind:prefix' with a kind among {', '.join(known)}{near}")
    if not _NAME.fullmatch(name):
        raise PluginError(f"{where}: name '{name}' is not kebab-case; expected something like 'clip-order'")
    _check_target(where, kind, spec)
    for recipe, options in spec.recipes.items():
        if not isinstance(recipe, str) or not _NAME.fullmatch(recipe):
            raise PluginError(f"{where}: recipe {recipe!r} is not kebab-case")
        if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
            raise PluginError(f"{where}: recipe '{recipe}' is {options!r}; expected a mapping of options")
        if not spec.config:
            raise PluginError(f"{where}: has recipes but no config class")


def _check_target(where: str, kind: str, spec: Spec) -> None:
    if kind == "suites":
        if not _RESOURCE.fullmatch(spec.target) or ".." in spec.target.split(":")[1].split("/"):
            raise PluginError(f"{where}: target '{spec.target}'; expected 'package:path/in/package.yaml'")
        if spec.config:
            raise PluginError(f"{where}: a suite has no config class, got '{spec.config}'")
        return
    if not _OBJECT.fullmatch(spec.target):
        raise PluginError(f"{where}: target '{spec.target}'; expected 'package.module:Attribute'")
    if spec.config and not _OBJECT.fullmatch(spec.config):
        raise PluginError(f"{where}: config '{spec.config}'; expected 'package.module:Dataclass' or ''")


def _reason(error: BaseException) -> str:
    """Type, message and the place in the plugin's own code where it happened."""
    message = " ".join(str(error).split()) or "no message"
    kind = "" if isinstance(error, PluginError) else f"{type(error).__name__}: "
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_MACHINERY)]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{kind}{message}{where}"
