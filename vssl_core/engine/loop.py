"""The training loop. It pretrains tasks and fine-tunes networks; read it from top to bottom."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vssl_core.config.schema import OptimConfig
from vssl_core.contracts import Batch
from vssl_core.data.yuv import YuvBatch, to_rgb
from vssl_core.engine.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from vssl_core.engine.optim import make_optimizer, make_schedule
from vssl_core.engine.precision import Precision
from vssl_core.errors import TrainingError

__all__ = ["BatchSource", "Progress", "TrainCost", "TrainOptions", "seed_step", "to_device", "train"]

#: progress(phase, done, total, metrics): called often, must return at once
Progress = Callable[[str, int, int, Mapping[str, float]], None]
LogMetrics = Callable[[int, Mapping[str, float]], None]


class BatchSource(Protocol):
    """Where batches come from; batch k depends on nothing but k, so that resuming replays nothing."""

    def batches(self, start_step: int, total_steps: int) -> Iterator[Batch]:
        """Yield batches ``start_step`` .. ``total_steps - 1``."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Return what a checkpoint must know of the source, as JSON: unreadable videos, frames decoded."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` returned."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """What the loop needs to know besides the task and its data; checkpoints of another ``run_id`` are refused."""

    total_steps: int
    optim: OptimConfig
    device: torch.device
    precision: Precision
    seed: int
    run_id: str = ""
    checkpoints: Path | None = None
    checkpoint_every_s: float = 60.0
    log_every: int = 10


@dataclass(slots=True)
class TrainCost:
    """What training used so far, earlier sessions of a resumed run counted in; seconds of wall clock and of CPU."""

    steps: int = 0
    clips: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    last: dict[str, float] = field(default_factory=dict)


def seed_step(seed: int, step: int) -> None:
    """Seed torch's global generator for one step: dropout and drop path take no generator of their own."""
    torch.manual_seed((seed * 1_000_003 + step * 7_919 + 17) % (2**63))


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a batch; copies from pinned memory do not block. Views that are still YUV become RGB there."""
    return Batch(
        views=tuple(_view_to_device(view, device) for view in batch.views),
        targets={name: value.to(device, non_blocking=True) for name, value in batch.targets.items()},
        seeds=batch.seeds.to(device, non_blocking=True),
        index=batch.index.to(device, non_blocking=True),
    )


def _view_to_device(view: Tensor | YuvBatch, device: torch.device) -> Tensor:
    if isinstance(view, YuvBatch):
        return to_rgb(YuvBatch(*(part.to(device, non_blocking=True) for part in view)))
    return view.to(device, non_blocking=True)


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a request that is honoured after the step; the second one stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    requested = False
    previous: dict[int, Any] = {}

    def request(signum: int, frame: Any) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True

    for wanted in (signal.SIGINT, signal.SIGTERM):
        previous[wanted] = signal.signal(wanted, request)
    try:
        yield lambda: requested
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def _check_finite(loss: Tensor, norm: Tensor | None, step: int, total_steps: int, lr: float) -> None:
    bad = [
        name
        for name, value in (("loss", loss), ("gradient norm", norm))
        if value is not None and not torch.isfinite(value)
    ]
    if bad:
        raise TrainingError(
            f"{' and '.join(bad)} not finite at step {step} of {total_steps} (learning rate {lr:.3g}): lower optim.lr, "
            "raise optim.warmup, set optim.clip_grad or use precision=fp32; the last checkpoint is from before"
        )


def train(
    task: Any,
    source: BatchSource,
    options: TrainOptions,
    *,
    log: LogMetrics | None = None,
    progress: Progress | None = None,
) -> TrainCost:
    """Train a task for ``options.total_steps`` steps, going on from its newest checkpoint where there is one.

    Args:
        task: a ``PretextTask`` that is set up and on the device; trained in place.
        source: its batches.
        options: budget, optimiser, device, precision, seed and where checkpoints go (None: nowhere).
        log: called with the step and its metrics every ``log_every`` steps.
        progress: called after every step.

    Raises:
        TrainingError: loss or gradient is no longer finite.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once a checkpoint is written.
    """
    device, precision, total = options.device, options.precision, options.total_steps
    optimizer = make_optimizer(task.param_groups(), options.optim)
    schedule = make_schedule(optimizer, options.optim, total)
    scaler = torch.amp.GradScaler(device.type, enabled=precision.scaled)
    cost = TrainCost()

    newest = latest_checkpoint(options.checkpoints) if options.checkpoints else None
    if newest is not None:
        extra = load_checkpoint(newest, task, optimizer, options.run_id)
        cost = TrainCost(**extra["cost"])
        source.restore(extra["source"])
        scaler.load_state_dict(extra["scaler"])
    start_step, wall_before, cpu_before = cost.steps, cost.wall_s, cost.cpu_s
    wall_start, cpu_start = time.perf_counter(), time.process_time()

    def checkpoint() -> None:
        if options.checkpoints is not None:
            state = {
                "steps": cost.steps,
                "clips": cost.clips,
                "wall_s": cost.wall_s,
                "cpu_s": cost.cpu_s,
                "last": cost.last,
            }
            extra = {"cost": state, "source": dict(source.state()), "scaler": scaler.state_dict()}
            save_checkpoint(options.checkpoints, options.run_id, cost.steps, task, optimizer, extra)

    accumulate = options.optim.accumulate
    batches = source.batches(start_step * accumulate, total * accumulate)
    saved_at = time.perf_counter()
    # A look at a value on a GPU waits for the GPU: there it is taken only where metrics are logged.
    check_every = 1 if device.type == "cpu" else options.log_every
    task.train()

    with _stop_requests() as stop_requested:
        for step in range(start_step, total):
            seed_step(options.seed, step)
            schedule.step_update(step)

            metrics: dict[str, Tensor] = {}
            loss = torch.zeros((), device=device)
            for _ in range(accumulate):
                batch = next(batches)
                if len(batch.index) == 0:  # every video of the batch was unreadable
                    continue
                batch = task.augment(to_device(batch, device))
                with precision.autocast(device):
                    output = task(batch)
                scaler.scale(output.loss / accumulate).backward()
                loss += output.loss.detach() / accumulate
                for name, value in output.metrics.items():
                    metrics[name] = metrics.get(name, torch.zeros((), device=device)) + value.detach() / accumulate
                cost.clips += len(batch.index) * len(batch.views)

            norm = None
            if options.optim.clip_grad > 0:
                scaler.unscale_(optimizer)
                parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
                norm = nn.utils.clip_grad_norm_(parameters, options.optim.clip_grad)
            rate = optimizer.param_groups[0]["lr"]
            logged = step % options.log_every == 0 or step == total - 1
            save_due = time.perf_counter() - saved_at >= options.checkpoint_every_s
            if step % check_every == 0 or logged or save_due:
                # A scaled fp16 gradient may overflow: the scaler skips that step and lowers its scale.
                _check_finite(loss, None if precision.scaled else norm, step, total, rate)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            task.after_step(step + 1, total)

            cost.steps = step + 1
            cost.wall_s = wall_before + time.perf_counter() - wall_start
            cost.cpu_s = cpu_before + time.process_time() - cpu_start
            if logged:
                cost.last = {"loss": loss.item(), "lr": rate, **{name: value.item() for name, value in metrics.items()}}
                if norm is not None and math.isfinite(norm.item()):
                    cost.last["grad_norm"] = norm.item()
                if log is not None:
                    log(step + 1, cost.last)
            if progress is not None:
                progress("train", step + 1, total, cost.last)
            if stop_requested():
                checkpoint()
                raise KeyboardInterrupt
            if save_due:
                checkpoint()
                saved_at = time.perf_counter()
    checkpoint()
    task.eval()
    return cost
