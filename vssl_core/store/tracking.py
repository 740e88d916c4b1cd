"""Trackers in a guard: they get a copy of what happens, and nothing they raise reaches training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vssl_core.contracts import RunInfo, Tracker
    from vssl_core.plugins import Registry

__all__ = ["Trackers"]

_logger = logging.getLogger(__name__)


class Trackers:
    """Hands everything on to each tracker by itself; one that raises is reported once and asked nothing more.

    A tracker that was dropped is still told to finish, so that it can close what it opened. Only ``Exception`` is
    held back: an interrupt ends the run as ever.

    Args:
        names: trackers as configurations name them: ``"jsonl"``, ``"wandb@offline"`` or a mapping with ``name``.
        registry: who offers them.
        run: who the run is.
        log: told in one line of a tracker that failed; by default a warning of this module's logger.

    Raises:
        PluginError: nobody offers a tracker of that name.
        ConfigError: its options are wrong. Both are mistakes of the configuration, not of a tracker.
    """

    def __init__(
        self,
        names: Sequence[str | Mapping[str, Any]],
        registry: Registry,
        run: RunInfo,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self._run = run
        self._report = log or _logger.warning
        self._live: dict[str, Tracker] = {}
        self._dropped: dict[str, Tracker] = {}
        self._finished = False
        for name in names:
            resolved = registry.resolve("trackers", name)
            try:
                self._live[resolved.reference] = registry.build("trackers", resolved)
            except Exception as error:
                self._say(resolved.reference, "could not be made", error)

    @property
    def names(self) -> tuple[str, ...]:
        """The trackers that still listen."""
        return tuple(self._live)

    def start(self) -> None:
        """Tell every tracker who the run is."""
        self._each("start", lambda tracker: tracker.start(self._run))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Hand on the metrics of one step."""
        self._each("log", lambda tracker: tracker.log(step, metrics))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Hand on the figures that stand for the whole run."""
        self._each("summary", lambda tracker: tracker.summary(values))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Hand on a table, such as a leaderboard."""
        self._each("table", lambda tracker: tracker.table(name, columns, rows))

    def artifact(self, name: str, path: Path) -> None:
        """Hand on a file."""
        self._each("artifact", lambda tracker: tracker.artifact(name, path))

    def finish(self, status: str) -> None:
        """Tell every tracker, the dropped ones too, that the run is over; a second call does nothing."""
        if self._finished:
            return
        self._finished = True
        for name, tracker in [*self._live.items(), *self._dropped.items()]:
            try:
                tracker.finish(status)
            except Exception as error:
                if name in self._live:
                    self._say(name, "failed in finish", error)
        self._live.clear()
        self._dropped.clear()

    def _each(self, what: str, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._live.items()):
            try:
                call(tracker)
            except Exception as error:
                self._dropped[name] = self._live.pop(name)
                self._say(name, f"failed in {what}", error)

    def _say(self, name: str, what: str, error: Exception) -> None:
        self._report(
            f"tracker '{name}' {what} and is left out for the rest of the run, which goes on; the record is complete "
            f"without it ({type(error).__name__}: {error})"
        )
