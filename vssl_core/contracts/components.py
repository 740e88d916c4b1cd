"""What a plugin says of a component, and how one component gets another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Build", "Spec"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """What a plugin says of one component. Cheap to import: names only, nothing heavy behind them.

    Attributes:
        name: kebab-case, unique within its kind; what configurations say.
        target: ``"package.module:Attribute"``, imported on first use. For suites ``"package:path/in/package.yaml"``.
        config: ``"package.config:Dataclass"`` with a documented default for every field; ``""``: it has no options.
        summary: one line for ``vssl list``.
        guide: longer text that ``vssl info`` shows as it stands; for data sets where to get them and how the files must
            lie.
        version: raised when results stop being comparable with those of the version before.
        paper: arXiv id or DOI.
        requires: of a task, capabilities asked of the backbone: ``"map"``, ``"temporal"`` (features of a clip depend on
            the order of its frames), ``"tokens"``, ``"masking"``, ``"frames"``. Of a protocol, what it asks of the run:
            nothing, for any encoder; ``"trained"``: the trained task itself, on the videos that its pretraining held
            out; ``"accuracy"``: that, of a task that provides it.
        provides: of a backbone, the capabilities that it offers. Of a task ``"accuracy"``, where its ``evaluate``
            counts right answers, as ``accuracy`` or ``NAME_top1``; ``"inner"``: what the tasks that its options name
            provide.
        needs_labels: the task is given labels (``supervised`` alone among the first-party tasks).
        trains: ``False`` for floors: nothing is trained, whatever budget the configuration names.
        uses_backbone: ``False`` for floors that bring an encoder of their own (pixels, motion energy).
        recipes: named sets of options: ``rtt@tiny`` is ``rtt`` with ``recipes["tiny"]`` under the user's own options.
        extras: pip extras that the target needs; named in the import error.
    """

    name: str
    target: str
    config: str = ""
    summary: str = ""
    guide: str = ""
    version: int = 1
    paper: str = ""
    requires: frozenset[str] = frozenset()
    provides: frozenset[str] = frozenset()
    needs_labels: bool = False
    trains: bool = True
    uses_backbone: bool = True
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extras: tuple[str, ...] = ()


class Build(Protocol):
    """``build(kind, name, *args, **options)``: how a component gets another one by name."""

    def __call__(self, kind: str, name: str, *args: Any, **options: Any) -> Any: ...
