"""Offers the protocols."""

from __future__ import annotations

from collections.abc import Iterator

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_protocols"]

# One recipe for all but temporal-sensitivity, so that they share their features.
_TINY = {"frames": 8, "stride": 2, "clips": 3, "size": 32, "settle_batches": 10}


@hookimpl
def vssl_protocols() -> Iterator[Spec]:
    """Yield the protocols."""
    yield Spec(
        name="linear-probe",
        target="vssl_protocols.linear_probe:LinearProbe",
        config="vssl_protocols.config:LinearProbeConfig",
        summary="multinomial logistic regression on frozen features, its strength chosen on a validation split",
        recipes={"tiny": _TINY},
    )
    yield Spec(
        name="validation-probe",
        target="vssl_protocols.validation_probe:ValidationProbe",
        config="vssl_protocols.config:LinearProbeConfig",
        summary="linear-probe for searches: measured on the validation videos, blind to the test split",
        recipes={"tiny": _TINY},
    )
    yield Spec(
        name="knn",
        target="vssl_protocols.knn:NearestNeighbours",
        config="vssl_protocols.config:NearestNeighboursConfig",
        summary="weighted vote of the nearest training videos by cosine, k chosen on a validation split",
        paper="1805.01978",
        recipes={"tiny": _TINY},
    )
    yield Spec(
        name="retrieval",
        target="vssl_protocols.retrieval:Retrieval",
        config="vssl_protocols.config:RetrievalConfig",
        summary="is one of the k nearest training videos of the same class? k = 1, 5, 10, 20, 50",
        paper="10.1109/CVPR.2019.01058",
        recipes={"tiny": _TINY},
    )
    yield Spec(
        name="temporal-sensitivity",
        target="vssl_protocols.temporal_sensitivity:TemporalSensitivity",
        config="vssl_protocols.config:TemporalSensitivityConfig",
        summary="accuracy that the linear probe loses on clips shuffled, reversed and frozen in time",
        recipes={"tiny": {**_TINY, "clips": 1}},
    )
    yield Spec(
        name="shortcut-audit",
        target="vssl_protocols.shortcut_audit:ShortcutAudit",
        config="vssl_protocols.config:ShortcutAuditConfig",
        summary="the task's own accuracy on clips frozen, shuffled, re-encoded, without borders and without colour",
        requires=frozenset({"accuracy"}),
    )
