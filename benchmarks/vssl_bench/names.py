"""How components are called on plans and boards: by their reference and the options that were given beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vssl_core.components import Reference

__all__ = ["PLACEBO", "canonical", "shown", "shown_task"]

#: the task whose rows are placebos; its option ``of`` names the task they belong to
PLACEBO = "random-labels"


def canonical(value: Any) -> tuple[str, str, str]:
    """Return name, recipe and given options of a component as configurations write it, spelled in one way."""
    reference = Reference.parse(value, where="component")
    return reference.name, reference.recipe, _options(reference.options)


def shown(value: Any) -> str:
    """Return ``name@recipe(option=value, ...)`` with the options that were given beyond the recipe."""
    name, recipe, options = canonical(value)
    return f"{name}{'@' + recipe if recipe else ''}{'(' + options + ')' if options else ''}"


def shown_task(value: Any) -> str:
    """Return ``shown``, with a placebo called after its task: ``random-labels of rtt@tiny``."""
    reference = Reference.parse(value, where="task")
    if reference.name != PLACEBO or set(reference.options) != {"of"}:
        return shown(value)
    return f"{PLACEBO} of {shown(reference.options['of'])}"


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={_word(options[key])}" for key in sorted(options))


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + _options(value) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_word(item) for item in value) + "]"
    return str(value)
