"""``random-init`` and the base of all floors: they are measured like tasks but never trained."""

from __future__ import annotations

from typing import Any, NoReturn

from torch import nn

from vssl_core.contracts import Batch, StepOutput
from vssl_core.engine.task import BaseTask
from vssl_core.errors import PluginError

__all__ = ["Floor", "RandomInit"]


class Floor(BaseTask):
    """A task that hands out an encoder and refuses to be trained; its Spec says ``trains=False``."""

    name = "floor"

    def __init__(self, encoder: Any) -> None:
        super().__init__(encoder)

    def planner(self) -> NoReturn:
        """Refuse: there is nothing to train.

        Raises:
            PluginError: always.
        """
        raise PluginError(
            f"{self.name} is a floor and is not trained: it has no clips, targets or loss; use its encoder()"
        )

    def augment(self, batch: Batch) -> Batch:
        """Refuse, as ``planner``."""
        self.planner()

    def forward(self, batch: Batch) -> StepOutput:
        """Refuse, as ``planner``."""
        self.planner()


class RandomInit(Floor):
    """The backbone with the weights it was made with.

    What is known of random features: they are no weak floor. A linear probe on a randomly initialised video network
    is far above chance, so that every claim about pretraining is a difference to it.
    """

    name = "random-init"

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__(backbone)
