"""``validation-probe`` version 1: the linear probe of a search, which never sees a test video.

Fitted as ``linear-probe`` on the training videos that are left when the validation videos are cut out by group, and
measured on these. A search of settings has to compare many runs; if each of them read the test split, the test split
would have been read as often. The strength is chosen on the same videos, so the figure is a little too high, for all
settings alike: it chooses, it reports nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from vssl_core.contracts import Metric, TransferContext
from vssl_protocols.frozen import class_names
from vssl_protocols.logistic import Probing, choose_strength

__all__ = ["ValidationProbe"]


class ValidationProbe(Probing):
    """The protocol ``validation-probe``; the options are those of ``LinearProbeConfig``."""

    def run(self, context: TransferContext) -> Sequence[Metric]:
        """Return ``val_top1`` (primary) and the strength that reached it.

        Raises:
            ConfigError: the label has no single class a video.
        """
        class_names(context, "validation-probe")
        return choose_strength(context, self.recipe, self.strengths, self.standardise).metrics(primary=True)
