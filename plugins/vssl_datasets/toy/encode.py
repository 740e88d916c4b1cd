"""Writing a video as H.264 in an mp4 file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

# Every frame is an intra frame at a constant quantiser. A predicted frame keeps traces of the
# frames before it, and rate control spends bits by what moves: either would let a single decoded
# frame tell how the sprite moves. Coded this way, a frame's bits depend on that frame alone.
OPTIONS = {
    "preset": "veryfast",
    "qp": "16",
    "g": "1",
    "bf": "0",
    "threads": "1",  # the bits must not depend on the machine's core count
}


def encode(frames: NDArray[np.uint8], path: Path, fps: int) -> None:
    """Write uint8 [T, H, W, 3] RGB frames to ``path`` as an H.264 mp4 (yuv420p) at ``fps``."""
    with av.open(str(path), mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options=dict(OPTIONS))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def codec_versions() -> dict[str, str]:
    """Return the versions of PyAV and of the libavcodec it links, for the record."""
    libavcodec = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return {"av": av.__version__, "libavcodec": libavcodec}
