"""Renders and writes a share of a set's videos; also the entry point of a worker process.

``python -m vssl_datasets.toy.worker`` reads a job as JSON from its standard input and prints one
line for each video it has written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vssl_datasets.toy.encode import encode
from vssl_datasets.toy.freeze import generator_hash
from vssl_datasets.toy.layout import Row, law_rng, layout, nuisance_rng, world_rng
from vssl_datasets.toy.motion import render_motion
from vssl_datasets.toy.physics import render_physics
from vssl_datasets.toy.spec import ToySpec
from vssl_datasets.toy.sprites import draw_world

_RENDERERS = {"toy-motion": render_motion, "toy-physics": render_physics}


def render_row(spec: ToySpec, row: Row) -> NDArray[np.uint8]:
    """Draw one row of ``spec`` as uint8 [T, H, W, 3] RGB, before any compression."""
    render = _RENDERERS[spec.name]
    world = draw_world(world_rng(spec, row))
    nuisance, law = nuisance_rng(spec, row), law_rng(spec, row)
    return render(row.labels, spec.frames, spec.size, world, nuisance, law)


def write_rows(spec: ToySpec, folder: Path, rows: Sequence[Row]) -> Iterator[Row]:
    """Write each row's mp4 below ``folder`` and yield the row once its file is closed."""
    for row in rows:
        encode(render_row(spec, row), folder / row.path, spec.fps)
        yield row


def share(rows: Sequence[Row], worker: int, workers: int) -> Sequence[Row]:
    """Return every ``workers``-th row from ``worker`` on: equal shares of equal work."""
    return rows[worker::workers]


def main() -> None:
    """Do the job given on the standard input."""
    job = json.load(sys.stdin)
    spec = ToySpec.from_dict(job["spec"])
    # The parent wrote the labels with the code it loaded; this process reads the files as they are
    # now. Had they been edited in between, videos and labels would silently not match.
    if generator_hash(spec) != job["generator_hash"]:
        raise SystemExit("the generator's source changed since the calling process loaded it")
    rows = share(layout(spec), job["worker"], job["workers"])
    for row in write_rows(spec, Path(job["folder"]), rows):
        print(row.path, flush=True)


if __name__ == "__main__":
    main()
