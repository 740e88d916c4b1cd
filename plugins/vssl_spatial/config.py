"""Options of the puzzles: ``jigsaw``, ``cubic-puzzle``, ``rotation`` and ``cloze``."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import ClipOptions, option

__all__ = ["ClozeConfig", "CubicPuzzleConfig", "JigsawConfig", "RotationConfig"]


@dataclass(kw_only=True, slots=True)
class JigsawConfig(ClipOptions):
    """Put the tiles of a frame in order."""

    frames: int = option(1, "frames read of each video; each is a puzzle of its own", minimum=1)
    stride: int = option(8, "distance between two of them, in frames of the video", minimum=1)
    size: int = option(64, "height and width of a tile, which is the network's input, in pixels", minimum=8)
    read_size: int = option(
        0, "height and width that are decoded; 0: those of the puzzle, grid x (size + gap)", minimum=0
    )
    crop_scale: float = option(
        1.0,
        "smallest part of the frame's area that the puzzle covers; 1: the puzzle is cut out at its own size",
        minimum=0.05,
        maximum=1.0,
    )
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter of a puzzle; 0: none", minimum=0.0, maximum=1.0
    )
    grid: int = option(3, "tiles in a row and in a column", minimum=2, maximum=3)
    permutations: int = option(100, "orders that are told apart, chosen to differ in many places", minimum=2)
    permutation_seed: int = option(0, "another seed gives another set of orders", minimum=0)
    gap: int = option(21, "pixels by which a tile may move in its cell, so that tiles do not touch; 0: none", minimum=0)
    grey: float = option(0.3, "probability of a grey puzzle", minimum=0.0, maximum=1.0)
    channel_shift: int = option(
        2, "pixels by which the colour channels of a tile are moved against each other; 0: none", minimum=0
    )
    normalise_tiles: bool = option(True, "bring every tile to one mean and one deviation")
    hidden: int = option(1024, "features of a tile after its own layer", minimum=1)
    joint: int = option(4096, "features of all tiles together", minimum=1)
    dropout: float = option(0.5, "dropout after both hidden layers", minimum=0.0, maximum=0.99)


@dataclass(kw_only=True, slots=True)
class CubicPuzzleConfig(ClipOptions):
    """Put four pieces of a video, side by side or one after the other, in order."""

    frames: int = option(16, "frames a piece", minimum=1)
    stride: int = option(1, "distance between two of them, in frames of the video", minimum=1)
    size: int = option(80, "height and width of a piece, which is the network's input, in pixels", minimum=8)
    read_size: int = option(0, "height and width that are decoded; 0: those of the puzzle, 2 x (size + gap)", minimum=0)
    crop_scale: float = option(
        1.0,
        "smallest part of the frame's area that the puzzle covers; 1: the puzzle is cut out at its own size",
        minimum=0.05,
        maximum=1.0,
    )
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter of a puzzle; 0: none", minimum=0.0, maximum=1.0
    )
    dimensions: list[str] = option(["space", "time"], "what puzzles are made of: space, time or both, by equal chance")
    gap: int = option(32, "pixels by which a piece may move in its cell, each way; 0: pieces touch", minimum=0)
    gap_frames: int = option(
        16, "frames of the video by which a piece may move in its cell of time; 0: pieces touch", minimum=0
    )
    channel_replication: float = option(
        1.0,
        "probability that one colour channel, the same for all pieces, replaces all three",
        minimum=0.0,
        maximum=1.0,
    )
    upside_down: bool = option(False, "turn half of the puzzles by 180 degrees and ask for that too: 48 classes")
    hidden: int = option(512, "features of the four pieces together", minimum=1)
    dropout: float = option(0.5, "dropout before the last layer", minimum=0.0, maximum=0.99)


@dataclass(kw_only=True, slots=True)
class RotationConfig(ClipOptions):
    """By how many quarters of a circle a clip was turned."""

    read_size: int = option(136, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    crop_scale: float = option(
        0.68, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    tilt: float = option(
        10.0,
        "largest angle by which a clip is tilted before it is turned, in degrees; 0: none",
        minimum=0.0,
        maximum=45,
    )
    every_turn: bool = option(True, "show each clip at all four turns; false: at one that is drawn")


@dataclass(kw_only=True, slots=True)
class ClozeConfig(ClipOptions):
    """What was done to the middle one of three clips."""

    frames: int = option(16, "frames a clip", minimum=4)
    stride: int = option(1, "distance between two frames of a clip, in frames of the video", minimum=1)
    read_size: int = option(128, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    crop_scale: float = option(
        0.766, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    short_video: str = option(
        "fitting",
        "a video without room for a remote clip: fitting (other operations are drawn) or error (left out and named)",
        choices=("fitting", "error"),
    )
    gap: int = option(8, "frames left out between one clip and the next", minimum=0)
    distance: int = option(16, "least number of frames between the three clips and a remote one", minimum=0)
    operations: list[str] = option(
        ["original", "rotation", "permutation", "adjacent", "remote"],
        "the classes: original, rotation and permutation (of space), adjacent and remote (shuffling of time)",
    )
    shared_draw: bool = option(False, "one crop, flip and colour draw for all clips of a video instead of one a clip")
    hidden: int = option(0, "features of the three clips together before the last layer; 0: none", minimum=0)
