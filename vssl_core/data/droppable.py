"""Which packets no other frame refers to, told from their first bits: these need not be decoded unless asked for.

Decoders can leave such frames out by themselves (``skip_frame``), but then keep silent about damaged ones: frames that
refer to a broken picture would come out wrong and unmarked. Packets that are not sent cannot hide anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

__all__ = ["Droppable", "droppable_test"]

# Parameter sets are for whatever follows (types 7, 8, 13, 15 of table 7-1; VPS, SPS and PPS of H.265).
_H264_PARAMETERS, _HEVC_PARAMETERS = frozenset({7, 8, 13, 15}), frozenset({32, 33, 34})

#: tells of a packet's bytes whether every picture in it is one that no other refers to
Droppable = Callable[[memoryview], bool]


def droppable_test(codec: str, extradata: bytes | None) -> Droppable | None:
    """Return the test for a stream; ``None`` for codecs whose packets do not tell.

    Args:
        codec: the decoder's name.
        extradata: the stream's configuration record.
    """
    if codec == "h264":
        length = extradata[4] % 4 + 1 if extradata and len(extradata) > 4 and extradata[0] == 1 else 0
        return lambda data: _h264(data, length)
    if codec == "hevc" and extradata and len(extradata) > 21 and extradata[0] == 1:
        # With temporal layers, pictures of a higher one may refer to those that their own layer does not refer to.
        layers, length = extradata[21] >> 3 & 7, extradata[21] % 4 + 1
        return (lambda data: _hevc(data, length)) if layers == 1 else None
    if codec == "mpeg4":
        return _mpeg4
    return None


def _units(data: memoryview, length: int) -> Iterator[int]:
    """Yield where the NAL units of a packet begin; ``length``: bytes of their sizes, 0: start codes divide them."""
    at, end = 0, len(data)
    if length:
        while at + length < end:
            size = int.from_bytes(data[at : at + length], "big")
            yield at + length
            at += length + size
        return
    whole = bytes(data)
    at = whole.find(b"\0\0\1")
    while 0 <= at < end - 3:
        yield at + 3
        at = whole.find(b"\0\0\1", at + 3)


def _h264(data: memoryview, length: int) -> bool:
    """Rec. ITU-T H.264, 7.3.1: forbidden_zero_bit (1), nal_ref_idc (2), nal_unit_type (5); slices have types 1 to 5."""
    pictures = 0
    for at in _units(data, length):
        head = data[at]
        if head & 0x80:
            return False
        if head & 0x1F in _H264_PARAMETERS:
            return False
        if 1 <= head & 0x1F <= 5:
            if head & 0x60:
                return False
            pictures += 1
    return pictures > 0


def _hevc(data: memoryview, length: int) -> bool:
    """Rec. ITU-T H.265, 7.3.1.2 and table 7-1: types 0 to 31 are slices; even ones below 16 are not referred to."""
    pictures = 0
    for at in _units(data, length):
        head = data[at]
        if head & 0x80:
            return False
        kind = head >> 1 & 0x3F
        if kind in _HEVC_PARAMETERS:
            return False
        if kind < 32:
            if kind >= 16 or kind % 2:
                return False
            pictures += 1
    return pictures > 0


def _mpeg4(data: memoryview) -> bool:
    """ISO/IEC 14496-2, 6.2.5: vop_coding_type is two bits behind start code B6, 2 for a B-VOP; packets may hold two."""
    whole, pictures = bytes(data), 0
    at = whole.find(b"\0\0\1\xb6")
    while 0 <= at < len(whole) - 4:
        if whole[at + 4] >> 6 != 2:
            return False
        pictures += 1
        at = whole.find(b"\0\0\1\xb6", at + 4)
    return pictures > 0
