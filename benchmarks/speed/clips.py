"""The video files that readers are measured on, made by fixed commands from one source.

The source is a file of yours, else a piece of real footage below ``$VSSL_REALDATA``, else a generated scene: fine
texture and sharp edges under a moving camera, objects that cross it, and sensor noise. Files are encoded on one thread,
so that the same source and libraries give the same bytes. ``Recipe.command`` says in ffmpeg's words what PyAV does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import click
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

__all__ = ["RECIPES", "Recipe", "default_source", "make_clips", "scene"]

#: raised when the generated scene changes: files made from it before are made anew
_SCENE = 1
_HEIGHT, _WIDTH = 720, 1280
_REAL_FOOTAGE = "oddities/01_multi_stream_2v2a2s.mp4"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a file is encoded."""

    ending: str
    encoder: str
    width: int
    height: int
    fps: int
    options: Mapping[str, str]
    tag: str = ""

    def command(self, name: str, frames: int) -> str:
        """Return the ffmpeg command that says the same."""
        options = " ".join(f"-{key} {value}" for key, value in self.options.items())
        tag = f" -tag:v {self.tag}" if self.tag else ""
        return (
            f"ffmpeg -i SOURCE -map 0:v:0 -frames:v {frames} -vf scale={self.width}:{self.height}:flags=bicubic,"
            f"setpts=N/({self.fps}*TB) -r {self.fps} -pix_fmt yuv420p -c:v {self.encoder}{tag} -threads 1 {options} "
            f"{name}{self.ending}"
        )


def _h264(width: int, height: int, group: int) -> Recipe:
    options = {"preset": "medium", "crf": "23", "bf": "3", "g": str(group)}
    return Recipe(ending=".mp4", encoder="libx264", width=width, height=height, fps=30, options=options)


#: as data sets come: Kinetics as most copies have it, the same with frequent key frames, UCF101, and a camera's 720p
RECIPES = {
    "h264-gop250": _h264(340, 256, 250),
    "h264-gop30": _h264(340, 256, 30),
    "xvid": Recipe(
        ending=".avi",
        encoder="mpeg4",
        width=320,
        height=240,
        fps=25,
        options={"b": "900k", "bf": "0", "g": "300"},
        tag="XVID",
    ),
    "h264-720p": _h264(1280, 720, 250),
}


def default_source() -> Path | None:
    """Return the real footage that ``$VSSL_REALDATA`` offers, or ``None``."""
    root = os.environ.get("VSSL_REALDATA")
    footage = Path(root, _REAL_FOOTAGE) if root else None
    return footage if footage is not None and footage.is_file() else None


def make_clips(folder: Path, names: Sequence[str], *, source: Path | None, frames: int) -> dict[str, Path]:
    """Encode files by their recipes, in one pass over the source; those that are there from the same source are kept.

    Args:
        folder: where they go.
        names: of ``RECIPES``.
        source: a video file; ``None``: the generated scene.
        frames: of each file.

    Returns:
        Their paths, by name.

    Raises:
        click.ClickException: the source holds fewer frames, or cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}{RECIPES[name].ending}" for name in names}
    made_from = {name: _made_from(RECIPES[name], source, frames) for name in names}
    missing = [name for name in names if not paths[name].is_file() or _note(paths[name]) != made_from[name]]
    if missing:
        with ExitStack() as stack:
            encoders = [stack.enter_context(_Encoder(paths[name], RECIPES[name])) for name in missing]
            count = 0
            for frame in _source_frames(source, frames):
                for encoder in encoders:
                    encoder.add(frame)
                count += 1
        if count < frames:
            raise click.ClickException(f"{source}: it holds {count} of {frames} frames; give another --source")
    for name in missing:
        _note_file(paths[name]).write_text(json.dumps(made_from[name]), encoding="utf-8")
    return paths


def _made_from(recipe: Recipe, source: Path | None, frames: int) -> dict[str, object]:
    """Return all that a file's bytes depend on."""
    origin: list[object] = ["scene", _SCENE]
    if source is not None:
        try:
            stat = source.stat()
        except OSError as error:
            raise click.ClickException(f"{source}: cannot be read ({error.strerror}); give another --source") from error
        origin = [str(source.resolve()), stat.st_size, stat.st_mtime_ns]
    libraries = {name: list(version) for name, version in av.library_versions.items()}
    return {"recipe": asdict(recipe), "source": origin, "frames": frames, "libraries": libraries}


def _note_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _note(path: Path) -> object:
    """Return what a file was made from, as is noted beside it."""
    try:
        return json.loads(_note_file(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


class _Encoder:
    """Writes one file."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self._recipe = recipe
        _note_file(path).unlink(missing_ok=True)
        self._container: OutputContainer = av.open(str(path), "w")
        stream = self._container.add_stream(recipe.encoder, rate=recipe.fps, options=dict(recipe.options))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, "yuv420p"
        stream.codec_context.thread_count = 1
        if recipe.tag:
            stream.codec_context.codec_tag = recipe.tag
        self._stream = stream
        self._scaler = VideoReformatter()
        self._count = 0

    def __enter__(self) -> _Encoder:
        return self

    def add(self, frame: av.VideoFrame) -> None:
        """Encode the next frame."""
        recipe = self._recipe
        how = Interpolation.BICUBIC
        picture = self._scaler.reformat(frame, recipe.width, recipe.height, "yuv420p", interpolation=how, threads=1)
        if picture is frame:
            # It passes through as it is; what is set below must not reach the other encoders.
            picture = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
        picture.pts, picture.time_base = self._count, Fraction(1, recipe.fps)
        # Else the source's key frames would be key frames here too.
        picture.pict_type = 0
        self._container.mux(self._stream.encode(picture))
        self._count += 1

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def _source_frames(source: Path | None, frames: int) -> Iterator[av.VideoFrame]:
    if source is None:
        for pixels in scene(frames):
            yield av.VideoFrame.from_ndarray(pixels, format="rgb24")
        return
    try:
        with av.open(str(source)) as container:
            for count, frame in enumerate(container.decode(video=0)):
                if count == frames:
                    return
                yield frame
    except (av.FFmpegError, IndexError, OSError) as error:
        raise click.ClickException(f"{source}: cannot be read ({error}); give another --source") from error


def scene(frames: int, *, height: int = _HEIGHT, width: int = _WIDTH, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield the frames of the generated scene, uint8 RGB ``[height, width, 3]``.

    Args:
        frames: how many.
        height: of a frame.
        width: of a frame.
        seed: of everything in it.
    """
    rng = np.random.default_rng(seed)
    reach = height // 4
    ground = _texture(rng, height + 2 * reach, width + 2 * reach)
    side = height // 4
    objects = [_texture(rng, side, side) for _ in range(5)]
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    disc = np.hypot(rows, columns) < side / 2
    phases, paces = rng.uniform(0, 2 * np.pi, (5, 2)), rng.uniform(0.02, 0.09, (5, 2))
    noise = rng.normal(0, 2.5, (height + 64, width + 64, 3)).round().astype(np.int16)
    for at in range(frames):
        # The camera drifts and trembles a little, as one in a hand.
        top = reach + round(0.9 * reach * np.sin(at * 0.021)) + int(rng.integers(-1, 2))
        left = reach + round(0.9 * reach * np.sin(at * 0.034 + 1)) + int(rng.integers(-1, 2))
        top, left = (int(np.clip(place, 0, 2 * reach)) for place in (top, left))
        picture = ground[top : top + height, left : left + width].copy()
        for pixels, phase, pace in zip(objects, phases, paces, strict=True):
            y, x = ((0.5 + 0.5 * np.sin(phase + pace * at)) * (height - side, width - side)).astype(int)
            picture[y : y + side, x : x + side][disc] = pixels[disc]
        y, x = rng.integers(0, 65, 2)
        picture += noise[y : y + height, x : x + width]
        yield picture.clip(0, 255).astype(np.uint8)


def _texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return int16 ``[height, width, 3]``: detail of every size, as nature has it, over patches with sharp edges."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1.0

    def field(fall: float) -> np.ndarray:
        white = np.fft.rfft2(rng.normal(size=(height, width)))
        coloured = np.fft.irfft2(white / frequency**fall, s=(height, width))
        return (coloured - coloured.mean()) / coloured.std()

    detail = field(1.0)[..., None]
    patch = np.digitize(field(1.8), [-0.8, 0.0, 0.8])
    # In real footage colour varies about a quarter as much as brightness does.
    colours = rng.permutation([70, 105, 140, 175])[:, None] + rng.uniform(-24, 24, (4, 3))
    return (colours[patch] + 26 * detail).round().astype(np.int16)
