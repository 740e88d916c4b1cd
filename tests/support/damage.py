"""Videos that are turned, damaged or hard to copy: their bytes changed, and scenes as cameras see them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from support.videos import write_video


def set_display_matrix(path: Path, matrix: Sequence[int]) -> None:
    """Write a, b, c, d of the track header of an mp4 file (ISO/IEC 14496-12, 8.3.2), in whole units."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value * 0x10000 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(data)


def packet_places(path: Path) -> list[tuple[int, int]]:
    """Position and size in the file of every video packet, in decoding order."""
    with av.open(str(path)) as container:
        found = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    return [(pos, size) for pos, size in found if pos is not None]


def overwrite_packets(path: Path, numbers: Sequence[int]) -> None:
    """Overwrite the pictures of some packets of a length-prefixed H.264 file; sizes stay as they are."""
    places = packet_places(path)
    data = bytearray(path.read_bytes())
    for number in numbers:
        pos, size = places[number]
        data[pos + 4 : pos + size] = b"\xff" * (size - 4)
    path.write_bytes(data)


def flip_bits(path: Path, count: int, seed: int) -> None:
    """Flip bits all over the pictures of a file, the first among them."""
    rng = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    places = packet_places(path)
    first, size = places[0]
    spots = [first + size // 2, *rng.integers(first, places[-1][0], count).tolist()]
    for spot in spots:
        data[spot] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


def write_sound(path: Path, seconds: float = 1.0) -> Path:
    """Write a file that holds nothing but a tone."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000)
        stream.layout = "mono"
        samples = np.sin(np.arange(int(16000 * seconds)) / 20).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def natural_scene(n_frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [n_frames, height, width, 3]: detail at every scale that falls off as in photographs, panned and lit."""
    rng = np.random.default_rng(seed)
    tall, wide = height + n_frames, width + 2 * n_frames
    fy, fx = np.meshgrid(np.fft.fftfreq(tall), np.fft.fftfreq(wide), indexing="ij")
    falloff = 1 / np.maximum(np.hypot(fy, fx), 1 / max(tall, wide)) ** 1.4
    noise = np.fft.fft2(rng.standard_normal((3, tall, wide)), axes=(1, 2))
    field = np.fft.ifft2(noise * falloff, axes=(1, 2)).real
    # Most of what differs between pixels is brightness.
    field = 0.8 * field[:1] + 0.2 * field
    field = 128 + 45 * field / field.std()
    frames = np.stack([field[:, at : at + height, 2 * at : 2 * at + width] + 0.3 * at for at in range(n_frames)])
    return np.clip(np.moveaxis(frames, 1, -1), 0, 255).astype(np.uint8)


def write_frames_folder(folder: Path, frames: np.ndarray, ending: str = "png", name: str = "img_{}") -> Path:
    """Write uint8 [T, H, W, 3] as pictures whose numbers are not padded."""
    from PIL import Image

    folder.mkdir(parents=True)
    for at, pixels in enumerate(frames):
        Image.fromarray(pixels).save(folder / f"{name.format(at)}.{ending}")
    return folder


def turned_video(path: Path, frames: np.ndarray, matrix: Sequence[int]) -> Path:
    """Write an mp4 file whose track header turns or mirrors it."""
    write_video(path, frames)
    set_display_matrix(path, matrix)
    return path
