"""Taking one made-up batch through a task and its backbone: what cannot work is refused before anything runs."""

from __future__ import annotations

import torch

from vssl_core.config.schema import PretrainConfig
from vssl_core.engine.loop import Progress
from vssl_core.errors import ConfigError, VsslError
from vssl_core.plugins import Registry
from vssl_core.testing.fakes import fake_batch

__all__ = ["check_first_batch", "rehearse"]

# Long enough for what any published task asks of a video; of made-up videos only the frames asked for exist.
_FRAMES = 20_000
_VIDEOS, _CLASSES = 2, 2
# What setup is told: a task that needs more videos than a set has, or more steps, is told so by the run itself.
_SET, _STEPS = 1_000, 1_000


def rehearse(config: PretrainConfig, registry: Registry) -> str | None:
    """Say why a task and a backbone cannot go together, or return None where they can.

    Capabilities tell what a backbone offers, not whether its map suits a task's clips, or its patches their size. Two
    made-up videos are planned, augmented and evaluated on the CPU, without gradients; torch's generators stay as they
    were.
    """
    task = registry.resolve("tasks", config.task)
    if not task.spec.trains:
        return None
    extra = {"n_classes": _CLASSES} if task.spec.needs_labels else {}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            backbone = registry.build("backbones", config.backbone) if task.spec.uses_backbone else None
            built = registry.build("tasks", config.task, backbone, **extra)
            built.setup(_SET, config.steps or _STEPS)
            batch = fake_batch(built, _VIDEOS, frames=_FRAMES, n_classes=_CLASSES if extra else 0)
            built.evaluate(built.augment(batch))
        except VsslError as error:
            return str(error)
        except Exception as error:
            # Whatever it is, a run on the CPU would meet it too.
            advice = "another backbone, or other task.frames and task.size, may suit"
            return f"a first batch ends in {type(error).__name__}: {error}; {advice}"
    return None


def check_first_batch(config: PretrainConfig, registry: Registry, progress: Progress | None = None) -> None:
    """Refuse what its first batch, or its first evaluation, would end.

    Raises:
        ConfigError: with what ``rehearse`` says.
    """
    # Up to a minute for the largest published setting on a busy core: nobody should wonder what it waits for.
    if progress is not None:
        progress("rehearse", 0, 1, {})
    reason = rehearse(config, registry)
    if reason is not None:
        raise ConfigError(f"{reason} (found in a made-up batch on the CPU)")
    if progress is not None:
        progress("rehearse", 1, 1, {})
