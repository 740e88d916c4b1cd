"""Making a synthetic set on first use.

``ensure(TOY_MOTION, root, workers=2)`` returns the set's folder and makes it if it is missing::

    toy-motion-v1-<first 12 digits of the generator's hash>/
        videos.csv      path, split, group, then one column per label
        spec.json       the spec, the generator's hash, the encoder's versions
        videos/*.mp4
"""

from __future__ import annotations

import csv
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from vssl_datasets.toy.atomic import make_once
from vssl_datasets.toy.encode import OPTIONS, codec_versions
from vssl_datasets.toy.freeze import FROZEN_HASHES, check_frozen, generator_hash
from vssl_datasets.toy.layout import Row, layout
from vssl_datasets.toy.spec import TOY_MOTION, TOY_PHYSICS, ToySpec
from vssl_datasets.toy.worker import write_rows

__all__ = [
    "FROZEN_HASHES",
    "TOY_MOTION",
    "TOY_PHYSICS",
    "ToySetError",
    "ToySpec",
    "check_frozen",
    "ensure",
    "folder_name",
    "generator_hash",
]

Progress = Callable[[int, int], None]  # videos written so far, videos in all

# Below this a worker process takes longer to start than its share takes to render.
_FEWEST_FOR_PROCESSES = 100


class ToySetError(RuntimeError):
    """A synthetic set could not be made."""


def folder_name(spec: ToySpec) -> str:
    """Return the name of the folder that holds ``spec``'s videos; other code, other name."""
    return f"{spec.name}-v{spec.version}-{generator_hash(spec)[:12]}"


def ensure(spec: ToySpec, root: Path, workers: int = 2, progress: Progress | None = None) -> Path:
    """Return the folder of ``spec`` under ``root``, made first if it is not there.

    Safe to call from several processes at once: one makes the set, the others wait for it.
    ``workers`` processes render; ``progress`` is called in this process after every video.
    Raises :class:`ToySetError` if a worker fails; nothing half-made is left at the returned path.
    """
    target = Path(root) / folder_name(spec)
    make_once(target, lambda folder: _build(spec, folder, workers, progress))
    return target


def _build(spec: ToySpec, folder: Path, workers: int, progress: Progress | None) -> None:
    rows = layout(spec)
    (folder / "videos").mkdir()
    _write_index(spec, folder, rows)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(rows))

    if workers <= 1 or len(rows) < _FEWEST_FOR_PROCESSES:
        for _ in write_rows(spec, folder, rows):
            tick()
    else:
        _run_workers(spec, folder, workers, tick)
    missing = [row.path for row in rows if not (folder / row.path).is_file()]
    if missing:
        raise ToySetError(f"{spec.name}: {len(missing)} of {len(rows)} videos were not written, first {missing[0]}")


def _write_index(spec: ToySpec, folder: Path, rows: Sequence[Row]) -> None:
    with (folder / "videos.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["path", "split", "group", *(label for label, _ in spec.labels)])
        writer.writerows([row.path, row.split, row.group, *row.labels] for row in rows)
    record = {
        "spec": spec.to_dict(),
        "generator_hash": generator_hash(spec),
        "encoder": {"codec": "libx264", "options": OPTIONS, **codec_versions()},
    }
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    (folder / "spec.json").write_text(text, encoding="utf-8")


def _run_workers(spec: ToySpec, folder: Path, workers: int, tick: Callable[[], None]) -> None:
    """Render in ``workers`` fresh interpreters and call ``tick`` for each video they report.

    Not multiprocessing: its spawn and forkserver import the caller's main script again, which
    fails in scripts without a main guard, and fork is unsafe once torch has started threads.
    """
    events: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    # The children find this package however the parent did (a source root, an odd sys.path).
    package_root = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join([package_root, *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    children: list[tuple[subprocess.Popen[str], IO[str]]] = []
    try:
        for worker in range(workers):
            errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "vssl_datasets.toy.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            )
            children.append((child, errors))
            job = {
                "spec": spec.to_dict(),
                "generator_hash": generator_hash(spec),
                "folder": str(folder.resolve()),
                "worker": worker,
                "workers": workers,
            }
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write(json.dumps(job))
            child.stdin.close()
            threading.Thread(target=_forward, args=(child.stdout, events), daemon=True).start()
        running = workers
        while running:
            if events.get() is None:
                running -= 1
            else:
                tick()
        for child, errors in children:
            if child.wait() != 0:
                errors.seek(0)
                raise ToySetError(
                    f"{spec.name}: a worker exited with status {child.returncode}:\n{errors.read()[-2000:]}"
                )
    finally:
        for child, errors in children:
            if child.poll() is None:
                child.kill()
                child.wait()
            errors.close()


def _forward(lines: IO[str], events: queue.SimpleQueue[str | None]) -> None:
    """Pass a worker's lines on, then None at its end."""
    with lines:
        for line in lines:
            events.put(line)
    events.put(None)
