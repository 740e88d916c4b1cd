"""How long a file says it is: one that was cut short holds fewer bytes than its own header promises.

A demuxer reads a Matroska or AVI file to wherever it ends and calls that its end. The sizes in their headers tell:
RFC 8794, section 6.2 (EBML data sizes), RFC 9559, section 5.1 (the Segment), and the RIFF chunk of AVI.
"""

from __future__ import annotations

import os

__all__ = ["cut_short"]

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
# The EBML header is some forty bytes; whatever fills more than this is none.
_HEAD = 4096


def cut_short(source: str) -> str:
    """Return what is missing of a Matroska, WebM or AVI file, in words; empty where nothing is, or nothing is promised.

    Args:
        source: path of a local file.

    Raises:
        OSError: it cannot be read.
    """
    with open(source, "rb") as handle:
        head, held = handle.read(_HEAD), os.fstat(handle.fileno()).st_size
    promised = _matroska(head) or _avi(head)
    if promised <= held:
        return ""
    return f"the file holds {held} of the {promised} bytes that its header promises"


def _matroska(head: bytes) -> int:
    """Return where the segment ends; 0: it is no such file, or was written without knowing its end."""
    if not head.startswith(_EBML):
        return 0
    size, at = _data_size(head, len(_EBML))
    at += size
    if size < 0 or head[at : at + len(_SEGMENT)] != _SEGMENT:
        return 0
    size, at = _data_size(head, at + len(_SEGMENT))
    return at + size if size >= 0 else 0


def _data_size(data: bytes, at: int) -> tuple[int, int]:
    """Return an EBML data size, -1: unknown, and where what it measures begins."""
    if at >= len(data) or not data[at]:
        return -1, at
    # The position of the first set bit is the number of bytes; the bits behind it are the number; all ones: unknown.
    length = 9 - data[at].bit_length()
    bits = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
    return (-1 if bits == (1 << 7 * length) - 1 else bits), at + length


def _avi(head: bytes) -> int:
    """Return where the first RIFF chunk ends: all of a file, or a part of a long one; 0: it is no AVI file."""
    if head[:4] != b"RIFF" or head[8:12] != b"AVI ":
        return 0
    size = int.from_bytes(head[4:8], "little")
    # Written to where it could not go back to its header.
    return 0 if size in (0, 0xFFFFFFFF) else size + 8
