"""A wheel of this checkout, installed in environments outside of it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from support.outside import Outside, copy_project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that building leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    return folder


@pytest.fixture(scope="session")
def wheel(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a source distribution."""
    built = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built), str(project)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = built.glob("vssl-*.whl")
    return path


@pytest.fixture(scope="session")
def make_outside(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outside]:
    """Make an environment that has the wheel and nothing else of vssl."""

    def make(name: str) -> Outside:
        environment = tmp_path_factory.mktemp(f"{name}-venv")
        command = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
        subprocess.run(command, check=True, timeout=60)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        site = environment / "lib" / version / "site-packages"
        (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        outside = Outside(environment, tmp_path_factory.mktemp(f"{name}-work"))
        outside.install(wheel)
        return outside

    return make


@pytest.fixture(scope="session")
def outside(make_outside: Callable[[str], Outside]) -> Outside:
    """The wheel in an environment of its own."""
    return make_outside("wheel")
