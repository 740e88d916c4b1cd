"""The wheel holds everything, and works outside the repository."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from support.outside import Outside


def test_the_wheel_holds_every_file_of_every_package(project: Path, wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    roots = [project, project / "plugins", project / "benchmarks"]
    packages = [package.parent for root in roots for package in root.glob("vssl_*/__init__.py")]
    assert len(packages) == 15
    expected = {
        str(path.relative_to(package.parent)) for package in packages for path in package.rglob("*") if path.is_file()
    }
    assert held == expected


def test_it_is_the_wheel_that_runs(outside: Outside) -> None:
    program = (
        "import vssl_core, vssl_speed, vssl_bench as b; print(vssl_core.__file__, vssl_speed.__file__, b.__file__)"
    )
    done = outside.python("-c", program)
    assert done.returncode == 0, done.stderr
    for file in done.stdout.split():
        assert Path(file).is_relative_to(outside.environment)


def test_list_info_and_plugins(outside: Outside) -> None:
    done = outside.vssl("list", "--json")
    assert done.returncode == 0, done.stderr
    assert "rtt" in done.stdout
    json.loads(done.stdout)
    done = outside.vssl("info", "task", "rtt")
    assert done.returncode == 0, done.stderr
    assert "2007.10730" in done.stdout
    done = outside.vssl("plugins")
    assert done.returncode == 0, done.stderr
    assert "broken" not in done.stdout


@pytest.mark.parametrize("suite", ["quickstart", "toy-board"])
def test_shipped_suites_are_planned(outside: Outside, suite: str) -> None:
    done = outside.vssl("bench", "plan", suite)
    assert done.returncode == 0, done.stderr
    assert "rtt@tiny" in done.stdout
