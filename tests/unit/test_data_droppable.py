"""Packets that nobody needs: told apart by their first bits, and proved by leaving them out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.videos import decode_all, pictures, write_video

from vssl_core.contracts import View
from vssl_core.data.container import open_video
from vssl_core.data.droppable import Droppable, droppable_test
from vssl_core.data.probe import probe
from vssl_core.data.reader import read_views

N_FRAMES = 36
X264 = {"bf": "3", "g": "12", "x264-params": "b-pyramid=strict:b-adapt=0:scenecut=0:threads=1:open-gop=1"}
SLICES = {**X264, "x264-params": f"{X264['x264-params']}:slices=3"}
MPEG4 = {"bf": "2", "g": "12"}
X265 = {"x265-params": "bframes=3:b-adapt=0:b-pyramid=1:keyint=12:scenecut=0:pools=none:frame-threads=1:log-level=0"}

KINDS: dict[str, Callable[[Path], Path]] = {
    "h264, lengths": lambda folder: write_video(folder / "a.mp4", pictures(N_FRAMES), options=X264),
    "h264, lengths, slices": lambda folder: write_video(folder / "a.mkv", pictures(N_FRAMES), options=SLICES),
    "h264, start codes": lambda folder: write_video(folder / "a.ts", pictures(N_FRAMES), options=X264),
    "hevc": lambda folder: write_video(folder / "a.mp4", pictures(N_FRAMES), codec="libx265", options=X265),
    "mpeg4, mp4": lambda folder: write_video(folder / "a.mp4", pictures(N_FRAMES), codec="mpeg4", options=MPEG4),
    "mpeg4, matroska": lambda folder: write_video(folder / "a.mkv", pictures(N_FRAMES), codec="mpeg4", options=MPEG4),
}
RAW = "h264, start codes, no timestamps"
ALL = {**KINDS, RAW: lambda folder: write_video(folder / "a.h264", pictures(N_FRAMES), options=X264, format="h264")}


def _without(path: Path, dropped: int) -> tuple[dict[int, np.ndarray], list[bool]]:
    """Decode a file without one packet (-1: with all); frames by timestamp, and which packets are droppable."""
    frames: dict[int, np.ndarray] = {}
    needless: list[bool] = []
    with open_video(str(path)) as (container, stream):
        context = stream.codec_context
        test = droppable_test(context.name, context.extradata)
        assert test is not None
        for number, packet in enumerate(container.demux(stream)):
            if packet.size:
                needless.append(test(memoryview(packet)))
            if number != dropped:
                for frame in packet.decode():
                    if not frame.is_corrupt and frame.pts is not None:
                        frames[frame.pts] = frame.to_ndarray(format="rgb24")
    return frames, needless


@pytest.mark.parametrize("kind", KINDS)
def test_droppable_are_those_whose_loss_changes_no_other_frame(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind](tmp_path)
    whole, needless = _without(path, -1)
    assert len(needless) == len(whole) == N_FRAMES
    assert 0 < sum(needless) < N_FRAMES, "the file has frames of both kinds"
    # Two groups of pictures show every kind of packet; behind the last frame nothing is left that could change.
    for number in range(24):
        left, _ = _without(path, number)
        harmless = len(left) == N_FRAMES - 1 and all(np.array_equal(left[pts], whole[pts]) for pts in left)
        assert harmless == needless[number], f"packet {number}"


@pytest.mark.parametrize("kind", ALL)
def test_any_subset_equals_decoding_everything(kind: str, tmp_path: Path) -> None:
    path = ALL[kind](tmp_path)
    whole = decode_all(path)
    table = probe(str(path)).table
    assert table.n_frames == N_FRAMES
    rng = np.random.default_rng(7)
    for chance in (0.03, 0.1, 0.3, 0.6):
        for _ in range(8):
            wanted = rng.permutation(np.flatnonzero(rng.random(N_FRAMES) < chance))
            read = read_views(str(path), [View(wanted, (48, 64))], table=table)[0]
            np.testing.assert_array_equal(read, whole[wanted], err_msg=str(wanted))


def test_needless_packets_are_not_sent_to_the_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this the tests above hold for a reader that drops nothing at all."""
    import vssl_core.data.decode as decode_module

    path = KINDS["h264, lengths"](tmp_path)
    table = probe(str(path)).table
    asked: list[bool] = []

    def noted(codec: str, extradata: bytes | None) -> Droppable:
        test = droppable_test(codec, extradata)
        assert test is not None
        return lambda data: asked.append(test(data)) or asked[-1]  # type: ignore[func-returns-value]

    monkeypatch.setattr(decode_module, "droppable_test", noted)
    read_views(str(path), [View(np.array([23]), (48, 64))], table=table)
    assert sum(asked) >= 3, "B-frames that nobody asked for are left out"


def test_reordered_mpeg4_without_timestamps(tmp_path: Path) -> None:
    """In AVI one packet may hold a P- and a B-VOP; dropping it for the B would lose the P."""
    path = write_video(tmp_path / "a.avi", pictures(N_FRAMES), codec="mpeg4", options=MPEG4)
    whole = decode_all(path)
    for wanted in ([5], [0, 13, 35], [30, 31]):
        read = read_views(str(path), [View(np.array(wanted), (48, 64))])[0]
        np.testing.assert_array_equal(read, whole[wanted])


LENGTH_4 = bytes([1, 100, 0, 10, 0xFF, 0xE1])
LENGTH_2 = bytes([1, 100, 0, 10, 0xFD, 0xE1])


def _lengths(*units: bytes, size: int = 4) -> memoryview:
    return memoryview(b"".join(len(unit).to_bytes(size, "big") + unit for unit in units))


def _codes(*units: bytes, code: bytes = b"\0\0\0\1") -> memoryview:
    return memoryview(b"".join(code + unit for unit in units))


def _h264(kind: int, ref_idc: int, forbidden: int = 0) -> bytes:
    return bytes([forbidden << 7 | ref_idc << 5 | kind]) + b"\x9a\x21\x6c\x77"


SEI, DELIMITER = _h264(6, 0), _h264(9, 0)
H264_RULES = [
    ("a slice nobody refers to", [_h264(1, 0)], True),
    ("beside what is no picture", [DELIMITER, SEI, _h264(1, 0)], True),
    ("several slices of it", [_h264(1, 0), _h264(1, 0)], True),
    ("data partitions", [_h264(2, 0), _h264(3, 0), _h264(4, 0)], True),
    ("a slice that is referred to", [_h264(1, 1)], False),
    ("an instantaneous refresh", [_h264(5, 3)], False),
    ("one of two slices is referred to", [_h264(1, 0), _h264(1, 2)], False),
    ("forbidden bit", [_h264(1, 0, forbidden=1)], False),
    ("forbidden bit of another unit", [_h264(6, 0, forbidden=1), _h264(1, 0)], False),
    ("no picture at all", [DELIMITER, SEI], False),
    ("nothing", [], False),
]


@pytest.mark.parametrize(("units", "droppable"), [rule[1:] for rule in H264_RULES], ids=[r[0] for r in H264_RULES])
def test_h264_rules(units: list[bytes], droppable: bool) -> None:
    four, two, codes = (droppable_test("h264", extra) for extra in (LENGTH_4, LENGTH_2, None))
    assert four is not None and two is not None and codes is not None
    assert four(_lengths(*units)) is droppable
    assert two(_lengths(*units, size=2)) is droppable
    assert codes(_codes(*units)) is droppable
    assert codes(_codes(*units, code=b"\0\0\1")) is droppable


@pytest.mark.parametrize("kind", [7, 8, 13, 15], ids=["sequence", "picture", "extension", "subset"])
def test_h264_parameter_sets_are_kept(kind: int) -> None:
    """Later pictures are decoded by the parameter sets that came last, whatever packet brought them."""
    lengths, codes = droppable_test("h264", LENGTH_4), droppable_test("h264", None)
    assert lengths is not None and codes is not None
    assert not lengths(_lengths(_h264(kind, 3), _h264(1, 0)))
    assert not codes(_codes(_h264(kind, 3), _h264(1, 0)))


def test_damaged_lengths_end_the_search() -> None:
    test = droppable_test("h264", LENGTH_4)
    assert test is not None
    unit = _h264(1, 0)
    # A length that leads out of the packet, one of nothing, and a packet shorter than a length.
    assert test(memoryview(b"\xff\xff\xff\xff" + unit))
    assert not test(memoryview(b"\0\0\0\0"))
    assert not test(memoryview(b"\0\0"))
    assert not test(memoryview(b""))


def _hvcc(layers: int, length: int = 4) -> bytes:
    return bytes([1]) + bytes(20) + bytes([layers << 3 | length - 1]) + b"\0"


def _hevc(kind: int, forbidden: int = 0) -> bytes:
    return bytes([forbidden << 7 | kind << 1, 1]) + b"\xd0\x09\x7e"


@pytest.mark.parametrize("extra", [None, b"", b"\0\0\0\1\x40\1", _hvcc(0), _hvcc(2), _hvcc(3), _hvcc(1)[:21]])
def test_hevc_whose_layers_are_more_than_one_or_unknown_drops_nothing(extra: bytes | None) -> None:
    assert droppable_test("hevc", extra) is None


HEVC_RULES = [
    *((f"type {kind}", [_hevc(kind)], True) for kind in (0, 2, 4, 6, 8, 14)),
    *((f"type {kind}", [_hevc(kind)], False) for kind in (1, 3, 7, 9, 16, 19, 20, 21, 31)),
    ("beside a message", [_hevc(39), _hevc(0)], True),
    ("one of two slices is referred to", [_hevc(0), _hevc(1)], False),
    ("forbidden bit", [_hevc(0, forbidden=1)], False),
    ("no picture", [_hevc(35), _hevc(39)], False),
]


@pytest.mark.parametrize(("units", "droppable"), [rule[1:] for rule in HEVC_RULES], ids=[r[0] for r in HEVC_RULES])
def test_hevc_rules(units: list[bytes], droppable: bool) -> None:
    for length in (4, 2):
        test = droppable_test("hevc", _hvcc(1, length))
        assert test is not None
        assert test(_lengths(*units, size=length)) is droppable


@pytest.mark.parametrize("kind", [32, 33, 34], ids=["video", "sequence", "picture"])
def test_hevc_parameter_sets_are_kept(kind: int) -> None:
    test = droppable_test("hevc", _hvcc(1))
    assert test is not None
    assert not test(_lengths(_hevc(kind), _hevc(0)))


def _vop(kind: int) -> bytes:
    return b"\0\0\1\xb6" + bytes([kind << 6 | 0x11]) + b"\x5a\x5b\x5c"


HEADER = b"\0\0\1\xb3\x10\x20\x30"
I_VOP, P_VOP, B_VOP, S_VOP = map(_vop, (0, 1, 2, 3))
MPEG4_RULES = [
    ("B", B_VOP, True),
    ("two B", B_VOP + B_VOP, True),
    ("B behind user data", b"\0\0\1\xb2DivX503b\0" + B_VOP, True),
    ("I", I_VOP, False),
    ("P", P_VOP, False),
    ("sprite", S_VOP, False),
    ("packed P and B", P_VOP + B_VOP, False),
    ("packed B and P", B_VOP + P_VOP, False),
    ("I behind a header", HEADER + I_VOP, False),
    ("no picture", HEADER, False),
    ("a start code and nothing behind it", b"\0\0\1\xb6", False),
    ("nothing", b"", False),
]


@pytest.mark.parametrize(("data", "droppable"), [rule[1:] for rule in MPEG4_RULES], ids=[r[0] for r in MPEG4_RULES])
def test_mpeg4_rules(data: bytes, droppable: bool) -> None:
    test = droppable_test("mpeg4", None)
    assert test is not None
    assert test(memoryview(data)) is droppable


@pytest.mark.parametrize("codec", ["vp9", "av1", "mpeg2video", "h263", "vvc", "rawvideo"])
def test_other_codecs_drop_nothing(codec: str) -> None:
    assert droppable_test(codec, LENGTH_4) is None
