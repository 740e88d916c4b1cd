"""vssl from Python and notebooks: ``pretrain``, ``evaluate``, ``load_encoder``.

>>> from vssl_core.api import evaluate, load_encoder, pretrain
>>> run = pretrain(task="rtt@tiny", data="toy-motion", steps=100)
>>> record = evaluate(run, protocol="linear-probe@tiny", label="motion")
>>> encoder = load_encoder(run)

The board as a data frame comes from the harness: ``from vssl_bench.api import leaderboard``.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vssl_core.config.compose import typed
from vssl_core.config.schema import PretrainConfig, TransferConfig
from vssl_core.plugins import Registry

if TYPE_CHECKING:
    from torch import nn

    from vssl_core.engine.loop import Progress
    from vssl_core.engine.pretrain import Run

__all__ = ["evaluate", "load_encoder", "pretrain"]


def pretrain(
    config: PretrainConfig | None = None,
    *,
    registry: Registry | None = None,
    suite: str = "",
    progress: Progress | None = None,
    rehearse: bool = True,
    **options: Any,
) -> Run:
    """Pretrain a backbone on a task; a run that is done already is returned at once.

    Args:
        config: the whole configuration, or None to make it from ``options`` over the defaults.
        registry: the components to choose from; None: discover them.
        suite: name under which trackers group the run.
        progress: called as ``progress(phase, done, total, metrics)``.
        rehearse: take a made-up batch through a new run first, on the CPU; False for what runs on a GPU alone.
        **options: fields of ``PretrainConfig``, such as ``task="rtt@tiny", steps=100, optim={"lr": 1e-3}``.

    Returns:
        The run: ``folder`` and ``record``.

    Raises:
        ConfigError: an option is unknown or wrong, or the first batch of a new run would fail.
        CheckpointError: the folder holds a checkpoint of another run, or a damaged one.
    """
    from vssl_core.engine.pretrain import run_pretrain

    chosen = config if config is not None else typed(PretrainConfig, options)
    found = registry or Registry.discover()
    return run_pretrain(chosen, found, suite=suite, progress=progress, rehearsed=not rehearse)


def evaluate(
    run: Run | str | PathLike[str] | None = None,
    config: TransferConfig | None = None,
    *,
    registry: Registry | None = None,
    suite: str = "",
    progress: Progress | None = None,
    **options: Any,
) -> Mapping[str, Any]:
    """Measure a run's encoder under a protocol and return the record.

    Args:
        run: what ``pretrain`` returned, or a run's folder; None where ``config`` names it.
        config: the whole configuration, or None to make it from ``options`` over the defaults.
        registry: the components to choose from; None: discover them.
        suite: name under which trackers group the run.
        progress: called as ``progress(phase, done, total, metrics)``.
        **options: fields of ``TransferConfig``, such as ``protocol="knn@tiny", label="motion"``.

    Raises:
        ConfigError: an option is unknown or wrong.
        CheckpointError: the run has no finished encoder.
        DataError: pretraining and test videos overlap.
    """
    from vssl_core.transfer.evaluate import run_transfer

    if config is None:
        if run is None:
            raise TypeError("evaluate needs a run or a config")
        config = typed(TransferConfig, {"run": str(_folder(run)), **options})
    return run_transfer(config, registry or Registry.discover(), suite=suite, progress=progress)


def load_encoder(run: Run | str | PathLike[str], *, registry: Registry | None = None) -> nn.Module:
    """Return a finished run's encoder in eval mode on the CPU: float ``[B, 3, T, H, W]`` in [0, 1] -> ``Features``.

    Raises:
        CheckpointError: the folder holds no finished encoder.
    """
    from vssl_core.engine.encoders import load_encoder as load

    encoder, _ = load(_folder(run), registry or Registry.discover())
    return encoder


def _folder(run: Run | str | PathLike[str]) -> Path:
    return Path(run) if isinstance(run, (str, PathLike)) else run.folder
