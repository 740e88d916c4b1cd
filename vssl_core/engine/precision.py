"""Which device and which number format a run uses."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from vssl_core.errors import ConfigError

__all__ = ["Precision", "pick_device", "pick_precision"]


def pick_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` into a device that is there.

    Raises:
        ConfigError: the device does not exist on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device={name} is no device; expected auto, cpu, cuda, cuda:N or mps") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise ConfigError(f"device={name} is not on this machine; use device=auto, or run 'vssl doctor' to see what is")
    return device


@dataclass(frozen=True, slots=True)
class Precision:
    """A number format: its name, the autocast type (None: full precision) and whether gradients are scaled."""

    name: str
    dtype: torch.dtype | None
    scaled: bool

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the context in which the forward pass runs."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(device.type, dtype=self.dtype)


def pick_precision(name: str, device: torch.device) -> Precision:
    """Turn ``auto``, ``fp32``, ``bf16`` or ``fp16`` into a format for the device.

    ``auto`` is bf16 on GPUs that have it, fp16 on older ones, and fp32 elsewhere: without bf16 instructions a CPU is
    several times slower in bf16 than in fp32.

    Raises:
        ConfigError: fp16 was asked for without a CUDA device (its small gradients need a scaler).
    """
    if name == "auto":
        if device.type != "cuda":
            name = "fp32"
        else:
            name = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if name == "fp32":
        return Precision("fp32", None, False)
    if name == "bf16":
        return Precision("bf16", torch.bfloat16, False)
    if device.type != "cuda":
        raise ConfigError(
            f"precision=fp16 needs a CUDA device, this run is on {device.type}; use precision=fp32 or bf16"
        )
    return Precision("fp16", torch.float16, True)
