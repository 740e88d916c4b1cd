"""Suites: what to pretrain, on what, and how to measure it, in plain YAML.

::

    name: my-suite
    defaults: {backbone: r2plus1d-tiny, steps: 200}     # for every entry under pretrain
    data:
      - {data: toy-motion, labels: [motion]}
    pretrain:
      - {task: random-init, seeds: 3}
      - {task: rtt@tiny, seeds: 3, placebo: own}
    transfer:
      protocols: [linear-probe@tiny]
    wins:                                               # the cell that each task should win, named beforehand
      - {task: rtt, data: toy-motion, label: motion, protocol: linear-probe@tiny, reason: it asks how a clip moves}

A suite may start from another one: ``extends: NAME`` takes that one's keys where it has none of its own.
"""

from __future__ import annotations

import copy
import importlib.resources
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vssl_core.config.compose import load_yaml, merge_component, parse_override, typed
from vssl_core.config.schema import PretrainConfig, TransferConfig, option
from vssl_core.errors import ConfigError, near_names
from vssl_core.plugins import Registry

__all__ = ["DataEntry", "PretrainEntry", "Suite", "WinEntry", "load_suite", "parse_suite"]

_PRETRAIN_KEYS = frozenset(field.name for field in fields(PretrainConfig))
#: mean the same for pretraining and transfer
_SHARED_KEYS = frozenset({"device", "loader", "trackers"})
_TRANSFER_KEYS = frozenset(field.name for field in fields(TransferConfig))


@dataclass(kw_only=True, slots=True)
class _SuiteFile:
    """The top level of a suite file."""

    name: str = option("", "short name; also the folder of its runs")
    title: str = option("", "heading of the board")
    description: str = option("", "what the suite is for")
    expect_minutes: float = option(0.0, "how long it takes on 2 cores; 0: unknown", minimum=0.0)
    seeds: Any = option(1, "seeds of entries that name none: a number or a list")
    placebo: Any = option("none", "placebo of entries that name none: own, none or a task such as pace@tiny")
    defaults: dict[str, Any] = option({}, "keys of every pretrain entry")
    data: list[Any] = option([], "where to measure: data, labels and, if it differs, pretrain_data")
    pretrain: list[Any] = option([], "what to pretrain: a task and any key of a pretraining")
    transfer: dict[str, Any] = option({}, "protocols, and any key of a transfer")
    sweep: dict[str, Any] = option(
        {}, "a search: values to try of keys of a pretraining, such as {optim: {lr: [0.001, 0.003]}}; no placebos"
    )
    wins: list[Any] = option([], "the one cell that each task should win: task, data, label, protocol, reason")


@dataclass(kw_only=True, slots=True)
class WinEntry:
    """The one cell that a task is expected to win, named beforehand; every key is needed."""

    task: str = option("", "name of the task, with its recipe where the suite has several")
    data: str = option("", "data set")
    label: str = option("", "label")
    protocol: str = option("", "protocol, as the suite writes it")
    reason: str = option("", "why the task should be good at this, whatever it is not good at")


@dataclass(kw_only=True, slots=True)
class _DataFile:
    """One entry under ``data``."""

    data: Any = option("", "data set that encoders are measured on")
    labels: list[str] = option([], "labels to measure; empty: all that the set has")
    pretrain_data: Any = option("", "data set that is pretrained on; empty: the same")


@dataclass(frozen=True, slots=True)
class DataEntry:
    """A data set to measure on.

    Attributes:
        data: component value of the set.
        labels: labels to measure; empty: all that the set has.
        pretrain_data: component value of the set that is pretrained on.
    """

    data: Any
    labels: tuple[str, ...]
    pretrain_data: Any


@dataclass(frozen=True, slots=True)
class PretrainEntry:
    """What to pretrain.

    Attributes:
        config: layer of a ``PretrainConfig`` (defaults under the entry's own keys) without data, seed and label.
        seeds: one run each.
        placebo: ``"own"``, ``"none"`` or the task whose labels are permuted instead.
        data: names of the pretraining sets it is meant for; empty: all.
        labels: labels to measure; empty: all.
        protocols: names or references of the protocols to measure with; empty: all.
        where: the place in the file, for messages.
    """

    config: Mapping[str, Any]
    seeds: tuple[int, ...]
    placebo: Any
    data: tuple[str, ...]
    labels: tuple[str, ...]
    protocols: tuple[str, ...]
    where: str


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite, checked.

    Attributes:
        protocols: component values.
        transfer: layer of a ``TransferConfig`` without run, data, protocol, label and seed.
        wins: the cells that tasks are expected to win.
        sweeps: whether several settings of each task are tried against one another.
        source: the plain file it was made from, overrides applied.
    """

    name: str
    title: str
    description: str
    expect_minutes: float
    data: tuple[DataEntry, ...]
    pretrain: tuple[PretrainEntry, ...]
    protocols: tuple[Any, ...]
    transfer: Mapping[str, Any]
    wins: tuple[WinEntry, ...]
    sweeps: bool
    source: Mapping[str, Any]


def load_suite(reference: str, overrides: Sequence[str], registry: Registry) -> Suite:
    """Return a suite by name or by the path of a YAML file, with ``key=value`` overrides applied.

    Raises:
        ConfigError: there is no such suite, or something in it is unknown, mistyped or missing.
    """
    path = Path(reference)
    if path.suffix in (".yaml", ".yml"):
        plain, default_name = load_yaml(path), path.stem
    elif reference in registry.names("suites"):
        package, _, inside = registry.entry("suites", reference).spec.target.partition(":")
        with importlib.resources.as_file(importlib.resources.files(package).joinpath(inside)) as file:
            plain, default_name = load_yaml(file), reference
    else:
        known = ", ".join(registry.names("suites"))
        raise ConfigError(f"no suite is called {reference!r}; known: {known}; or give the path of a .yaml file")
    plain.setdefault("name", default_name)
    if "extends" in plain:
        plain = {**load_suite(str(plain["extends"]), (), registry).source, **plain}
        del plain["extends"]
    if overrides:  # what the suite declares holds for the suite as it is
        plain.pop("expect_minutes", None)
    return parse_suite(_override(plain, overrides), where=reference)


def parse_suite(plain: Mapping[str, Any], where: str) -> Suite:
    """Check a plain suite and return it.

    Raises:
        ConfigError: a key is unknown, mistyped or missing.
    """
    file = typed(_SuiteFile, plain, where=where)
    if not file.data or not file.pretrain:
        raise ConfigError(f"suite {where} needs at least one entry under data and one under pretrain")
    protocols = tuple(_list(file.transfer.get("protocols"), f"{where}: transfer.protocols"))
    if not protocols:
        raise ConfigError(f"suite {where} names no protocol; write transfer: {{protocols: [linear-probe]}}")
    transfer = {key: value for key, value in file.transfer.items() if key != "protocols"}
    _refuse(transfer, _TRANSFER_KEYS - {"run", "data", "protocol", "label", "seed", "out"}, f"{where}: transfer")
    data = []
    for i, item in enumerate(file.data):
        place = f"{where}: data[{i}]"
        row = typed(_DataFile, item if isinstance(item, Mapping) else {"data": item}, where=place)
        if not row.data:
            raise ConfigError(f"{place} lacks data, the name of a data set")
        data.append(DataEntry(row.data, tuple(row.labels), row.pretrain_data or row.data))
    pretrain = tuple(
        _entry(setting, file, f"{where}: pretrain[{i}]")
        for i, item in enumerate(file.pretrain)
        for setting in _swept(item, file.sweep, where)
    )
    return Suite(
        name=file.name,
        title=file.title or file.name,
        description=file.description,
        expect_minutes=file.expect_minutes,
        data=tuple(data),
        pretrain=pretrain,
        protocols=protocols,
        transfer=transfer,
        wins=_wins(file.wins, where),
        sweeps=bool(file.sweep),
        source=plain,
    )


def _swept(item: Any, sweep: Mapping[str, Any], where: str) -> list[Any]:
    """Return an entry in every setting of a sweep; a search compares a task with itself, so it has no placebo."""
    if not sweep:
        return [item]
    entry = {**(item if isinstance(item, Mapping) else {"task": item}), "placebo": "none"}
    axes = list(_leaves(sweep, (), where))
    settings = []
    for values in itertools.product(*(values for _, values in axes)):
        setting = copy.deepcopy(entry)
        for (path, _), value in zip(axes, values, strict=True):
            _put(setting, path, value, f"{where}: sweep.{'.'.join(path)}")
        settings.append(setting)
    return settings


def _leaves(sweep: Mapping[str, Any], path: tuple[str, ...], where: str) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    for key, value in sweep.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, key), where)
        elif isinstance(value, list) and value:
            yield (*path, key), value
        else:
            raise ConfigError(f"{where}: sweep.{'.'.join((*path, key))}={value!r}; expected the list of values to try")


def _wins(items: Sequence[Any], where: str) -> tuple[WinEntry, ...]:
    """Check the named cells: one a task, every key given.

    Raises:
        ConfigError: a key is unknown or missing, or a task is named twice.
    """
    wins: list[WinEntry] = []
    for i, item in enumerate(items):
        place = f"{where}: wins[{i}]"
        win = typed(WinEntry, item if isinstance(item, Mapping) else {"task": item}, where=place)
        lacking = [field.name for field in fields(WinEntry) if not getattr(win, field.name)]
        if lacking:
            raise ConfigError(f"{place} lacks {', '.join(lacking)}; a cell is named with all of them, and the reason")
        if win.task in [other.task for other in wins]:
            raise ConfigError(f"{place}: {win.task} has a cell already; a task is given one, beforehand")
        wins.append(win)
    return tuple(wins)


def _entry(item: Any, file: _SuiteFile, where: str) -> PretrainEntry:
    item = dict(item) if isinstance(item, Mapping) else {"task": item}
    own = {key: item.pop(key) for key in ("seeds", "placebo", "data", "labels", "protocols") if key in item}
    if "task" not in item:
        raise ConfigError(f"{where} lacks task, the name of a pretext task")
    config = _merge(file.defaults, item)
    _refuse(config, _PRETRAIN_KEYS - {"data", "seed", "label", "out"}, where)
    return PretrainEntry(
        config=config,
        seeds=_seeds(own.get("seeds", file.seeds), where),
        placebo=own.get("placebo", file.placebo),
        data=tuple(map(str, _list(own.get("data"), f"{where}.data"))),
        labels=tuple(map(str, _list(own.get("labels"), f"{where}.labels"))),
        protocols=tuple(map(str, _list(own.get("protocols"), f"{where}.protocols"))),
        where=where,
    )


def _seeds(value: Any, where: str) -> tuple[int, ...]:
    """``3`` means seeds 0, 1 and 2; a list means what it says."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return tuple(range(value))
    if isinstance(value, list) and value and all(isinstance(v, int) and v >= 0 for v in value):
        return tuple(dict.fromkeys(value))
    raise ConfigError(f"{where}.seeds={value!r} is neither a positive number of seeds nor a list of seeds")


def _list(value: Any, where: str) -> list[Any]:
    if value is None or value == "":
        return []
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    if isinstance(value, (str, Mapping)):
        return [value]
    raise ConfigError(f"{where}={value!r} is no list")


def _refuse(config: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for key in config:
        if key not in known:
            near = near_names(str(key), known)
            raise ConfigError(f"{where}.{key} is unknown{near or ';'} known: {', '.join(sorted(known))}")


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``over`` laid upon ``under``; maps such as ``optim`` are merged, components are replaced."""
    merged = copy.deepcopy(dict(under))
    for key, value in over.items():
        below = merged.get(key)
        if key in ("optim", "loader") and isinstance(below, dict) and isinstance(value, Mapping):
            merged[key] = {**below, **value}
        else:
            merged[key] = copy.deepcopy(value)
    return merged


# ------------------------------------------------------------------------------------------------ overrides


def _override(plain: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply ``key=value``.

    ``steps=5`` (any key of a pretraining) goes to every entry under pretrain, ``defaults.steps=5`` only to those that
    say nothing of their own; ``device``, ``loader`` and ``trackers`` go to the transfers as well;
    ``data.root=videos`` goes to the options of the data set where the suite has one;
    ``seeds=2`` replaces every entry's seeds; everything else is a path into the file, such as
    ``data.0.labels=[motion]``.
    """
    suite = copy.deepcopy(dict(plain))
    # Short paths first, so that ``data=csv`` is laid down before ``data.root=...`` in whatever order they are written.
    for text in sorted(overrides, key=lambda text: text.partition("=")[0].count(".")):
        path, value = parse_override(text)
        if (
            path[0] == "data"
            and not (len(path) > 1 and path[1].isdigit())
            and (len(path) > 1 or not isinstance(value, list))
        ):
            _override_data(suite, path[1:], value, text)
        elif path[0] in _PRETRAIN_KEYS - {"data", "task"} or path[0] == "seeds":
            entries = suite.get("pretrain") or []
            suite["pretrain"] = [dict(item) if isinstance(item, Mapping) else {"task": item} for item in entries]
            for item in suite["pretrain"]:
                _put(item, path, value, text)
            if path[0] in _SHARED_KEYS:
                suite["transfer"] = dict(suite.get("transfer") or {})
                _put(suite["transfer"], path, value, text)
        else:
            _put(suite, path, value, text)
    return suite


def _override_data(suite: dict[str, Any], path: Sequence[str], value: Any, text: str) -> None:
    entries = suite.get("data") or []
    if len(entries) != 1:
        example = ".".join(("data", "0", *path))
        raise ConfigError(f"{text!r}: the suite has {len(entries)} data sets; say which one, as in {example}=...")
    entry = dict(entries[0]) if isinstance(entries[0], Mapping) else {"data": entries[0]}
    if path and path[0] in ("labels", "pretrain_data"):
        _put(entry, path, value, text)
    else:
        for part in reversed(path):
            value = {part: value}
        entry["data"] = merge_component(entry.get("data", ""), value)
    suite["data"] = [entry]


def _put(target: Any, path: Sequence[str], value: Any, text: str) -> None:
    """Set ``target[path[0]][path[1]]... = value``; numbers index lists, missing maps are made."""
    for depth, key in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(target, list):
            if not key.isdigit() or int(key) >= len(target):
                inside = ".".join(path[:depth])
                raise ConfigError(f"{text!r}: {inside} is a list of {len(target)}; {key!r} is no index of it")
            place: Any = int(key)
        elif isinstance(target, dict):
            place = key
        else:
            raise ConfigError(f"{text!r}: {'.'.join(path[:depth])} is {target!r}, which holds no {key!r}")
        if last:
            target[place] = value
            return
        below = target[place] if isinstance(target, list) else target.get(place)
        if below is None or isinstance(below, str):
            # ``task: rtt`` and ``task.speeds=[1,2]`` together: the name becomes the map that holds it
            below = {} if below is None else {"name": below}
        target[place] = below
        target = below
