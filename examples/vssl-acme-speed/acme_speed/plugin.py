"""What this package offers to vssl."""

from __future__ import annotations

from collections.abc import Iterator

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl


@hookimpl
def vssl_tasks() -> Iterator[Spec]:
    """Offer ``speed-pair``."""
    yield Spec(
        name="speed-pair",
        target="acme_speed.task:SpeedPair",
        config="acme_speed.config:SpeedPairConfig",
        summary="which of two clips of a video is played faster",
        paper="arXiv:2011.07949",
        provides=frozenset({"accuracy"}),
        recipes={"tiny": {"frames": 8, "stride": 1, "size": 32}},
    )
