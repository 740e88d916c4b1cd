"""What holds for every test: one thread, a cache of their own, no network, and no skip that nobody agreed to."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything imports torch or numpy: the tests are many and small, and CI has two cores.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: marker -> why its tests may be left out. A test that is skipped for any other reason fails the session.
SKIP_REASONS = {
    "realdata": "VSSL_REALDATA is not set to a folder of real footage",
    "browser": f"none of {', '.join(BROWSERS)} is installed",
    "cuda": "there is no NVIDIA GPU",
}

#: seconds; CI may share its cores
SLOW_TIMEOUT_S = 600

_unlisted: list[str] = []


def _find_browser() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def _missing(marker: str) -> bool:
    if marker == "realdata":
        return not Path(os.environ.get("VSSL_REALDATA") or "/nowhere").is_dir()
    if marker == "browser":
        return _find_browser() is None
    import torch

    return not torch.cuda.is_available()


def pytest_configure(config: pytest.Config) -> None:
    """Keep generated videos from one session to the next, apart from the user's own cache."""
    cache = getattr(config, "cache", None)  # None under -p no:cacheprovider
    os.environ["VSSL_HOME"] = str(cache.mkdir("vssl-home")) if cache else tempfile.mkdtemp(prefix="vssl-home-")
    os.environ["WANDB_MODE"] = "offline"
    os.environ.pop("VSSL_DISABLE_PLUGINS", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))
    for marker, reason in SKIP_REASONS.items():
        marked = [item for item in items if item.get_closest_marker(marker)]
        if marked and _missing(marker):
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if reason.removeprefix("Skipped: ") not in SKIP_REASONS.values():
        _unlisted.append(f"{report.nodeid}: {reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note_skip(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _unlisted and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _unlisted:
        terminalreporter.section("skips that are not allowed", red=True)
        for line in _unlisted:
            terminalreporter.line(line)
        terminalreporter.line("A test may be skipped only by a marker listed in SKIP_REASONS of tests/conftest.py.")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser of tests marked ``browser``."""
    found = _find_browser()
    assert found, "mark the test with @pytest.mark.browser"
    return found


@pytest.fixture(scope="session")
def real_footage() -> Path:
    """The folder of tests marked ``realdata``."""
    assert not _missing("realdata"), "mark the test with @pytest.mark.realdata"
    return Path(os.environ["VSSL_REALDATA"])


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty ``VSSL_HOME``."""
    home = tmp_path / "vssl-home"
    monkeypatch.setenv("VSSL_HOME", str(home))
    yield home
