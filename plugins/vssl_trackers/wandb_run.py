"""``wandb``: one W&B run a job. Works without key and network; nothing is written outside the run's folder."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import wandb

from vssl_core.contracts import RunInfo
from vssl_core.errors import VsslError
from vssl_trackers.wandb_server import find_key, server_problem

__all__ = ["WandbRun"]

_logger = logging.getLogger(__name__)

#: options whose values never leave the machine
_SECRET = re.compile(
    r"(^|[_-])(api[_-]?key|secret|passw(or)?d|credentials?|(access|auth|api)[_-]?token)$", re.IGNORECASE
)


class WandbRun:
    """Copies a job to W&B: config, metrics over ``step``, summary, tables and files; resumed under the same run id.

    With ``mode="auto"`` the run is online where a key is found (``WANDB_API_KEY``, W&B's settings, netrc) and the
    server accepts it, and offline otherwise, at once or after ``init_timeout_s``; a warning then says why, and how to
    upload the run later. It never prompts. Options that look like secrets are left out, and so are the command line and
    the host's name.

    Args:
        mode: ``"auto"``, ``"online"`` (the same, but ``WANDB_MODE`` is ignored), ``"offline"`` or ``"disabled"``.
        project: project; empty: ``WANDB_PROJECT``, else ``vssl``.
        entity: user or team; empty: ``WANDB_ENTITY``, else the key's own.
        init_timeout_s: seconds to wait for the server before the run goes on offline.
        finish_timeout_s: seconds to wait for uploads at the end; what is not uploaded then stays on disk.
        system_stats: whether processor, memory and GPU use are logged.
    """

    def __init__(
        self,
        *,
        mode: str = "auto",
        project: str = "",
        entity: str = "",
        init_timeout_s: float = 15.0,
        finish_timeout_s: float = 60.0,
        system_stats: bool = False,
    ) -> None:
        self.mode = mode
        self.project = project
        self.entity = entity
        self.init_timeout_s = init_timeout_s
        self.finish_timeout_s = finish_timeout_s
        self.system_stats = system_stats
        self._run: Any = None
        self._folder = Path()

    def start(self, run: RunInfo) -> None:
        """Open the W&B run, online if it can be.

        Raises:
            Exception: whatever ``wandb`` raises when even an offline run cannot be opened.
        """
        self._folder = run.folder
        run.folder.mkdir(parents=True, exist_ok=True)
        with self._quiet_environment():
            mode, reason = self._pick_mode()
            if mode == "disabled":
                return
            run_id = run.run_id
            if mode == "online":
                try:
                    self._run = self._init(run, "online", run_id)
                except Exception as error:
                    mode, reason = "offline", f"wandb.init failed ({type(error).__name__}: {error})"
                    run_id = self._freed(run_id)
            if self._run is None:
                self._run = self._init(run, "offline", run_id)
        # With a metric of our own as the axis, a resumed run may log a step again; W&B's counter would refuse it.
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")
        if mode == "offline":
            why = f" because {reason}" if reason else ""
            here = Path(self._run.settings.sync_dir).absolute()
            _logger.warning("W&B is offline%s; to upload this run later: wandb sync %s", why, here)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Send the metrics of one step; returns at once."""
        if self._run is not None:
            self._run.log({"step": step, **metrics})

    def summary(self, values: Mapping[str, Any]) -> None:
        """Set the figures that W&B's table of runs shows."""
        if self._run is not None:
            self._run.summary.update(_without_secrets(values))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Send a table; it is shown in the run's workspace."""
        if self._run is not None:
            with self._quiet_environment():
                self._run.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})

    def artifact(self, name: str, path: Path) -> None:
        """Send a file as an artifact named ``NAME-RUN_ID``; the file must stay as it is.

        Raises:
            VsslError: there is no such file.
        """
        if self._run is None:
            return
        if not path.is_file():
            raise VsslError(f"tracker 'wandb': artifact '{name}': {path} is no file")
        with self._quiet_environment():
            label = re.sub(r"[^\w.-]+", "-", f"{name}-{self._run.id}")
            artifact = wandb.Artifact(label, type="model" if path.suffix == ".safetensors" else "file")
            # "immutable": sent from where it lies, without a copy in W&B's staging folder
            artifact.add_file(str(path), name=path.name, policy="immutable", skip_cache=True)
            self._run.log_artifact(artifact)

    def finish(self, status: str) -> None:
        """Close the W&B run, as failed where ``status`` is neither ``"done"`` nor ``"interrupted"``."""
        if self._run is None:
            return
        run, self._run = self._run, None
        run.summary["status"] = status
        with self._quiet_environment():
            run.finish(exit_code=0 if status in ("done", "interrupted") else 1)

    # ------------------------------------------------------------------------------------------- opening

    def _pick_mode(self) -> tuple[str, str]:
        """Return the mode and, where it is offline without having been asked for, why."""
        asked = self.mode
        if asked == "auto":
            asked = {"dryrun": "offline"}.get(os.environ.get("WANDB_MODE", ""), os.environ.get("WANDB_MODE", ""))
        if asked in ("offline", "disabled"):
            return asked, ""
        settings = wandb.setup().settings
        key = find_key(settings.base_url, settings.api_key)
        if not key and not os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
            return "offline", "there is no API key (wandb login makes one known)"
        problem = server_problem(settings.base_url, key, self.init_timeout_s)
        return ("offline", problem) if problem else ("online", "")

    def _init(self, run: RunInfo, mode: Literal["online", "offline"], run_id: str) -> Any:
        return wandb.init(
            mode=mode,
            dir=str(run.folder),
            project=self.project or os.environ.get("WANDB_PROJECT") or "vssl",
            entity=self.entity or None,
            id=run_id,
            resume="allow",
            reinit="create_new",  # a run that the user's notebook has open stays open
            name=run.name,
            group=run.suite or None,
            job_type=run.job_type,
            tags=list(run.tags),
            config=_without_secrets(run.config),
            save_code=False,
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,  # the record names the commit
                disable_code=True,
                init_timeout=self.init_timeout_s,
                finish_timeout=self.finish_timeout_s,
                x_disable_meta=True,  # command line, host and user name
                x_disable_machine_info=True,
                x_disable_stats=not self.system_stats,
            ),
        )

    def _freed(self, run_id: str) -> str:
        """Return an id to go on with after a failed start, which keeps the first one in use until W&B is shut down."""
        if wandb.run is not None:  # a run of the user's own would be shut down with it
            return f"{run_id}-offline"
        wandb.teardown()
        return run_id

    @contextmanager
    def _quiet_environment(self) -> Iterator[None]:
        """Keep W&B's staging, cache and logs in the run's folder and its telemetry off, unless the user set them."""
        ours = {
            "WANDB_DATA_DIR": str(self._folder / "wandb" / "data"),
            "WANDB_CACHE_DIR": str(self._folder / "wandb" / "cache"),
            "WANDB_ERROR_REPORTING": "false",
        }
        added = [name for name in ours if name not in os.environ]
        os.environ.update({name: ours[name] for name in added})
        try:
            yield
        finally:
            for name in added:
                os.environ.pop(name, None)


def _without_secrets(value: Any) -> Any:
    """Return a copy of a configuration in which the values of keys that look like secrets are left out."""
    if isinstance(value, Mapping):
        return {
            str(key): "(not sent)" if _SECRET.search(str(key)) and item else _without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_without_secrets(item) for item in value]
    return value
