"""How a check fails: with what was found, what the contract says, and for which component."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from vssl_core.components import describe
from vssl_core.plugins import Entry

__all__ = ["ConformanceError", "Expect", "untouched_generators"]


class ConformanceError(AssertionError):
    """A component does not keep its contract."""


class Expect:
    """Raises ``ConformanceError`` about one component.

    Args:
        subject: what is checked; put before every message.
    """

    def __init__(self, subject: Entry | str) -> None:
        self.subject = subject if isinstance(subject, str) else describe(subject)

    def __call__(self, condition: object, message: str) -> None:
        """Raise ``ConformanceError`` with ``message`` unless ``condition`` holds."""
        if not condition:
            raise ConformanceError(f"{self.subject}: {message}")


@contextmanager
def untouched_generators(expect: Expect, what: str) -> Iterator[None]:
    """Check that the block draws nothing from the global generators of Python, numpy and torch."""
    before = (random.getstate(), repr(np.random.get_state(legacy=False)), torch.get_rng_state())
    yield
    expect(random.getstate() == before[0], f"{what} draws from Python's global generator; draw from what is passed in")
    expect(
        repr(np.random.get_state(legacy=False)) == before[1],
        f"{what} draws from numpy's global generator; draw from what is passed in",
    )
    expect(
        torch.equal(torch.get_rng_state(), before[2]),
        f"{what} draws from torch's global generator; draw from the batch's seeds (vssl_core.data.draws)",
    )
