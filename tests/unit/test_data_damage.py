"""Frames that refer to a damaged one are damaged, whatever the decoder says of them by themselves."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from support.damage import packet_places
from support.videos import decode_all, pictures, write_video

from vssl_core.contracts import View
from vssl_core.data.probe import probe
from vssl_core.data.reader import read_views
from vssl_core.errors import ClipError

N_FRAMES, GROUP = 48, 12
NO_B = {"g": str(GROUP), "bf": "0", "x264-params": "scenecut=0:threads=1"}
WITH_B = {"g": str(GROUP), "bf": "3", "x264-params": "scenecut=0:threads=1:b-adapt=0:b-pyramid=none"}


def _corrupt(path: Path, number: int) -> int:
    """Change a part of one packet so that its frame decodes, with what is missing made up; return that frame."""
    pos, size = packet_places(path)[number]
    whole = path.read_bytes()
    # What a change does depends on the bytes it meets: the first that a plain decoder notices and gets over.
    for mask in range(1, 256):
        data = bytearray(whole)
        data[pos + size // 2 : pos + size] = bytes(value ^ mask for value in data[pos + size // 2 : pos + size])
        path.write_bytes(data)
        try:
            marked = _marked(path)
        except av.FFmpegError:
            continue
        if marked:
            (frame,) = marked
            return frame
    raise AssertionError("no change of this packet is noticed")


def _marked(path: Path) -> set[int]:
    """The frames that a plain decoder marks as corrupt."""
    with av.open(str(path)) as container:
        return {at for at, frame in enumerate(container.decode(video=0)) if frame.is_corrupt}


def _read(path: Path, frames: list[int]) -> np.ndarray | None:
    try:
        return read_views(str(path), [View(np.array(frames), (48, 64))], table=probe(str(path)).table)[0]
    except ClipError:
        return None


@pytest.mark.parametrize("number", [GROUP, GROUP + 3])
def test_what_follows_a_damaged_frame_in_its_group_is_refused(number: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(N_FRAMES), options=NO_B)
    whole = decode_all(path)
    assert _corrupt(path, number) == number, "the decoder marks the damaged frame, not those that refer to it"
    for frame in range(N_FRAMES):
        read = _read(path, [frame])
        if number <= frame < 2 * GROUP:
            assert read is None, f"frame {frame} refers to frame {number}, which is damaged"
        else:
            assert read is not None
            np.testing.assert_array_equal(read[0], whole[frame])


def test_it_does_not_matter_what_else_is_wanted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(N_FRAMES), options=NO_B)
    whole = decode_all(path)
    _corrupt(path, GROUP + 3)
    rng = np.random.default_rng(0)
    for _ in range(30):
        frames = rng.integers(0, N_FRAMES, 3).tolist()
        read = _read(path, frames)
        assert (read is None) == any(GROUP + 3 <= frame < 2 * GROUP for frame in frames), frames
        if read is not None:
            np.testing.assert_array_equal(read, whole[frames])


def test_a_damaged_frame_harms_those_shown_before_it_that_refer_to_it(tmp_path: Path) -> None:
    """B-frames are shown before the frame that they refer to."""
    path = write_video(tmp_path / "a.mp4", pictures(N_FRAMES), options=WITH_B)
    whole = decode_all(path)
    # In decoding order the group is I P B B B P ...: the P is shown fourth behind the I.
    assert _corrupt(path, GROUP + 1) == GROUP + 4
    harmed = [at for at, frame in enumerate(decode_all(path)) if not np.array_equal(frame, whole[at])]
    assert {GROUP + 1, GROUP + 2, GROUP + 3} <= set(harmed)
    refused = [frame for frame in range(N_FRAMES) if _read(path, [frame]) is None]
    assert set(harmed) <= set(refused), "what is shown is what was filmed, or nothing"
    assert all(GROUP < frame < 2 * GROUP for frame in refused), "other groups are not harmed"
    found = probe(str(path), check="decode")
    assert found.table.n_frames <= harmed[0]
    assert found.damage


def test_a_damaged_frame_that_nobody_refers_to_harms_none(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(N_FRAMES), options=WITH_B)
    whole = decode_all(path)
    marked = _corrupt(path, GROUP + 3)
    for frame in range(N_FRAMES):
        read = _read(path, [frame])
        assert (read is None) == (frame == marked)
        if read is not None:
            np.testing.assert_array_equal(read[0], whole[frame])
