"""Random numbers that are a pure function of (seed, stream): the same on any device, in any split of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["permutations", "split_seeds", "uniform"]


def _signed(value: int) -> int:
    """Return an unsigned 64-bit constant as the int64 with the same bits."""
    return value - (1 << 64) if value >= 1 << 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_STREAM = _signed(0xD1B54A32D192ED03)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)


def _shift_right(value: Tensor, bits: int) -> Tensor:
    """Shift int64 right and fill with zeros: torch's ``>>`` would copy the sign bit."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _mix(value: Tensor) -> Tensor:
    """SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014, fig. 17 variant 13), int64 arithmetic wraps."""
    value = (value ^ _shift_right(value, 30)) * _MIX_1
    value = (value ^ _shift_right(value, 27)) * _MIX_2
    return value ^ _shift_right(value, 31)


def _bits(seeds: Tensor, n: int, stream: int) -> Tensor:
    """Return int64 ``[B, n]`` of which every bit is random."""
    counter = torch.arange(1, n + 1, dtype=torch.int64, device=seeds.device)
    offset = torch.tensor(stream, dtype=torch.int64, device=seeds.device) * _STREAM
    base = _mix(seeds.to(torch.int64) + offset)
    return _mix(base[:, None] + counter * _GOLDEN)


def uniform(seeds: Tensor, n: int, *, stream: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw ``n`` uniform numbers per sample.

    Args:
        seeds: int64 ``[B]``, as in ``Batch.seeds``.
        n: draws per sample.
        stream: draws of different streams are independent; give every use its own.
        low: lower end, included.
        high: upper end.

    Returns:
        float32 ``[B, n]`` in [low, high).
    """
    # 24 bits are what a float32 in [0, 1) holds exactly.
    fraction = _shift_right(_bits(seeds, n, stream), 40).to(torch.float32) * 2.0**-24
    return fraction * (high - low) + low


def permutations(seeds: Tensor, n: int, *, stream: int) -> Tensor:
    """Draw one uniform permutation of ``0 .. n-1`` per sample: int64 ``[B, n]``."""
    return torch.argsort(_bits(seeds, n, stream), dim=1, stable=True)


def split_seeds(seeds: Tensor, n: int, *, stream: int) -> Tensor:
    """Make ``n`` independent seeds of each one, for its pieces or frames: int64 ``[B]`` -> ``[B, n]``."""
    return _bits(seeds, n, stream)
