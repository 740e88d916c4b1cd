"""Options of the trackers."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import option

__all__ = ["Wandb"]


@dataclass(kw_only=True, slots=True)
class Wandb:
    """Weights & Biases."""

    mode: str = option(
        "auto",
        "auto ($WANDB_MODE, else online where there is a key), online, offline or disabled",
        choices=("auto", "online", "offline", "disabled"),
    )
    project: str = option("", "project; empty: $WANDB_PROJECT, else vssl")
    entity: str = option("", "user or team; empty: $WANDB_ENTITY, else the key's own")
    init_timeout_s: float = option(15.0, "seconds to wait for the server before going on offline", minimum=1.0)
    finish_timeout_s: float = option(60.0, "seconds to wait for uploads at the end of a run", minimum=1.0)
    system_stats: bool = option(False, "whether processor, memory and GPU use are logged")
