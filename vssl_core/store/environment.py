"""What a result was made with: versions, machine, commit."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

import vssl_core

__all__ = ["environment"]

_LIBRARIES = ("torch", "torchvision", "timm", "av", "numpy", "scipy", "scikit-learn", "omegaconf", "safetensors")


def _git() -> dict[str, Any]:
    """Commit of the source tree that vssl is imported from; None for an installed wheel."""
    root = Path(vssl_core.__file__).resolve().parent.parent
    if not (root / "pyproject.toml").exists():
        return {"commit": None, "dirty": None}

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    status = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(status) if status is not None else None}


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def environment(device: torch.device) -> dict[str, Any]:
    """Return the environment part of a record; no user, host or path is in it."""
    libraries = {"vssl": vssl_core.__version__}
    for name in _LIBRARIES:
        try:
            libraries[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "git": _git(),
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}",
        "libraries": libraries,
        "device": {"type": device.type, "name": _device_name(device), "threads": torch.get_num_threads()},
    }
