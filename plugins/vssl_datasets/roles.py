"""Which official split plays which part, in sets whose papers report on the validation split.

The test labels of such sets were held back for challenges, so that the official *validation* split is what the field
measures on. Choices (epoch, learning rate, k) must not be made on what is measured on, so:

- ``measure_on="validation"``: official validation is ``test``; there is no ``val``, it is cut from ``train`` where
  one is needed. The official test split is not used at all.
- ``measure_on="test"``, where its labels are at hand: official test is ``test``, official validation is ``val``.
"""

from __future__ import annotations

__all__ = ["MEASURE_ON", "official_splits"]

MEASURE_ON = ("validation", "test")


def official_splits(measure_on: str) -> dict[str, str]:
    """Return official split -> the split that it is here, for those that are used."""
    if measure_on == "validation":
        return {"train": "train", "validation": "test"}
    return {"train": "train", "validation": "val", "test": "test"}
