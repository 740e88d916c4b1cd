"""Discovery: what a plugin may do wrong, and that it harms no other."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from vssl_core.contracts import Spec
from vssl_core.errors import PluginError
from vssl_core.hookspecs import hookimpl
from vssl_core.plugins import Registry, UnknownComponentError
from vssl_core.testing import isolated_registry


def plugin(hook: Callable[..., Any], name: str = "vssl_tasks") -> types.ModuleType:
    module = types.ModuleType("acme")
    setattr(module, name, hookimpl(hook))
    return module


def offers(*specs: Any, name: str = "vssl_tasks") -> types.ModuleType:
    return plugin(lambda: iter(specs), name)


def good() -> Iterable[Spec]:
    yield Spec(name="good-task", target="acme.task:Task", summary="a task")


def raises_at_once() -> Iterable[Spec]:
    raise RuntimeError("no licence")


def raises_late() -> Iterable[Spec]:
    yield Spec(name="half", target="acme.task:Task")
    raise KeyError("second")


def exits() -> Iterable[Spec]:
    sys.exit("bye")


def endless() -> Iterable[Spec]:
    while True:
        yield Spec(name="again", target="acme.task:Task")


BROKEN: dict[str, tuple[Any, str]] = {
    "raises": (plugin(raises_at_once), "RuntimeError: no licence"),
    "raises-late": (plugin(raises_late), "KeyError: 'second'"),
    "exits": (plugin(exits), "SystemExit: bye"),
    "endless": (plugin(endless), "more than 10000 Specs"),
    "returns-none": (plugin(lambda: None), "returned None"),
    "returns-one": (plugin(lambda: Spec(name="a", target="b:c")), "yield Spec"),
    "not-a-spec": (offers("rtt"), "yielded 'rtt'"),
    "camel-case": (offers(Spec(name="MyTask", target="a:B")), "not kebab-case"),
    "double-dash": (offers(Spec(name="my--task", target="a:B")), "not kebab-case"),
    "no-colon": (offers(Spec(name="task", target="a.B")), "target 'a.B'"),
    "path-target": (offers(Spec(name="task", target="a/b:C")), "target 'a/b:C'"),
    "bad-config": (offers(Spec(name="task", target="a:B", config="a.Config")), "config 'a.Config'"),
    "version-zero": (offers(Spec(name="task", target="a:B", version=0)), "version=0"),
    "version-bool": (offers(Spec(name="task", target="a:B", version=True)), "version=True"),
    "requires-list": (offers(Spec(name="task", target="a:B", requires=["map"])), "requires=['map']"),  # type: ignore[arg-type]
    "recipe-name": (offers(Spec(name="task", target="a:B", config="a:C", recipes={"T 1": {}})), "recipe 'T 1'"),
    "recipe-no-config": (offers(Spec(name="task", target="a:B", recipes={"tiny": {}})), "no config class"),
    "suite-path": (offers(Spec(name="suite", target="a:../b.yaml"), name="vssl_suites"), "package:path"),
    "resolver-kind": (offers(Spec(name="backbone:timm", target="a:b"), name="vssl_resolvers"), "mean 'backbones'"),
    "misspelt": (offers(Spec(name="task", target="a:B"), name="vssl_task"), "did you mean 'vssl_tasks'"),
    "marked-stranger": (offers(Spec(name="task", target="a:B"), name="tasks"), "tasks is no hook"),
    "with-argument": (plugin(lambda config: []), "config"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_listed_with_its_reason_and_harms_no_other(name: str) -> None:
    broken, reason = BROKEN[name]
    registry = Registry.discover(
        plugins={"aaa": plugin(good), "bad": broken, "zzz": plugin(good, "vssl_heads")}, entry_points=False
    )
    status = {info.name: info.status for info in registry.plugins}
    assert status == {"aaa": "ok", "bad": "broken", "zzz": "ok"}
    told = next(info for info in registry.plugins if info.name == "bad")
    assert reason in told.reason
    assert dict(told.counts) == {}
    assert registry.names("tasks") == ["good-task"]
    assert registry.names("heads") == ["good-task"]


def test_reason_names_the_line_of_the_plugin_that_raised() -> None:
    registry = isolated_registry(bad=plugin(raises_at_once))
    line = raises_at_once.__code__.co_firstlineno + 1
    assert f"{Path(__file__).name}:{line}" in registry.plugins[0].reason


def test_a_hook_without_the_marker_is_reported() -> None:
    module = types.ModuleType("acme")
    module.vssl_tasks = lambda: [Spec(name="task", target="a:B")]  # type: ignore[attr-defined]
    assert "@hookimpl" in isolated_registry(bad=module).plugins[0].reason


def test_a_misspelt_hook_without_the_marker_is_reported() -> None:
    module = types.ModuleType("acme")
    module.vssl_backbone = lambda: []  # type: ignore[attr-defined]
    assert "did you mean 'vssl_backbones'" in isolated_registry(bad=module).plugins[0].reason


def test_an_imported_module_is_not_taken_for_a_hook() -> None:
    import vssl_core

    module = plugin(good)
    module.vssl_core = vssl_core  # type: ignore[attr-defined]
    assert isolated_registry(acme=module).plugins[0].status == "ok"


def test_wrappers_are_refused() -> None:
    module = types.ModuleType("acme")

    @hookimpl(wrapper=True)
    def vssl_tasks() -> Any:
        return (yield)

    module.vssl_tasks = vssl_tasks  # type: ignore[attr-defined]
    assert "wrapper" in isolated_registry(bad=module).plugins[0].reason


def test_an_object_with_methods_is_a_plugin() -> None:
    class Plugin:
        @hookimpl
        def vssl_tasks(self) -> Iterable[Spec]:
            return [Spec(name="mine", target="a:B")]

    assert isolated_registry(acme=Plugin()).names("tasks") == ["mine"]


def test_two_offers_of_one_name_are_both_kept_and_an_error_at_look_up() -> None:
    registry = isolated_registry(first=plugin(good), second=plugin(good))
    assert [entry.plugin for entry in registry.entries("tasks")] == ["first", "second"]
    assert registry.names("tasks") == ["good-task"]
    with pytest.raises(
        PluginError, match=r"'good-task' is offered by plugin 'first'.* and by plugin 'second'.*VSSL_DISABLE_PLUGINS"
    ):
        registry.entry("tasks", "good-task")


def test_an_unknown_name_suggests_near_ones_and_names_plugins_that_are_not_loaded() -> None:
    registry = Registry.discover(
        plugins={"acme": plugin(good), "bad": plugin(raises_at_once), "off": plugin(good)},
        entry_points=False,
        disable=["off"],
    )
    with pytest.raises(UnknownComponentError) as caught:
        registry.load("tasks", "god-task")
    message = str(caught.value)
    assert "did you mean 'good-task'?" in message
    assert "'bad' given in memory is broken: RuntimeError: no licence" in message
    assert "'off' given in memory is disabled" in message


def test_a_name_of_another_kind_is_mentioned() -> None:
    with pytest.raises(UnknownComponentError, match="There is a task of that name"):
        isolated_registry(acme=plugin(good)).entry("backbones", "good-task")


def test_unknown_kind() -> None:
    registry = isolated_registry()
    assert registry.names("task") == registry.names("tasks") == []
    with pytest.raises(UnknownComponentError, match="no kind 'taks'; did you mean 'tasks'"):
        registry.names("taks")


def test_disabled_plugins_are_listed_and_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSSL_DISABLE_PLUGINS", "acme, , nobody")
    loud = plugin(raises_at_once)
    registry = Registry.discover(plugins={"acme": loud}, entry_points=False)
    assert [info.status for info in registry.plugins] == ["disabled"]
    assert registry.notes == ["VSSL_DISABLE_PLUGINS names 'nobody', which is no plugin here"]
    assert Registry.discover(plugins={"acme": loud}, entry_points=False, disable=[]).plugins[0].status == "broken"


def installed(folder: Path, distribution: str, points: dict[str, str], modules: dict[str, str]) -> None:
    """Write a distribution into a folder of ``sys.path``, as pip would."""
    info = folder / f"{distribution.replace('-', '_')}-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[vssl]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()), encoding="utf-8"
    )
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


HEAD = "from vssl_core.contracts import Spec\nfrom vssl_core.hookspecs import hookimpl\n"


def test_entry_points_are_discovered_with_their_distribution(site: Path) -> None:
    body = "@hookimpl\ndef vssl_tasks():\n    yield Spec(name='strange-task', target='strange_task:Task')\n"
    installed(site, "strange-speed", {"strange": "strange_plugin"}, {"strange_plugin": HEAD + body})
    registry = Registry.discover()
    entry = registry.entry("tasks", "strange-task")
    assert (entry.plugin, entry.distribution, entry.distribution_version) == ("strange", "strange-speed", "1.5")
    info = next(info for info in registry.plugins if info.name == "strange")
    assert (info.version, info.status, dict(info.counts)) == ("1.5", "ok", {"tasks": 1})
    assert "rtt" in registry.names("tasks")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nonexistent_package\n", "ModuleNotFoundError: No module named 'nonexistent_package'"),
        ("def broken(:\n", "SyntaxError"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_an_entry_point_that_cannot_be_imported_is_listed_as_broken(site: Path, text: str, reason: str) -> None:
    name = f"sour_plugin_{abs(hash(text))}"
    installed(site, "sour", {"sour": name}, {name: text})
    registry = Registry.discover()
    info = next(info for info in registry.plugins if info.name == "sour")
    assert info.status == "broken"
    assert reason in info.reason
    assert "rtt" in registry.names("tasks")


def test_two_distributions_that_offer_one_name_are_both_named(site: Path) -> None:
    body = "@hookimpl\ndef vssl_tasks():\n    yield Spec(name='rtt', target='other:Rtt')\n"
    installed(site, "other-speed", {"other": "other_rtt_plugin"}, {"other_rtt_plugin": HEAD + body})
    with pytest.raises(PluginError, match=r"plugin 'other' of other-speed 1\.5 and by plugin 'vssl-speed' of vssl"):
        Registry.discover().entry("tasks", "rtt")
