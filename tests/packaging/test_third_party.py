"""A stranger's plugin beside the wheel: listed, trained, measured, on a board; and a broken one that harms nothing."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from support.outside import ROOT, Outside

SUITE = """
name: acme
title: A stranger's task
defaults: {backbone: r2plus1d-tiny, steps: 4, batch_size: 8, heldout_batches: 1, loader: {workers: 0}}
data:
  - {data: {name: toy-motion, n_train: 48, n_test: 16}, labels: [motion]}
pretrain:
  - {task: random-init}
  - {task: speed-pair@tiny}
transfer:
  protocols: [knn@tiny]
  loader: {workers: 0}
"""


@pytest.fixture(scope="module")
def stranger(make_outside: Callable[[str], Outside], tmp_path_factory: pytest.TempPathFactory) -> Outside:
    """An environment with the wheel and the example plugin, installed from a copy of its folder."""
    outside = make_outside("stranger")
    project = tmp_path_factory.mktemp("acme") / "vssl-acme-speed"
    shutil.copytree(ROOT / "examples" / "vssl-acme-speed", project, ignore=shutil.ignore_patterns("__pycache__"))
    outside.install(project)
    shutil.copytree(project / "tests", outside.folder / "acme-tests")
    return outside


def test_it_is_listed_with_its_distribution(stranger: Outside) -> None:
    done = stranger.vssl("list", "tasks")
    assert done.returncode == 0, done.stderr
    assert "speed-pair" in done.stdout
    assert "rtt" in done.stdout
    done = stranger.vssl("plugins")
    (line,) = [line for line in done.stdout.splitlines() if "acme-speed" in line]
    assert "vssl-acme-speed 1.0.0" in line
    done = stranger.vssl("info", "task", "speed-pair")
    assert done.returncode == 0, done.stderr
    assert "how much faster the other clip is" in done.stdout


def test_its_own_tests_pass_there(stranger: Outside) -> None:
    done = stranger.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "acme-tests")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_it_reaches_a_board(stranger: Outside) -> None:
    (stranger.folder / "acme.yaml").write_text(SUITE)
    done = stranger.vssl("bench", "run", "acme.yaml", "--workers", "1", timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(path.read_text()) for path in stranger.folder.glob("runs/acme/*/record.json")]
    (pretrained,) = [
        record
        for record in records
        if record["kind"] == "pretrain" and record["components"]["task"]["name"] == "speed-pair"
    ]
    task = pretrained["components"]["task"]
    assert (task["distribution"], task["distribution_version"]) == ("vssl-acme-speed", "1.0.0")
    assert pretrained["chance"] == 0.5
    assert pretrained["cost"]["steps"] == 4
    done = stranger.vssl("leaderboard", "runs/acme")
    assert done.returncode == 0, done.stderr
    assert "speed-pair" in done.stdout
    done = stranger.vssl("leaderboard", "runs/acme", "--html", "board.html")
    assert done.returncode == 0, done.stderr
    assert "speed-pair" in (stranger.folder / "board.html").read_text()


BROKEN = {
    "acme-unimportable": ("import no_such_library\n", "no_such_library"),
    "acme-raising": (
        """
        from vssl_core.hookspecs import hookimpl

        @hookimpl
        def vssl_tasks():
            yield
            raise RuntimeError("out of order")
        """,
        "acme-raising",
    ),
}


def test_a_broken_plugin_harms_nothing(make_outside: Callable[[str], Outside], tmp_path: Path) -> None:
    outside = make_outside("broken")
    for name, (code, _) in BROKEN.items():
        package = name.replace("-", "_")
        project = tmp_path / name
        (project / package).mkdir(parents=True)
        (project / package / "__init__.py").touch()
        (project / package / "plugin.py").write_text(textwrap.dedent(code))
        (project / "pyproject.toml").write_text(
            f'[project]\nname = "{name}"\nversion = "0.1"\n'
            f'[project.entry-points.vssl]\n{name} = "{package}.plugin"\n'
            f'[tool.setuptools]\npackages = ["{package}"]\n'
        )
        outside.install(project)
    done = outside.vssl("plugins")
    for name, (_, reason) in BROKEN.items():
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(name)]
        assert "broken" in line
        assert reason in done.stdout
    done = outside.vssl("list", "tasks")
    assert done.returncode == 0, done.stderr
    assert "rtt" in done.stdout
    done = outside.vssl("bench", "plan", "quickstart")
    assert done.returncode == 0, done.stderr
