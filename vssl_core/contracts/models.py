"""Backbones, heads and pretext tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from vssl_core.contracts.video import Batch, Planner

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Backbone", "Explanation", "Features", "Head", "PretextTask", "StepOutput"]


class Features(NamedTuple):
    """What a backbone returns: ``map`` float ``[B, D, t, h, w]`` and ``pooled`` float ``[B, D]``."""

    map: Tensor
    pooled: Tensor


class StepOutput(NamedTuple):
    """What a task returns for a batch: ``loss`` (scalar with gradient) and detached scalar ``metrics``."""

    loss: Tensor
    metrics: Mapping[str, Tensor]


class Explanation(NamedTuple):
    """What ``vssl preview`` says of one sample, so that a reader sees from the picture what the network is asked.

    Attributes:
        question: what the task asks, in one sentence without jargon: ``"In which order were these clips filmed?"``.
        answer: the right answer for this sample: ``"third, first, second"``.
        captions: one per view, such as ``"clip 2 of 3"``; empty: none.
        pictures: further clips with a caption each, such as the target or the visible part of the input: float
            ``[3, T, H, W]`` in [0, 1].
        shown: which views are drawn, by their places; ``None``: all. For views that no network sees as they stand.
    """

    question: str
    answer: str
    captions: tuple[str, ...] = ()
    pictures: tuple[tuple[str, Tensor], ...] = ()
    shown: tuple[int, ...] | None = None


class Backbone(Protocol):
    """An ``nn.Module`` from float ``[B, 3, T, H, W]`` in [0, 1] to ``Features``.

    The backbone normalises its input itself, as its recorded ``input_mode`` says: nobody else needs to know how.

    Attributes:
        embed_dim: D of its features.
        input_mode: ``"raw"`` or ``"temporal-residual"``.
        sampling: what the encoder insists on reading, over the protocol's own clip recipe, such as
            ``{"frames": 1, "clips": 1}`` for a one-frame network; recorded. Empty for nearly all.

    Capability ``"masking"``: ``preprocess(video)`` -> the normalised video; ``embed`` of that -> tokens ``[B, N, D]``
    and grid ``(t, h, w)``, with ``patch_size`` ``(t, h, w)``; ``encode(tokens, keep)`` -> ``[B, K, D]`` for ``keep``
    int64 ``[B, K]``. Capability ``"frames"``: ``frame_features(video)`` -> ``[B, T, D]``.
    """

    embed_dim: int
    input_mode: str
    sampling: Mapping[str, Any]

    def __call__(self, video: Tensor) -> Features: ...


class Head(Protocol):
    """An ``nn.Module`` built as ``Head(embed_dim, n_outputs, **options)``: ``Features`` -> float ``[B, n_outputs]``."""

    def __call__(self, features: Features) -> Tensor: ...


class PretextTask(Protocol):
    """An ``nn.Module`` built as ``Task(backbone, **options)``; teachers stand frozen inside it.

    A task whose loss also uses something besides ``targets`` (which clips are of one video) says
    ``supervised_by_targets = False``: permuting its targets makes no placebo.

    A constructor that names ``build`` among its keywords is handed ``Build``; one that names ``n_classes`` (tasks whose
    Spec says ``needs_labels``) is handed the number of classes.
    """

    chance: float | None

    def setup(self, n_videos: int, total_steps: int) -> None:
        """Called once before training: memory banks, schedules."""
        ...

    def planner(self) -> Planner: ...
    def augment(self, batch: Batch) -> Batch:
        """On the device, batched, every draw from ``batch.seeds``: uint8 views in, float [0, 1] views out."""
        ...

    def __call__(self, batch: Batch) -> StepOutput: ...
    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        """Sums and counts on an augmented held-out batch, such as ``{"accuracy": (correct, n)}``; changes nothing."""
        ...

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Say of each sample of an augmented batch what is asked and what is right, for ``vssl preview``.

        A task without this method, or one that returns nothing, has its targets shown as numbers.
        """
        ...

    def param_groups(self) -> list[dict[str, Any]]: ...
    def after_step(self, step: int, total_steps: int) -> None:
        """Called after the optimiser's step: EMA, queues."""
        ...

    def encoder(self) -> nn.Module:
        """The ``Backbone`` to export."""
        ...
