"""Run folders: every file in them appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vssl_core.errors import RecordError

__all__ = ["RunFolder", "atomic_folder", "read_json", "sync_folder", "write_json", "write_text"]


def sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` survive a power cut, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # not every platform opens folders
        return
    try:
        os.fsync(descriptor)
    except OSError:  # not every file system syncs them
        pass
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a file so that readers see the old content or the new one, never a part (write, fsync, rename)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)  # mkstemp's 0600 would hide records from colleagues
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON atomically.

    Raises:
        RecordError: the value holds a NaN, an infinity or something that is not JSON.
    """
    try:
        text = json.dumps(value, indent=1, sort_keys=False, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise RecordError(
            f"cannot write {path}: {error}; records hold finite numbers, strings, lists and maps"
        ) from error
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        RecordError: the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecordError(f"{path} does not exist") from error
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} cannot be read as JSON ({error}); move it away and run the job again") from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of ``path`` when the block ends well, and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        for file in temporary.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        sync_folder(temporary)
        if path.exists():
            shutil.rmtree(path)
        temporary.chmod(0o755)
        os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(path.parent)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where each file of a run lies."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def record(self) -> Path:
        """What was measured."""
        return self.path / "record.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoint"

    @property
    def encoder(self) -> Path:
        """Weights of the exported encoder; ``encoder.json`` beside it says what they are of."""
        return self.path / "encoder.safetensors"

    @property
    def encoder_info(self) -> Path:
        """Which encoder the weights are of."""
        return self.path / "encoder.json"

    @property
    def task(self) -> Path:
        """State of the whole trained task, its head and teachers too: audits need it; ``task.json`` beside it."""
        return self.path / "task.safetensors"

    @property
    def task_info(self) -> Path:
        """What the task's state is of."""
        return self.path / "task.json"

    def read_record(self) -> Mapping[str, Any] | None:
        """Return the record, or None where there is none yet."""
        return read_json(self.record) if self.record.exists() else None
