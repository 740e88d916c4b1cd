"""What this machine has, found out without importing torch."""

from __future__ import annotations

import os
import shutil
import subprocess

__all__ = ["cores", "visible_gpus", "worker_environment"]

#: read once by the numeric libraries when they load, so they must be set before torch is imported
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def visible_gpus() -> list[str]:
    """Return the CUDA devices that a child process would see, as ``CUDA_VISIBLE_DEVICES`` spells them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listing = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(i) for i, line in enumerate(line for line in listing.splitlines() if line.startswith("GPU "))]


def worker_environment(threads: int, gpu: str | None) -> dict[str, str]:
    """Return the environment of a worker: this one's, with its threads and its GPU (``None``: as it is)."""
    environment = dict(os.environ)
    environment.update({name: str(threads) for name in _THREAD_VARIABLES})
    environment["PYTHONUNBUFFERED"] = "1"
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    return environment
