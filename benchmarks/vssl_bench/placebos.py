"""Which placebo a task is compared with. The choice depends on what was run, never on the order of its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vssl_bench.names import canonical
from vssl_bench.rows import Row
from vssl_core.components import Reference

__all__ = ["find_placebo"]

#: stands in as placebo for tasks that make no targets of their own
_STAND_IN = "pace"
#: options that decide what a clip is, and so what a step costs and shows
_CLIP = ("frames", "stride", "size")


def find_placebo(row: Row, placebos: Sequence[Row], planned: str | None) -> Row | None:
    """Return the placebo of a task at the same work: its own, else one that stands in, else None.

    Tasks that make no targets (they have no chance) are stood in for by a placebo of ``pace``, or by the one that the
    suite gives them: one of the same frames, stride and size where there is one; of several the suite's; else none.

    Args:
        row: the task.
        placebos: rows of placebos, measured where the task is.
        planned: key of the placebo that the suite gives the task.
    """
    same = [other for other in placebos if row.same_work(other)]
    own = [other for other in same if _is_own(row, other)]
    if own:
        # Several are one task in several spellings.
        return next((other for other in own if other.key == planned), min(own, key=lambda other: other.key))
    stands_in = [
        other
        for other in same
        if other.key == planned or (row.first["chance"] is None and _inner_name(other) == _STAND_IN)
    ]
    alike = [other for other in stands_in if _same_clips(row, other)] or stands_in
    if len(alike) == 1:
        return alike[0]
    return next((other for other in alike if other.key == planned), None)


def _is_own(row: Row, placebo: Row) -> bool:
    inner = _inner(placebo)
    if inner is not None:
        return inner == row.identity["task"]
    of = _of(placebo)
    return of is not None and canonical(of) == row.task_key


def _inner(placebo: Row) -> Mapping[str, Any] | None:
    """What the placebo's task resolved to; None in records that do not say."""
    inside: Mapping[str, Any] = placebo.identity["task"].get("inner") or {}
    return inside.get("of")


def _of(placebo: Row) -> Any:
    """The placebo's task as its configuration writes it; None where it is left to the default."""
    return Reference.parse(placebo.first["config"]["task"], where="task").options.get("of")


def _inner_name(placebo: Row) -> str:
    inner, of = _inner(placebo), _of(placebo)
    if inner is not None:
        return str(inner["name"])
    return canonical(of)[0] if of is not None else ""


def _same_clips(row: Row, placebo: Row) -> bool:
    inner = _inner(placebo)
    if inner is None:  # recipes of one name are all that can be compared
        of = _of(placebo)
        return of is not None and canonical(of)[1] == row.task_key[1]
    options = row.identity["task"]["options"]
    return all(options.get(name) == inner["options"].get(name) for name in _CLIP)
