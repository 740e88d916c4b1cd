"""Which video has which split, group and labels: decided before a pixel is drawn."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np

from vssl_datasets.toy.spec import ToySpec

# The first number after the seed in every random stream, so that no two streams coincide.
_STREAM_CELLS, _STREAM_WORLD, _STREAM_NUISANCE, _STREAM_LAW = range(4)
_SIDES = ("train", "test")


@dataclass(frozen=True, slots=True)
class Row:
    """One video of a set before it is rendered."""

    path: str  # relative to the set's folder; says nothing of the labels
    split: str  # "train", "val" or "test"
    group: str  # videos of one group share a background world; a group lies in one split
    labels: tuple[str, ...]  # a class name per label of the spec, in the spec's order
    side: int  # 0 for train and val, 1 for test
    index: int  # number of the video within its side
    world: int  # number of the group within its side


def _stream(spec: ToySpec, *keys: int) -> np.random.Generator:
    return np.random.default_rng([spec.seed, zlib.crc32(spec.name.encode()), *keys])


def world_rng(spec: ToySpec, row: Row) -> np.random.Generator:
    """Return the generator of what a group shares: the same for each of its videos."""
    return _stream(spec, _STREAM_WORLD, row.side, row.world)


def nuisance_rng(spec: ToySpec, row: Row) -> np.random.Generator:
    """Return the generator of a video's start, look and nuisance: it never sees a label."""
    return _stream(spec, _STREAM_NUISANCE, row.side, row.index)


def law_rng(spec: ToySpec, row: Row) -> np.random.Generator:
    """Return the generator of a video's speeds and phases.

    A stream of its own: classes draw different amounts of numbers, which would otherwise shift the
    nuisance draws and make them depend on the label.
    """
    return _stream(spec, _STREAM_LAW, row.side, row.index)


def _balanced_cells(spec: ToySpec, n: int, rng: np.random.Generator) -> list[tuple[str, ...]]:
    """Return ``n`` label tuples in random order, each combination as often as any other (+-1).

    Combinations are taken along the diagonal of the label table, so that a set too small for all
    of them is still balanced in each label by itself.
    """
    classes = [[names[i] for i in rng.permutation(len(names))] for _, names in spec.labels]
    period = math.lcm(*(len(names) for names in classes))
    cells = [
        # After a period the diagonal meets itself: the labels after the first move on by one.
        tuple(names[(k + (k // period if column else 0)) % len(names)] for column, names in enumerate(classes))
        for k in range(n)
    ]
    return [cells[i] for i in rng.permutation(n)]


def layout(spec: ToySpec) -> list[Row]:
    """Return every row of the set, in a fixed order: training side by index, then test.

    Labels are crossed and balanced within each split (exactly where its size allows, else +-1 per
    combination). Groups are consecutive runs of videos; the last groups of the training side are
    the validation split.
    """
    rows: list[Row] = []
    # A tiny set gets smaller groups, so that it too has several, one of them for validation.
    group_size = min(spec.group_size, max(1, spec.n_train // 5))
    for side, n in enumerate((spec.n_train, spec.n_test)):
        n_val = 0
        if side == 0:
            n_groups = -(-n // group_size)
            val_groups = min(n_groups - 1, max(1, round(spec.val_fraction * n_groups)))
            n_val = n - (n_groups - val_groups) * group_size
        rng = _stream(spec, _STREAM_CELLS, side)
        labels = _balanced_cells(spec, n - n_val, rng) + _balanced_cells(spec, n_val, rng)
        for index in range(n):
            world = index // group_size
            rows.append(
                Row(
                    path="videos/" + _SIDES[side] + "-" + str(index).zfill(5) + ".mp4",
                    split="val" if side == 0 and index >= n - n_val else _SIDES[side],
                    group=_SIDES[side] + "-" + str(world).zfill(4),
                    labels=labels[index],
                    side=side,
                    index=index,
                    world=world,
                )
            )
    return rows
