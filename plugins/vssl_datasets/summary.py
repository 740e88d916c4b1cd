"""What an index holds, in numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from vssl_core.data.index import Index

__all__ = ["summary"]


def summary(index: Index) -> dict[str, Any]:
    """Return counts, durations, sizes, codecs, folders and what is broken; reads every row, but not its frame times."""
    names = ("path", "reason", "damage", "n_frames", "fps", "varies", "duration_s", "height", "width", "codec")
    sizes: Counter[str] = Counter()
    codecs: Counter[str] = Counter()
    folders: Counter[str] = Counter()
    broken, damaged = {}, {}
    frames, seconds, rates, total_bytes, varying, audible = [], [], [], 0, 0, 0
    for cells in index.columns(*names, "bytes", "has_audio"):
        row = dict(zip((*names, "bytes", "has_audio"), cells, strict=True))
        folders[row["path"].rpartition("/")[0] or "."] += 1
        total_bytes += max(0, row["bytes"])
        if row["reason"]:
            broken[row["path"]] = row["reason"]
            continue
        if row["damage"]:
            damaged[row["path"]] = row["damage"]
        frames.append(row["n_frames"])
        seconds.append(row["duration_s"])
        rates.append(row["fps"])
        varying += row["varies"]
        audible += row["has_audio"]
        sizes[f"{row['width']}x{row['height']}"] += 1
        codecs[row["codec"]] += 1
    facts: dict[str, str] = {"readable": f"{len(frames):,}", "bytes": f"{total_bytes:,}"}
    if frames:
        facts |= {
            "hours": f"{sum(seconds) / 3600:,.2f}",
            "seconds a video": _spread(seconds, "{:.2f}"),
            "frames a video": _spread(frames, "{:,.0f}"),
            "frames a second": _spread(rates, "{:.2f}"),
            "with a varying rate": f"{varying:,}",
            "with sound": f"{audible:,}",
        }
    return {
        "videos": len(index),
        "facts": facts,
        "sizes": dict(sizes.most_common()),
        "codecs": dict(codecs.most_common()),
        "folders": dict(folders.most_common()),
        "broken": broken,
        "damaged": damaged,
    }


def _spread(values: list[float], form: str) -> str:
    low, middle, high = np.percentile(values, [0, 50, 100])
    return f"{form.format(low)} to {form.format(high)}, median {form.format(middle)}"
