"""The whole trained task of a pretraining run, opened again with the videos that were held out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch

from vssl_core.config.compose import compose
from vssl_core.config.schema import PretrainConfig
from vssl_core.contracts import Batch
from vssl_core.data.splits import fit_val
from vssl_core.engine.checkpoint import load_weights
from vssl_core.engine.loop import Progress, to_device
from vssl_core.engine.planned import plan_pretrain
from vssl_core.engine.pretrain import build_task
from vssl_core.engine.source import TaskSource, open_task_source
from vssl_core.errors import CheckpointError, ConfigError
from vssl_core.plugins import Registry
from vssl_core.pretext.motion import measure_motion
from vssl_core.store.runs import read_json
from vssl_core.transfer.planned import OTHER_SET, PlannedTransfer

__all__ = ["PretextSource", "open_pretext"]


class PretextSource:
    """A trained task and batches of its held-out videos; the ``TrainedPretext`` of a ``Context``.

    Attributes:
        name: the task as users write it.
        task: in eval mode on the device.
        clips: clips handed out so far, over all views.
        frames_decoded: frames handed out so far.
    """

    def __init__(
        self, name: str, task: Any, source: TaskSource, *, device: torch.device, n_batches: int, opened: ExitStack
    ) -> None:
        self.name = name
        self.task = task
        self.clips = 0
        self.frames_decoded = 0
        self.cache_s = source.cache_s
        self._source = source
        self._device = device
        self._n_batches = n_batches
        self._opened = opened

    def heldout(self, n_batches: int = 0) -> Iterator[Batch]:
        """Yield raw batches of the held-out videos on the device, at most ``n_batches``, 0: all; the same every time.

        Raises:
            DataError: too many bad videos, or views that do not stack.
        """
        for batch in self._source.heldout(n_batches or self._n_batches):
            self.clips += sum(len(view) for view in batch.views)
            moved = to_device(batch, self._device)
            frames = [view for view in moved.views if view.shape[-1] == 3]  # not fields of flow
            self.frames_decoded += sum(view.shape[0] * view.shape[1] for view in frames)
            yield moved

    def unreadable(self) -> list[dict[str, str]]:
        """Return the held-out videos that gave no sample, with the reasons."""
        return self._source.unreadable()

    def close(self) -> None:
        """End the loader workers."""
        self._opened.close()


def open_pretext(
    transfer: PlannedTransfer,
    registry: Registry,
    *,
    device: torch.device,
    progress: Progress | None = None,
) -> PretextSource:
    """Build the task of a finished pretraining run as it was trained, and open its held-out videos.

    Args:
        transfer: the measurement that asks for it: names the run, and how videos are read.
        registry: where its components are looked up.
        device: where the task goes.
        progress: told of filling the decoded cache.

    Raises:
        ConfigError: the run trained nothing, or what is measured is another set than its own.
        CheckpointError: the trained task was not kept, or would not be the same today: data, options or versions
            changed.
    """
    folder, record = transfer.source, transfer.pretrain
    name = record["name"]
    if not record["trains"]:
        raise ConfigError(f"{name} is not trained, so there is no pretext task to audit; give the run of one that is")
    # For protocols that do not say that they ask it (Spec.requires): planning lets them have any set.
    if transfer.fingerprint != record["data"]["fingerprint"]:
        raise ConfigError(f"protocol {transfer.protocol.name} asks about the videos that {name} held out; {OTHER_SET}")
    if not folder.task_info.exists():
        raise CheckpointError(
            f"{folder.path} holds no {folder.task_info.name}: its trained task was not kept, only its encoder; "
            "pretrain again"
        )
    config = compose(PretrainConfig, folder.config)
    config = replace(config, device=str(device), loader=transfer.config.loader, trackers=[], out=str(folder.path))
    planned = plan_pretrain(config, registry)
    if planned.run_id != record["run_id"]:
        raise CheckpointError(
            f"{folder.path} would be run {planned.run_id} today and was {record['run_id']}: its data or the "
            "version of a component changed since; restore them, or pretrain again"
        )
    splits = fit_val(planned.dataset)
    task = build_task(planned, registry)
    measure_motion(task.planner(), planned.dataset)
    task.setup(len(splits["fit"]), planned.steps)
    load_weights(folder.task, task, read_json(folder.task_info)["weights_sha"])
    task.to(device).eval()
    with ExitStack() as stack:
        source = stack.enter_context(open_task_source(planned, task, splits, progress))
        batches = -(-len(splits["val"]) // config.batch_size)
        return PretextSource(name, task, source, device=device, n_batches=batches, opened=stack.pop_all())
