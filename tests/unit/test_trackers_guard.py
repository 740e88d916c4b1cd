"""``Trackers``: whatever a tracker raises, training goes on, the others are told, and it is said once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from vssl_core.contracts import RunInfo, Spec
from vssl_core.errors import PluginError
from vssl_core.hookspecs import hookimpl
from vssl_core.plugins import Registry
from vssl_core.store.tracking import Trackers

METHODS = ("start", "log", "summary", "table", "artifact", "finish")


class Recorder:
    """Writes down its calls; raises in the methods named."""

    calls: ClassVar[list[tuple[str, str]]] = []
    raises: ClassVar[tuple[str, ...]] = ()
    error: ClassVar[Callable[[], BaseException]] = lambda: OSError("no space left")
    label = "recorder"

    def _call(self, method: str) -> None:
        Recorder.calls.append((self.label, method))
        if method in self.raises:
            raise type(self).error()

    def start(self, run: RunInfo) -> None:
        self._call("start")

    def log(self, step: int, metrics: Any) -> None:
        self._call("log")

    def summary(self, values: Any) -> None:
        self._call("summary")

    def table(self, name: str, columns: Any, rows: Any) -> None:
        self._call("table")

    def artifact(self, name: str, path: Path) -> None:
        self._call("artifact")

    def finish(self, status: str) -> None:
        self._call("finish")


class Faulty(Recorder):
    label = "faulty"


class Unbuildable:
    def __init__(self) -> None:
        raise RuntimeError("no licence")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr(Recorder, "calls", [])

    @hookimpl
    def vssl_trackers() -> Iterable[Spec]:
        yield Spec(name="recorder", target=f"{__name__}:Recorder")
        yield Spec(name="faulty", target=f"{__name__}:Faulty")
        yield Spec(name="unbuildable", target=f"{__name__}:Unbuildable")

    monkeypatch.setitem(__import__("sys").modules, __name__, __import__("types").SimpleNamespace(**globals()))
    return Registry.discover(plugins={"test": SimpleNamespace(vssl_trackers=vssl_trackers)}, entry_points=False)


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    return RunInfo(run_id="a", name="a", suite="", job_type="pretrain", folder=tmp_path, config={})


def everything(trackers: Trackers) -> None:
    trackers.start()
    trackers.log(1, {"loss": 1.0})
    trackers.log(2, {"loss": 0.5})
    trackers.summary({"accuracy": 0.5})
    trackers.table("board", ["a"], [[1]])
    trackers.artifact("encoder", Path("encoder.safetensors"))
    trackers.finish("done")
    trackers.finish("done")


@pytest.mark.parametrize("method", METHODS)
def test_a_tracker_that_raises_is_said_once_and_dropped(
    registry: Registry, run: RunInfo, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(Faulty, "raises", (method, "finish"))
    said: list[str] = []
    everything(Trackers(["faulty", "recorder"], registry, run, said.append))
    assert len(said) == 1
    assert "'faulty'" in said[0]
    assert method in said[0]
    assert "no space left" in said[0]
    faulty = [name for label, name in Recorder.calls if label == "faulty"]
    order = ["start", "log", "log", "summary", "table", "artifact"]
    expected = order[: order.index(method) + 1] if method in order else order
    assert faulty == [*expected, "finish"], "nothing after the failure but finish, once"
    assert [name for label, name in Recorder.calls if label == "recorder"] == [*order, "finish"]


def test_one_that_cannot_be_made_is_left_out(registry: Registry, run: RunInfo) -> None:
    said: list[str] = []
    trackers = Trackers(["unbuildable", "recorder"], registry, run, said.append)
    assert trackers.names == ("recorder",)
    assert len(said) == 1
    assert "no licence" in said[0]


def test_a_misspelt_name_is_an_error(registry: Registry, run: RunInfo) -> None:
    with pytest.raises(PluginError, match="did you mean 'recorder'"):
        Trackers(["recoder"], registry, run)


def test_an_interrupt_is_not_held_back(registry: Registry, run: RunInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Faulty, "raises", ("log",))
    monkeypatch.setattr(Faulty, "error", KeyboardInterrupt)
    trackers = Trackers(["faulty"], registry, run)
    trackers.start()
    with pytest.raises(KeyboardInterrupt):
        trackers.log(1, {})


def test_the_default_report_is_a_warning(
    registry: Registry, run: RunInfo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Faulty, "raises", ("start",))
    Trackers(["faulty"], registry, run).start()
    assert "tracker 'faulty' failed in start" in caplog.text
