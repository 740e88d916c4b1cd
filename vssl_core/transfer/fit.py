"""Training on labels inside a protocol, by the loop that also pretrains."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vssl_core.config.compose import typed
from vssl_core.config.schema import LoaderConfig, OptimConfig
from vssl_core.contracts import Batch, FitResult, Reader, Targets, Video
from vssl_core.data.cache import CachedReader, Picture
from vssl_core.data.loader import Loader, Quarantine
from vssl_core.engine.checkpoint import weights_sha
from vssl_core.engine.loop import Progress, TrainOptions, to_device, train
from vssl_core.engine.precision import pick_precision
from vssl_core.engine.source import planned_sizes
from vssl_core.errors import ConfigError
from vssl_core.store.identity import identity_hash

__all__ = ["fit_module"]


@dataclasses.dataclass(slots=True)
class _LabelledSource:
    """The batches of one loader, as the training loop wants them."""

    loader: Loader

    def batches(self, start_step: int, total_steps: int) -> Iterator[Batch]:
        return self.loader.batches(start_step, total_steps)

    def state(self) -> Mapping[str, Any]:
        return {"unreadable": dict(self.loader.quarantine.reasons)}

    def restore(self, state: Mapping[str, Any]) -> None:
        for video_id, reason in state["unreadable"].items():
            self.loader.quarantine.add(video_id, reason)


def fit_module(
    module: Any,
    *,
    videos: Mapping[str, Sequence[Video]],
    targets: Mapping[str, Targets],
    open_reader: Callable[[Sequence[Picture]], Reader],
    steps: int,
    batch_size: int,
    optim: Mapping[str, Any],
    loader: LoaderConfig,
    device: torch.device,
    seed: int,
    checkpoints: Path,
    progress: Progress | None,
) -> tuple[FitResult, int, dict[str, dict[str, str]]]:
    """Train a task-like module on ``fit`` videos and validate it on all ``val`` videos; batches carry
    ``targets["label"]``.

    Args:
        module: has the methods of a ``PretextTask``; trained in place, then in eval mode.
        videos: ``"fit"`` and ``"val"``.
        targets: their labels, of kind ``"class"``.
        open_reader: returns a reader for the sizes that the module's planner asks for.
        steps: optimiser steps.
        batch_size: videos a batch.
        optim: fields of ``OptimConfig``.
        loader: how videos are read.
        device: where to train.
        seed: decides order and draws.
        checkpoints: folder; training that was interrupted goes on from there.
        progress: called after every step.

    Returns:
        The result; the frames decoded; and the unreadable videos with their reasons, by split.

    Raises:
        ConfigError: an unknown field in ``optim``, or labels that are no classes.
        DataError: too many unreadable videos.
        TrainingError: the loss is no longer finite.
    """
    if targets["fit"].kind != "class":
        raise ConfigError(
            f"training on labels needs classes, this label is a {targets['fit'].kind}; choose another label"
        )
    planner = module.planner()
    reader = open_reader(planned_sizes(planner, videos["fit"], seed))
    workers = loader.workers if loader.workers >= 0 else (0 if isinstance(reader, CachedReader) else 2)
    loaders = {
        part: Loader(
            videos[part],
            planner,
            reader,
            batch_size=batch_size,
            seed=seed,
            workers=workers,
            prefetch=loader.prefetch,
            labels=targets[part].values,
            quarantine=Quarantine(loader.max_bad, len(videos[part])),
        )
        for part in ("fit", "val")
    }
    try:
        decides = {"steps": steps, "batch_size": batch_size, "optim": dict(optim), "seed": seed}
        run_id = f"fit-{identity_hash({**decides, 'start': weights_sha(module)})[:12]}"
        module.setup(len(videos["fit"]), steps)
        module.to(device)
        options = TrainOptions(
            total_steps=steps,
            optim=typed(OptimConfig, optim, where="optim"),
            device=device,
            precision=pick_precision("auto", device),
            seed=seed,
            run_id=run_id,
            checkpoints=checkpoints,
        )
        cost = train(module, _LabelledSource(loaders["fit"]), options, progress=progress)
        correct, n = 0.0, 0
        for batch in loaders["val"].heldout(-(-len(videos["val"]) // batch_size)):
            value, count = module.evaluate(module.augment(to_device(batch, device)))["accuracy"]
            correct, n = correct + float(value), n + count
    finally:
        for part in loaders.values():
            part.close()
    result = FitResult(steps=cost.steps, clips=cost.clips, loss=cost.last["loss"], val_accuracy=correct / n)
    frames = loaders["fit"].frames_decoded + loaders["val"].frames_decoded
    return result, frames, {part: dict(loaders[part].quarantine.reasons) for part in ("fit", "val")}
