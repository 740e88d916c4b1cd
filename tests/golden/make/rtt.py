"""Clips of ``test_tasks_rtt.py``, from the official code.

    git clone https://github.com/sjenni/temporal-ssl
    git -C temporal-ssl checkout 1d89d28c7d0e433439d604911584891b0de118d8
    python tests/golden/make/rtt.py temporal-ssl

``PreprocessorTransform`` is cut out of its file and run on ``tensorflow`` below, which does with NumPy what it needs of
TensorFlow 1. Instead of loading images it hands on their numbers, and what follows the loading leaves them alone.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from official import checkout, compare, cut, finish, golden_test

COMMIT = "1d89d28c7d0e433439d604911584891b0de118d8"
CLASSES = ("speed", "periodic", "random", "warp")  # in the order of what it returns
DRAWS = 6000


class Numbers(np.ndarray):
    """Frame numbers, which the code takes for images."""

    def set_shape(self, shape: Sequence[int]) -> None:
        """Do nothing: the shape told is that of images."""


def tensorflow(rng: np.random.Generator) -> SimpleNamespace:
    """Stand for the functions of TensorFlow 1 that choose frames."""

    def uniform(shape: Sequence[int], minval: int, maxval: int, dtype: Any) -> Any:
        return rng.integers(minval, maxval, size=shape, dtype=dtype)

    def span(start: int, limit: int, delta: int = 1) -> np.ndarray:
        return np.arange(start, limit, delta, dtype=np.int64)

    def crop(values: np.ndarray, size: Sequence[int]) -> np.ndarray:
        start = rng.integers(0, len(values) - size[0] + 1)
        return values[start : start + size[0]]

    def gather(values: np.ndarray, places: np.ndarray) -> np.ndarray:
        # As TensorFlow on a CPU, where a place beyond the end is an error.
        if places.min() < 0 or places.max() >= len(values):
            raise IndexError(f"{places} of {len(values)}")
        return values[places]

    def cond(test: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        return true_fn() if test else false_fn()

    return SimpleNamespace(
        int64=np.int64,
        random=SimpleNamespace(uniform=uniform),
        random_crop=crop,
        random_shuffle=rng.permutation,
        range=span,
        gather=gather,
        cond=cond,
        cast=lambda value, dtype: np.asarray(value).astype(dtype),
        constant=lambda value, dtype: np.array(value, dtype=dtype),
        concat=np.concatenate,
        cumsum=np.cumsum,
        greater=np.greater,
        log=np.log,
        minimum=np.minimum,
        reverse=np.flip,
        sort=np.sort,
        stack=np.stack,
    )


def drawn(transform: type, frames: int) -> tuple[dict[tuple[str, int], set[tuple[int, ...]]], int]:
    """Every clip that came, counted from its lowest frame, by class and speed; and how many draws ended in an error."""

    class OfNumbers(transform):  # type: ignore[misc, valid-type]
        def load_inds(self, example: Any, inds: np.ndarray) -> np.ndarray:
            return inds.view(Numbers)

        def color_scale_vid(self, vid: np.ndarray) -> np.ndarray:
            return vid

        def resize_crop(self, vid: np.ndarray) -> np.ndarray:
            return vid

    came: defaultdict[tuple[str, int], set[tuple[int, ...]]] = defaultdict(set)
    errors = 0
    preprocessor = OfNumbers(frames, n_speeds=3)
    for _ in range(DRAWS):
        try:
            clips, speed, _ = preprocessor.process_train({"num_frames": np.int64(60)})
        except IndexError:
            errors += 1
            continue
        for name, clip in zip(CLASSES, clips, strict=True):
            came[name, 2 ** int(speed)].add(tuple((clip - clip.min()).tolist()))
    return came, errors


def main(path: str) -> int:
    code = checkout(path, COMMIT) / "PreprocessorVideoSSL.py"
    official = cut(code, "PreprocessorTransform", "log2", tf=tensorflow(np.random.default_rng(0)))
    test = golden_test("test_tasks_rtt")
    of_four, errors = drawn(official["PreprocessorTransform"], 4)
    of_six, _ = drawn(official["PreprocessorTransform"], 6)
    print(f"warping four frames by a step of 4 four times leaves the code's range: {errors} of {DRAWS} draws left out")

    for (frames, speed), stored in test.PERIODIC.items():
        came = {4: of_four, 6: of_six}[frames]
        compare(f"PERIODIC[{frames}, {speed}]", sorted(came["periodic", speed]), sorted(stored))
    for speed, clip in test.SPEED.items():
        compare(f"SPEED[{speed}]", sorted(of_six["speed", speed]), [clip])
    compare("speeds", sorted({speed for _, speed in (*of_four, *of_six)}), sorted(test.SPEED))
    for speed in test.SPEED:
        compare(f"RANDOM at speed {speed}", sorted(of_four["random", speed]), sorted(test.RANDOM))
    warped = set().union(*(of_four["warp", speed] for speed in test.SPEED))
    compare("WARP", sorted(warped), sorted(test.WARP))
    return finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
