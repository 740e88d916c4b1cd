"""A wheel of this checkout, installed in an environment outside of it.

The environment is new, but sees the libraries of the one that runs the tests (torch alone is gigabytes): a path file
names their folder. Editable installs do not pass through it, because path files in that folder are not read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("vssl_core", "plugins", "benchmarks/vssl_bench")


@dataclass(frozen=True)
class Outside:
    """An environment and an empty folder to work in, both outside the repository."""

    environment: Path
    folder: Path

    def python(self, *arguments: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        """Run the environment's Python."""
        return self._run([str(self.environment / "bin" / "python"), *arguments], timeout)

    def vssl(self, *arguments: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        """Run the installed command."""
        return self._run([str(self.environment / "bin" / "vssl"), *arguments], timeout)

    def install(self, path: Path) -> None:
        """Install a wheel or a project's folder, as a stranger would, but from no index."""
        command = [sys.executable, "-m", "pip", "--python", str(self.environment), "install", "--quiet", "--no-index"]
        command += ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", str(path)]
        done = self._run(command, 200)
        assert done.returncode == 0, done.stderr

    def _run(self, command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        environment |= {"COLUMNS": "200", "NO_COLOR": "1"}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )


def copy_project(folder: Path) -> None:
    """Copy what a wheel is made of."""
    for name in SOURCES:
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
