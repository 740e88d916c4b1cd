"""How far apart are the numbers that the golden tests compare? The largest difference of each file.

    python tests/golden/differences.py

The tests are run as they are, and every comparison of numbers (``torch.testing.assert_close``, ``numpy``'s
``assert_allclose``, ``math.isclose``, ``pytest.approx``) is noted before it is made. 0 is equality to the last bit, and
so is what stands in no row: it is compared with ``==`` or ``torch.equal``. The relative difference is that to the
largest number compared with.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

_HERE = Path(__file__).parent


class Differences:
    """Notes the largest difference of every test file; a plugin of pytest."""

    def __init__(self) -> None:
        self.found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._file = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Know whose comparisons follow."""
        self._file = item.path.name

    def note(self, actual: Any, expected: Any) -> None:
        """Note how far apart two arrays of numbers are; what is no number, or of another shape, is left to the test."""
        try:
            a, b = (_numbers(value) for value in (actual, expected))
        except (TypeError, ValueError, RuntimeError):
            return
        if a.shape != b.shape:
            return
        gap = np.abs(a - b)
        # Equal infinities, masks of losses, are no difference.
        largest = float(np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, gap).max(initial=0.0))
        scale = float(np.abs(b[np.isfinite(b)]).max(initial=0.0))
        self.found[self._file].append((largest, largest / scale if scale else 0.0))

    def watch(self, owner: Any, name: str) -> None:
        """Note what a comparison of ``owner`` is given, then let it compare."""
        compare: Callable[..., Any] = getattr(owner, name)

        def noted(actual: Any, expected: Any, *args: Any, **kwargs: Any) -> Any:
            self.note(actual, expected)
            return compare(actual, expected, *args, **kwargs)

        setattr(owner, name, noted)

    def watch_approx(self) -> None:
        """``pytest.approx`` compares scalar by scalar, with the expected one inside."""
        scalar: Any = type(pytest.approx(1.0))  # it has no public name, and has had several homes
        compare = scalar.__eq__

        def noted(approx: Any, actual: object) -> bool:
            self.note(actual, approx.expected)
            return bool(compare(approx, actual))

        scalar.__eq__ = noted


def _numbers(value: Any) -> NDArray[np.float64]:
    """In double precision, and a Python float as it is: as a tensor it would be rounded to single."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
    return np.asarray(value, dtype=np.float64)


def main() -> int:
    """Run the golden tests and print the table."""
    differences = Differences()
    differences.watch(torch.testing, "assert_close")
    differences.watch(np.testing, "assert_allclose")
    differences.watch(math, "isclose")
    differences.watch_approx()
    status = pytest.main(["-q", "-p", "no:cacheprovider", str(_HERE)], plugins=[differences])
    table = Table(title="largest difference of the numbers compared", title_justify="left")
    for heading in ("file", "comparisons", "largest", "relative"):
        table.add_column(heading, justify="left" if heading == "file" else "right")
    for file, gaps in sorted(differences.found.items()):
        worst = [max(column) for column in zip(*gaps, strict=True)]
        table.add_row(file, str(len(gaps)), *(f"{gap:.1e}" if gap else "0" for gap in worst))
    Console().print(table)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
