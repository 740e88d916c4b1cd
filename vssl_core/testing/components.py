"""Checks that hold for components of every kind: their Spec, their options, and what importing them costs."""

from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from vssl_core.components import parameters
from vssl_core.config.compose import to_plain, typed
from vssl_core.errors import ConfigError
from vssl_core.plugins import Entry, Registry
from vssl_core.testing.expect import Expect

__all__ = ["HEAVY_MODULES", "check_component", "check_light_imports", "pick"]

#: what no ``plugin`` or ``config`` module may import: listing components must be fast
HEAVY_MODULES = ("torch", "torchvision", "timm", "av", "wandb", "omegaconf", "sklearn", "scipy", "pandas", "numpy")

#: positional arguments with which each kind is built
_POSITIONAL = {"tasks": 1, "heads": 2}
#: keywords that are handed over although no configuration names them
_HANDED = {"build", "n_classes"}
_LONGEST_SUMMARY = 130


def pick(kind: str, component: Entry | str | Mapping[str, Any], registry: Registry) -> tuple[Entry, Any]:
    """Return a component's entry and the value to build it from.

    Args:
        kind: such as ``"tasks"``.
        component: an ``Entry`` (taken with its recipe ``tiny`` where it has one), or what configurations say:
            ``"rtt@tiny"`` or a mapping with ``name`` and options.
        registry: where it is looked up.
    """
    if isinstance(component, Entry):
        recipe = "@tiny" if "tiny" in component.spec.recipes else ""
        component = component.spec.name + recipe
    resolved = registry.resolve(kind, component)
    return resolved.entry, component


def check_component(kind: str, component: Entry | str | Mapping[str, Any], registry: Registry) -> Any:
    """Check what components of every kind must keep, and return the loaded target.

    The target and the config class can be imported; every option has a documented default; the constructor's keywords
    are the options, with the same defaults; every recipe resolves; resolved options are plain JSON and resolve to
    themselves; values out of bounds are refused.

    Raises:
        ConformanceError: one of these does not hold.
        PluginError: it cannot be loaded.
    """
    entry, value = pick(kind, component, registry)
    expect = Expect(entry)
    spec = entry.spec
    expect(spec.summary, "has no summary; `vssl list` would show nothing")
    expect(
        "\n" not in spec.summary and len(spec.summary) <= _LONGEST_SUMMARY,
        f"summary is no short line: {spec.summary!r}",
    )
    target = registry.load(kind, spec.name)
    expect(callable(target), f"target {spec.target} is {target!r}; expected a class or function")
    expect(inspect.getdoc(target) or "/" in spec.name, f"target {spec.target} has no docstring")
    config = registry.config_class(kind, spec.name)
    if config is not None:
        _check_options(config, expect)
    _check_constructor(entry.kind, target, config, expect)
    for recipe in spec.recipes:
        registry.resolve(kind, f"{spec.name}@{recipe}")
    resolved = registry.resolve(kind, value)
    text = json.dumps(resolved.options, allow_nan=False)
    expect(json.loads(text) == resolved.options, f"options change when they are written as JSON: {text}")
    again = registry.resolve(kind, resolved.as_config())
    expect(again.options == resolved.options, f"options {resolved.options} resolve to {again.options}")
    return target


def _check_options(config: Any, expect: Expect) -> None:
    where = f"{config.__module__}.{config.__qualname__}"
    expect(inspect.getdoc(config) and not config.__doc__.startswith(f"{config.__name__}("), f"{where} has no docstring")
    for field in dataclasses.fields(config):
        expect(
            field.metadata.get("doc"), f"option '{field.name}' of {where} says nothing; give it option(default, 'doc')"
        )
        expect(field.kw_only, f"{where} takes '{field.name}' by position; write @dataclass(kw_only=True, slots=True)")
        for bound, step in (("minimum", -1), ("maximum", 1)):
            limit = field.metadata.get(bound)
            value = getattr(config(), field.name)
            if limit is None or isinstance(value, (bool, list, tuple, dict)):
                continue
            try:
                typed(config, {field.name: limit + step})
            except ConfigError:
                continue
            expect(False, f"option '{field.name}' of {where} takes {limit + step}, beyond its {bound} of {limit}")


def _check_constructor(kind: str, target: Any, config: Any, expect: Expect) -> None:
    takes = dict(parameters(target))
    options = {field.name for field in dataclasses.fields(config)} if config is not None else set()
    variable = [p for p in takes.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
    expect(not variable, f"its constructor takes **{variable[0].name if variable else ''}; name every keyword")
    positional = list(takes)[: _POSITIONAL.get(kind, 0)]
    expect(
        len(positional) == _POSITIONAL.get(kind, 0),
        f"its constructor takes {list(takes)}; {kind} get {_POSITIONAL.get(kind)}",
    )
    keywords = {name: p for name, p in takes.items() if name not in positional and name not in _HANDED - options}
    expect(
        set(keywords) == options,
        f"its constructor's keywords and its options differ: {sorted(set(keywords) - options)} are no options, "
        f"{sorted(options - set(keywords))} are no keywords",
    )
    if config is None:
        return
    defaults = to_plain(config())
    for name, parameter in keywords.items():
        if parameter.default is not inspect.Parameter.empty:
            given = to_plain(parameter.default)
            expect(
                given == defaults[name], f"'{name}' is {defaults[name]!r} by configuration but {given!r} by constructor"
            )


def check_light_imports(modules: Iterable[str], *, forbidden: Iterable[str] = HEAVY_MODULES) -> None:
    """Import ``modules`` in a fresh interpreter and check that none of the ``forbidden`` ones came along.

    Raises:
        ConformanceError: one did, or an import failed.
    """
    names = list(modules)
    program = (
        "import importlib, json, sys\n"
        "names, forbidden = json.loads(sys.argv[1])\n"
        "blame = {}\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"
        "    for heavy in forbidden:\n"
        "        if heavy in sys.modules: blame.setdefault(heavy, name)\n"
        "print(json.dumps(blame))\n"
    )
    arguments = [sys.executable, "-c", program, json.dumps([names, list(forbidden)])]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    expect = Expect(", ".join(names))
    expect(done.returncode == 0, f"cannot be imported: {done.stderr.strip()}")
    blame = json.loads(done.stdout.strip().splitlines()[-1])
    words = ", ".join(f"{module} brings {heavy}" for heavy, module in blame.items())
    expect(not blame, f"imports something heavy: {words}; import it inside the function that needs it")
