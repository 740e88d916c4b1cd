"""Options of the launchers."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import option

__all__ = ["LocalLauncher"]


@dataclass(kw_only=True, slots=True)
class LocalLauncher:
    """Worker processes on this machine."""

    workers: int = option(0, "jobs at a time; 0: one a GPU, or without GPU one a core (8 at most)", minimum=0)
    threads: int = option(0, "threads a worker; 0: cores // workers", minimum=0)
    gpus: int = option(-1, "GPUs dealt to the workers in turn; 0: none; -1: all that are visible", minimum=-1)
    grace_s: float = option(10.0, "seconds a worker has to end a job that is stopped, before it is killed", minimum=0.0)
