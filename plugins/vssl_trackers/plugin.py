"""What this package offers: listeners that get a copy of a run's metrics."""

from __future__ import annotations

from collections.abc import Iterable

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_trackers"]


@hookimpl
def vssl_trackers() -> Iterable[Spec]:
    """Offer ``jsonl`` and ``wandb``."""
    yield Spec(
        name="jsonl",
        target="vssl_trackers.jsonl:JsonLines",
        summary="metrics.jsonl in the run's folder, one line a logged step",
    )
    yield Spec(
        name="wandb",
        target="vssl_trackers.wandb_run:WandbRun",
        config="vssl_trackers.config:Wandb",
        summary="Weights & Biases, one run a job; offline where there is no key or no network",
        recipes={"online": {"mode": "online"}, "offline": {"mode": "offline"}},
    )
