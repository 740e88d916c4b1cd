"""Opening a video file, and nothing but a video file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vssl_core.errors import ClipError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["decoded", "open_video"]

# Demuxers of files that hold their own frames. Playlists (hls, concat, dash, imf), image sequences and devices are left
# out: a file of that kind makes libav open other files that the file names.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,gif,mpegts,mpeg,mpegvideo,m4v,h261,h263,h264,hevc,vvc,av1,obu,"
    "ivf,mjpeg,mjpeg_2000,asf,rm,ogg,mxf,nut,dv,vc1,vc1test,wtv,yuv4mpegpipe,apng,swf,roq,smk,bink,dirac,cavsvideo,amv,mp3,"
    "wav,flac,aac"
)


# Without a decoder libavformat cannot analyse streams, which it does by decoding their first pictures: a tenth of the
# time that a clip takes, for what the index knows already.
_UNANALYSED = {"codec_whitelist": "none", "probesize": "32", "analyzeduration": "1"}


@contextmanager
def open_video(source: str, *, analyse: bool = True) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a local file; give its container and its main video stream, which decodes on one thread.

    Args:
        source: path of the file.
        analyse: let libavformat decode the first pictures to complete what the header says. Without it opening is
            several times faster, but some containers then give other timestamps: ``FrameTable.plain`` tells which.

    Raises:
        ClipError: no such file, not a video, or a playlist that would make other files or addresses be opened.
    """
    import av
    from av.stream import Discard, Disposition

    path = Path(source).absolute()
    if not path.is_file():
        raise ClipError(f"{source}: no such file")
    try:
        container = av.open(
            str(path),
            metadata_errors="replace",
            container_options={
                "protocol_whitelist": "file",
                "format_whitelist": _FORMATS,
                **({} if analyse else _UNANALYSED),
            },
        )
    except (av.FFmpegError, ValueError, OSError) as error:
        raise ClipError(f"{source}: not a readable video ({_reason(error)})") from error
    with container:
        stream = cast("VideoStream | None", container.streams.best("video"))
        if stream is None or stream.codec_context is None:
            raise ClipError(f"{source}: no video stream that can be decoded")
        if stream.disposition & Disposition.attached_pic:
            raise ClipError(f"{source}: no video stream but a picture that is attached to its sound, such as a cover")
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        # Loader workers are the parallelism; frame threads would also delay every frame after a seek.
        stream.codec_context.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        yield container, stream


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield frames in display order from where the container stands, up to the first packet that cannot be decoded.

    Raises:
        av.FFmpegError: a damaged packet; every frame that was decoded before it has been yielded.
    """
    import av

    for packet in container.demux(stream):
        # The last packet of a truncated file: it would decode to half a picture.
        if packet.is_corrupt:
            continue
        try:
            frames = packet.decode()
        except av.FFmpegError:
            # What waits in the decoder for its turn in display order is whole.
            yield from stream.codec_context.decode(None)
            raise
        yield from frames


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error)
