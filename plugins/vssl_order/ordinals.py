"""Places in a row, in words."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["ordinal", "ordinals"]

_WORDS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


def ordinal(place: int) -> str:
    """Return ``"first"`` for 0, ``"second"`` for 1, ...; from the tenth on ``"10th"``."""
    return _WORDS[place] if place < len(_WORDS) else f"{place + 1}th"


def ordinals(places: Iterable[int]) -> str:
    """Return the places in words, with commas between them."""
    return ", ".join(ordinal(place) for place in places)
