"""Marks of key frames are the container's; whether decoding can begin there is tried."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from support.damage import write_sound
from support.videos import decode_all, pictures, write_video

from vssl_core.contracts import View
from vssl_core.data.probe import probe
from vssl_core.data.reader import read_views
from vssl_core.errors import ClipError

N_FRAMES = 60


def _read_at_random(path: Path) -> None:
    """Compare clips read from here and there with a decode of the whole file."""
    whole = decode_all(path)
    table = probe(str(path)).table
    assert table.n_frames == len(whole) == N_FRAMES
    rng = np.random.default_rng(0)
    for _ in range(12):
        frames = np.sort(rng.integers(0, N_FRAMES, 4))
        read = read_views(str(path), [View(frames, whole.shape[1:3])], table=table)[0]
        np.testing.assert_array_equal(read, whole[frames], err_msg=str(frames))


def _marked(path: Path) -> int:
    """How many packets the container marks as key frames."""
    with av.open(str(path)) as container:
        return sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size)


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video", "libx265"])
def test_an_mp4_file_that_marks_every_packet(codec: str, tmp_path: Path) -> None:
    """Without its table of key frames all are taken to be such."""
    options = {"g": "20", "bf": "0"} | ({"x265-params": "log-level=none:keyint=20"} if codec == "libx265" else {})
    path = write_video(tmp_path / "a.mp4", pictures(N_FRAMES), codec=codec, options=options)
    data = path.read_bytes()
    assert data.count(b"stss") == 1
    path.write_bytes(data.replace(b"stss", b"free"))
    assert _marked(path) == N_FRAMES
    _read_at_random(path)
    assert 1 <= len(probe(str(path)).table.key_pts) < N_FRAMES / 4


def test_an_avi_file_that_marks_every_packet(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", pictures(N_FRAMES), codec="msmpeg4v2", options={"g": "20"})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"idx1") + 8
    while data[at : at + 4] == b"00dc":
        data[at + 4] |= 0x10  # AVIIF_KEYFRAME
        at += 16
    path.write_bytes(bytes(data))
    assert _marked(path) == N_FRAMES
    _read_at_random(path)
    assert len(probe(str(path)).table.key_pts) < N_FRAMES / 4


def test_pictures_that_are_refreshed_bit_by_bit(tmp_path: Path) -> None:
    """A recovery point is marked as a key frame and is whole only some frames later."""
    path = write_video(tmp_path / "a.mp4", pictures(N_FRAMES), options={"x264-params": "intra-refresh=1:keyint=20"})
    assert _marked(path) > 1
    _read_at_random(path)
    assert len(probe(str(path)).table.key_pts) < _marked(path)


def test_every_frame_by_itself_in_a_codec_that_has_others(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(N_FRAMES), options={"g": "1"})
    assert len(probe(str(path)).table.key_pts) == N_FRAMES
    _read_at_random(path)


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(pictures(1)[0]).save(tmp_path / "cover.jpg")
    sound = write_sound(tmp_path / "sound.mp4")
    path = tmp_path / "a.mp4"
    with av.open(str(sound)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        with av.open(str(tmp_path / "cover.jpg")) as cover:
            art = target.add_stream_from_template(cover.streams.video[0])
            art.disposition = av.stream.Disposition.attached_pic
            for packet in cover.demux(video=0):
                if packet.size:
                    packet.stream = art
                    target.mux(packet)
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    with av.open(str(path)) as container:
        assert container.streams.video, "there is something that could be taken for a video"
    with pytest.raises(ClipError, match="a picture that is attached to its sound"):
        probe(str(path))
