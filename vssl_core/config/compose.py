"""Typed configuration: defaults < base < YAML file < ``key=value``, checked by OmegaConf against a dataclass.

A field typed ``Any`` holds a component, ``NAME[@RECIPE]`` or a mapping with ``name``. A layer that names a component
starts it afresh, so that no option of another one is left behind; a layer without ``name`` adds options to it.
"""

from __future__ import annotations

import dataclasses
import math
import os
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vssl_core.errors import ConfigError, PluginError, near_names

__all__ = ["compose", "load_yaml", "merge_component", "parse_override", "save_yaml", "to_plain", "to_yaml", "typed"]

T = TypeVar("T")


class _Layer(NamedTuple):
    source: str
    values: Mapping[str, Any]


def typed(cls: type[T], *layers: Mapping[str, Any], where: str = "", owner: str = "") -> T:
    """Return an instance of the config dataclass ``cls`` with ``layers`` laid over its defaults, later ones on top.

    Args:
        cls: a dataclass with a default for every field.
        layers: mappings of options, nested as ``cls`` is.
        where: the key under which these options stand, put before every key in an error (``"task"``).
        owner: whose options these are, for errors (``"task 'rtt' (plugin 'speed', vssl 0.1.0)"``).

    Raises:
        ConfigError: a key is unknown, or a value has the wrong type, is out of bounds or is none of the choices.
        PluginError: ``cls`` itself cannot serve as a configuration.
    """
    return _typed(cls, [_Layer("", layer) for layer in layers], where, owner)


def compose(
    cls: type[T],
    file: str | os.PathLike[str] | None,
    overrides: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
) -> T:
    """Return ``cls`` from its defaults, ``base``, a YAML ``file`` and ``key=value`` ``overrides``, later ones on top.

    Args:
        cls: a dataclass with a default for every field.
        file: path of a YAML file whose top level is a mapping, or ``None``.
        overrides: such as ``"optim.lr=1e-3"`` or ``"task.speeds=[1,2]"``; values are YAML. ``task=rtt`` is laid down
            before ``task.speeds=...`` in whatever order the two are written.
        base: options under those of the file.

    Raises:
        ConfigError: the file cannot be read, an override is malformed, or ``typed`` refuses the result; says in which.
    """
    layers = []
    if base is not None:
        layers.append(_Layer("", base))
    if file is not None:
        layers.append(_Layer(f"file {os.fspath(file)}", load_yaml(file)))
    parsed = [parse_override(text) for text in overrides]
    for path, value in sorted(parsed, key=lambda item: (len(item[0]), item[0][-1] != "name")):
        nested: Any = value
        for part in reversed(path):
            nested = {part: nested}
        layers.append(_Layer("command line", nested))
    return _typed(cls, layers, "", "")


def parse_override(text: str) -> tuple[tuple[str, ...], Any]:
    """Split ``"a.b=value"`` into its path and its YAML value.

    Raises:
        ConfigError: there is no ``=``, a part of the key is empty, or the value is no YAML.
    """
    key, equals, value = text.partition("=")
    path = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise ConfigError(f"'{text}' is no override; expected key=value, such as optim.lr=1e-3 or task.speeds=[1,2]")
    if not value.strip():
        return path, ""
    try:
        # OmegaConf's own reader: unlike YAML 1.1 it takes 1e-3 for a number.
        holder = OmegaConf.from_dotlist([f"value={value}"])
        parsed: Any = OmegaConf.to_container(holder, resolve=False)
    except (YAMLError, OmegaConfBaseException) as error:
        reason = _one_line(error)
        raise ConfigError(f"{key}: cannot read '{value}' as YAML: {reason}; quote it if it is text") from error
    return path, parsed["value"]


def load_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping; an empty file gives an empty one, and nothing is but plain data.

    Raises:
        ConfigError: the file is missing, unreadable, no YAML, holds a key twice, or is no mapping.
    """
    try:
        loaded: Any = OmegaConf.to_container(OmegaConf.load(Path(path)), resolve=False)
    except FileNotFoundError as error:
        folder = Path(path).parent
        near = near_names(Path(path).name, (p.name for p in folder.glob("*.y*ml"))) if folder.is_dir() else ""
        raise ConfigError(f"{path}: no such file{near}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {_one_line(error)}") from error
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path}: is no valid YAML: {_one_line(error)}") from error
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise ConfigError(f"{path}: expected a mapping of names to values at the top level")
    return loaded


def to_plain(obj: Any) -> Any:
    """Return ``obj`` as JSON-able data: dataclasses become dicts, tuples lists, sets sorted lists, paths text.

    Raises:
        ConfigError: something in it has no plain form, or a key is no text.
    """
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return {field.name: to_plain(getattr(obj, field.name)) for field in dataclasses.fields(obj)}
    if isinstance(obj, Mapping):
        if not all(isinstance(key, str) for key in obj):
            raise ConfigError(f"keys must be text, got {[key for key in obj if not isinstance(key, str)]}")
        return {key: to_plain(value) for key, value in obj.items()}
    if isinstance(obj, (set, frozenset)):
        return [to_plain(item) for item in sorted(obj)]
    if isinstance(obj, (list, tuple)):
        return [to_plain(item) for item in obj]
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, os.PathLike):
        return os.fspath(obj)
    raise ConfigError(f"{obj!r} cannot be written as YAML or JSON; use numbers, text, lists and mappings")


def to_yaml(plain: Mapping[str, Any]) -> str:
    """Return plain data as YAML text that ``load_yaml`` reads back equal."""
    return OmegaConf.to_yaml(OmegaConf.create(dict(plain)))


def save_yaml(plain: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write plain data as YAML; the file appears whole or not at all."""
    target = Path(path)
    scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        scratch.write_text(to_yaml(plain), encoding="utf-8")
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)


def merge_component(old: Any, new: Any) -> Any:
    """Lay a component's value over another's: with a ``name`` it replaces that one, without it adds options to it."""
    if not isinstance(new, Mapping) or "name" in new:
        return new
    if isinstance(old, str) and old:
        return {"name": old, **new}
    if isinstance(old, Mapping):
        return {**old, **{key: merge_component(old.get(key), value) for key, value in new.items()}}
    return new


# ------------------------------------------------------------------------------------------------ checks


def _typed(cls: type[T], layers: Sequence[_Layer], where: str, owner: str) -> T:
    owner = owner or cls.__name__
    try:
        default = cls()
        schema = OmegaConf.structured(default)
    except Exception as error:
        raise PluginError(
            f"{owner}: config class {cls.__module__}.{cls.__qualname__} cannot be used: {_one_line(error)}; "
            "every field needs a default and a type that OmegaConf knows (numbers, text, lists, dicts, plain unions)"
        ) from error
    merged: dict[str, Any] = {}
    for layer in layers:
        _check_keys(cls, layer.values, where, owner, layer.source)
        merged = _overlay(cls, default, merged, layer.values)
    try:
        result: Any = OmegaConf.to_object(OmegaConf.merge(schema, merged))
    except OmegaConfBaseException as error:
        raise _explain(cls, layers, where, owner, error) from error
    _check_bounds(result, layers, where, owner)
    return result


def _overlay(cls: Any, default: Any, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    merged = dict(old)
    for key, value in new.items():
        hint = hints[key]
        if hint is Any:
            merged[key] = merge_component(merged.get(key, getattr(default, key)), value)
        elif dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
            merged[key] = _overlay(hint, getattr(default, key), merged.get(key, {}), value)
        else:
            merged[key] = value
    return merged


def _check_keys(cls: Any, layer: Any, where: str, owner: str, source: str) -> None:
    if not isinstance(layer, Mapping):
        raise ConfigError(f"{where or owner}{_from(source)}: expected a mapping of options, got {layer!r}")
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    for key, value in layer.items():
        if key not in names:
            listed = f"its options: {', '.join(names)}" if names else "it takes no options"
            near = near_names(str(key), names)
            raise ConfigError(f"{_join(where, key)}{_from(source)}: {owner} has no such option{near or ';'} {listed}")
        if dataclasses.is_dataclass(hints[key]):
            _check_keys(hints[key], value, _join(where, key), _join(where, key), source)


def _explain(cls: type, layers: Sequence[_Layer], where: str, owner: str, error: OmegaConfBaseException) -> ConfigError:
    """Name the first value that OmegaConf refuses, where it stands and what was expected."""
    for key, field, hint, value, source in _leaves(cls, layers, where):
        if isinstance(value, str) and "${" in value:  # an interpolation means nothing outside the whole
            continue
        alone = dataclasses.field(default_factory=_default_of(field))
        holder = dataclasses.make_dataclass("Holder", [("value", hint, alone)])
        try:
            OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(holder()), {"value": value}))
        except OmegaConfBaseException:
            return _refused(key, value, source, field, hint, owner)
    key = _join(where, error.full_key) if error.full_key else where or owner
    return ConfigError(f"{key}: {str(error).splitlines()[0]}; an option of {owner}")


def _leaves(cls: type, layers: Sequence[_Layer], where: str) -> Iterator[tuple[str, Any, Any, Any, str]]:
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        given = [layer for layer in layers if field.name in layer.values]
        if not given:
            continue
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            inner = [_Layer(layer.source, layer.values[field.name]) for layer in given]
            yield from _leaves(hint, inner, _join(where, field.name))
        else:
            yield _join(where, field.name), field, hint, given[-1].values[field.name], given[-1].source


def _check_bounds(instance: Any, layers: Sequence[_Layer], where: str, owner: str) -> None:
    hints = typing.get_type_hints(type(instance))
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        given = [layer for layer in layers if field.name in layer.values]
        key = _join(where, field.name)
        if dataclasses.is_dataclass(value) and dataclasses.is_dataclass(hints[field.name]):
            _check_bounds(value, [_Layer(layer.source, layer.values[field.name]) for layer in given], key, owner)
            continue
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if not _allowed(item, field.metadata):
                source = given[-1].source if given else "default"
                raise _refused(key, value, source, field, hints[field.name], owner)


def _allowed(item: Any, metadata: Mapping[str, Any]) -> bool:
    low, high, choices = (metadata.get(name) for name in ("minimum", "maximum", "choices"))
    if choices is not None and item not in choices:
        return False
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return True
    if math.isnan(item):
        return False
    return (low is None or item >= low) and (high is None or item <= high)


# ------------------------------------------------------------------------------------------------- words


def _refused(key: str, value: Any, source: str, field: Any, hint: Any, owner: str) -> ConfigError:
    doc = field.metadata.get("doc", "")
    meaning = f" ({doc})" if doc else ""
    return ConfigError(
        f"{key}={value!r}{_from(source)}: expected {_expected(field, hint)}; an option of {owner}{meaning}"
    )


def _expected(field: Any, hint: Any) -> str:
    words = _type_name(hint)
    low, high, choices = (field.metadata.get(name) for name in ("minimum", "maximum", "choices"))
    if choices is not None:
        words = f"{words}, one of {', '.join(str(choice) for choice in choices)}"
    if low is not None and high is not None:
        words = f"{words} from {low} to {high}"
    elif low is not None:
        words = f"{words} of at least {low}"
    elif high is not None:
        words = f"{words} of at most {high}"
    return words


def _type_name(hint: Any) -> str:
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        return hint.__name__
    return str(hint).replace("typing.", "")


def _default_of(field: Any) -> Any:
    if field.default is not dataclasses.MISSING:
        return lambda: field.default
    return field.default_factory


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _from(source: str) -> str:
    return f" ({source})" if source else ""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
