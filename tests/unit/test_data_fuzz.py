"""Files with mutated bytes: they end in a reason or in frames, within seconds, and never in a crash of this process."""

from __future__ import annotations

import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.videos import pictures, write_video

from vssl_core.contracts import Video, View
from vssl_core.data.guard import guarded_map
from vssl_core.data.index import Index
from vssl_core.data.reader import FileReader
from vssl_core.data.scan import build_index
from vssl_core.errors import ClipError, DataError

N_FRAMES = 12
#: seconds that one mutated file may take, on a machine that does other things too
LIMIT_S = 10.0

#: what is done, at which part of the file, with which other part, to how many bytes, with which value
Mutation = tuple[str, float, float, int, int]

SEEDS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"bf": "2", "g": "6", "x264-params": "threads=1"}),
    "mpeg4": ("mpeg4", {"bf": "2", "g": "6"}),
    "mjpeg": ("mjpeg", {"flags": "+qscale", "qmin": "5", "qmax": "5"}),
}


@cache
def _seed(name: str) -> bytes:
    """Return a whole file; no fixture, which would stand in every report of a failure."""
    codec, options = SEEDS[name]
    pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        write_video(path, pictures(N_FRAMES, 32, 48), codec=codec, options=options, pixel_format=pixel_format)
        return path.read_bytes()


PLACES = st.floats(0, 1, exclude_max=True)


def _mutations() -> st.SearchStrategy[Mutation]:
    kinds = st.sampled_from(["flip", "set", "delete", "insert", "truncate", "swap", "repeat", "number"])
    return st.tuples(kinds, PLACES, PLACES, st.integers(1, 64), st.integers(0, 255))


def _mutated(data: bytes, mutations: list[Mutation]) -> bytes:
    """Change bytes; places are parts of the length, so that a mutation means something whatever came before it."""
    out = bytearray(data)
    for kind, one, other, length, value in mutations:
        at, to = int(one * len(out)), int(other * len(out))
        if kind == "flip" and out:
            out[at] ^= 1 << value % 8
        elif kind == "set" and out:
            out[at] = value
        elif kind == "delete":
            del out[at : at + length]
        elif kind == "insert":
            out[at:at] = bytes([value]) * length
        elif kind == "truncate":
            # Files that end at once are all alike.
            del out[max(at, len(out) // 3) :]
        elif kind == "swap":
            first, second = out[at : at + length], out[to : to + length]
            out[at : at + length], out[to : to + length] = second, first
        elif kind == "repeat":
            out[to:to] = out[at : at + length]
        elif kind == "number":
            # Sizes and counts of boxes are 32-bit numbers: extremes are what readers trip over.
            out[at : at + 4] = [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0"][value % 4]
    return bytes(out)


def _read(item: tuple[FileReader, Video, tuple[tuple[int, ...], ...]]) -> list[str]:
    """Read frames; return what is wrong about the answer. Runs in a process that can be killed."""
    reader, video, wanted = item
    wrong = []
    for frames in wanted:
        views = [View(np.array(frames), (24, 20), "short-side-crop"), View(np.array(frames[:1]), (16, 16), "pad")]
        try:
            first, second = reader(video, views)
        except ClipError:
            continue
        if (first.shape, first.dtype, second.shape) != ((len(frames), 24, 20, 3), np.uint8, (1, 16, 16, 3)):
            wrong.append(f"frames {frames}: {first.shape}, {first.dtype}, {second.shape}")
    return wrong


def _check(data: bytes, folder: Path, check: str, rng: np.random.Generator) -> Index:
    (folder / "a.mp4").write_bytes(data)
    (folder / "a.index").unlink(missing_ok=True)
    began = time.monotonic()
    try:
        index = build_index(folder, ["a.mp4"], cache_file=folder / "a.index", workers=1, check=check)
    except (ClipError, DataError) as error:
        raise AssertionError("one bad file is a row with a reason, not the end of the build") from error
    row = index["a.mp4"]
    assert (row.n_frames == 0) == bool(row.reason)
    assert row.size[0] >= 0 and row.size[1] >= 0
    assert np.isfinite([row.fps, row.duration_s]).all()
    if row.n_frames:
        assert row.fps > 0 and row.duration_s > 0 and min(row.size) > 0
        video = Video(0, "a.mp4", str(folder / "a.mp4"), row.n_frames, row.fps, row.duration_s, row.size)
        wanted = tuple(tuple(rng.integers(0, row.n_frames, count).tolist()) for count in (1, 3, 6))
        (outcome,) = guarded_map(_read, [(FileReader(index), video, wanted)], limits_s=[LIMIT_S], workers=1)
        assert outcome.failure == "" or "crashed" in outcome.failure, outcome.failure
        assert not outcome.value
    assert time.monotonic() - began < LIMIT_S
    return index


@pytest.mark.parametrize("codec", SEEDS)
def test_the_seeds_are_whole(codec: str, tmp_path: Path) -> None:
    """Else the test below would mutate what is refused anyway."""
    index = _check(_seed(codec), tmp_path, "decode", np.random.default_rng(0))
    assert (index["a.mp4"].n_frames, index["a.mp4"].reason, index["a.mp4"].damage) == (N_FRAMES, "", "")


@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    codec=st.sampled_from(sorted(SEEDS)),
    mutations=st.lists(_mutations(), min_size=1, max_size=6),
    check=st.sampled_from(["packets", "decode"]),
    draw=st.integers(0, 2**16),
)
def test_mutated_files_are_read_or_refused(
    codec: str,
    mutations: list[Mutation],
    check: str,
    draw: int,
    tmp_path: Path,
) -> None:
    _check(_mutated(_seed(codec), mutations), tmp_path, check, np.random.default_rng(draw))


@pytest.mark.parametrize("codec", SEEDS)
def test_damaged_pictures_are_read_or_refused(codec: str, tmp_path: Path) -> None:
    """Bytes of the pictures alone: the file opens, its header is right, and what is in it is not."""
    data = _seed(codec)
    begin = data.index(b"mdat") + 4
    end = begin - 8 + int.from_bytes(data[begin - 8 : begin - 4], "big")
    rng = np.random.default_rng(4)
    readable = 0
    for _ in range(6):
        changed = bytearray(data)
        for spot in rng.integers(begin, end, 12).tolist():
            changed[spot] ^= 1 << int(rng.integers(8))
        readable += _check(bytes(changed), tmp_path, "packets", rng)["a.mp4"].n_frames > 0
    assert readable, "some of them are opened"
