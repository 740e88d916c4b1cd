"""How the parts of a weighted sum are written: a mapping NAME[@RECIPE] -> weight, or ``{weight, recipe, options}``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vssl_core.errors import ConfigError, near_names

__all__ = ["WeightedComponent", "parse_weighted"]

_KEYS = ("weight", "recipe", "options")


@dataclass(frozen=True, slots=True)
class WeightedComponent:
    """One part of a sum.

    Attributes:
        name: of the component; unique within the sum.
        weight: above 0.
        value: the component as configurations write it: a mapping with ``name``, perhaps ``recipe``, and options.
    """

    name: str
    weight: float
    value: Any


def parse_weighted(parts: Any, *, where: str) -> list[WeightedComponent]:
    """Read a weighted sum, in the order of the mapping.

    Args:
        parts: NAME or NAME@RECIPE -> weight (a number above 0), or a mapping with ``weight`` (1 where it is not given),
            ``recipe`` and ``options``.
        where: the key under which it stands, for errors.

    Raises:
        ConfigError: it is none of these, a weight is not a finite number above 0, or a name stands there twice.
    """
    if not isinstance(parts, Mapping):
        raise ConfigError(
            f"{where}={parts!r}: expected a mapping of names to weights, such as {{pace: 1, simclr: 0.5}}"
        )
    found: dict[str, WeightedComponent] = {}
    for key, given in parts.items():
        place = f"{where}.{key}"
        given = given if isinstance(given, Mapping) else {"weight": given}
        for inner in given:
            if inner not in _KEYS:
                near = near_names(str(inner), _KEYS) or ";"
                raise ConfigError(
                    f"{place}.{inner}: no key of a part of a sum{near} its keys: {', '.join(_KEYS)} (options of the "
                    f"task go under {place}.options)"
                )
        name, _, recipe = str(key).partition("@")
        if recipe and given.get("recipe", recipe) != recipe:
            raise ConfigError(f"{place} names two recipes, '{recipe}' and {given['recipe']!r}; keep one")
        recipe = recipe or given.get("recipe", "")
        options = given.get("options", {})
        if not isinstance(options, Mapping) or {"name", "recipe"} & set(options):
            raise ConfigError(f"{place}.options={options!r}: expected a mapping of {name}'s own options")
        if name in found:
            raise ConfigError(f"{where} names {name} twice; give one of the two, with the sum of the weights")
        weight = _weight(given.get("weight", 1.0), place)
        found[name] = WeightedComponent(
            name, weight, {"name": name, **({"recipe": recipe} if recipe else {}), **options}
        )
    return list(found.values())


def _weight(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{place}={value!r}: expected a weight, a number above 0; leave the task out to turn it off")
    return float(value)
