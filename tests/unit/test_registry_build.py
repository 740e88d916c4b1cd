"""Looking up, resolving and building components."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from vssl_core.config.schema import option
from vssl_core.contracts import Spec
from vssl_core.errors import ConfigError, PluginError
from vssl_core.hookspecs import hookimpl
from vssl_core.plugins import Registry
from vssl_core.testing import isolated_registry


@dataclass(kw_only=True, slots=True)
class TaskConfig:
    """Options of the task below."""

    frames: int = option(16, "frames a clip", minimum=1)
    speeds: list[int] = option([1, 2], "speeds", choices=(1, 2, 4, 8))
    head: Any = option("linear", "a component")


class Task:
    def __init__(
        self, backbone: Any, *, frames: int, speeds: list[int], head: Any, build: Any, n_classes: int = 0
    ) -> None:
        self.backbone, self.frames, self.speeds, self.head, self.n_classes = backbone, frames, speeds, head, n_classes
        self.built = build("heads", head, 3)


class Head:
    def __init__(self, width: int) -> None:
        self.width = width


class Narrow:
    """Its constructor lacks the options that TaskConfig declares."""

    def __init__(self, backbone: Any) -> None: ...


@dataclass(kw_only=True, slots=True)
class NamedConfig:
    """Has an option that configurations cannot write."""

    name: str = option("", "a name")


@dataclass
class RequiredConfig:
    """An option has no default."""

    frames: int


def names() -> list[str]:
    return ["resnet18", "resnet50"]


def member(name: str, *, frames: int, speeds: list[int], head: Any) -> tuple[str, int]:
    return name, frames


HERE = "registry_build_module"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    module = types.ModuleType(HERE)
    for thing in (Task, Head, Narrow, TaskConfig, NamedConfig, RequiredConfig, names, member):
        setattr(module, thing.__name__, thing)
    module.number = 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, HERE, module)

    class Plugin:
        @hookimpl
        def vssl_tasks(self) -> Iterator[Spec]:
            config = f"{HERE}:TaskConfig"
            yield Spec(
                name="speed", target=f"{HERE}:Task", config=config, version=3,
                recipes={"tiny": {"frames": 4, "speeds": [1]}, "wrong": {"frame": 4}},
            )  # fmt: skip
            yield Spec(name="narrow", target=f"{HERE}:Narrow", config=config)
            yield Spec(name="named", target=f"{HERE}:Task", config=f"{HERE}:NamedConfig")
            yield Spec(name="required", target=f"{HERE}:Task", config=f"{HERE}:RequiredConfig")
            yield Spec(name="no-dataclass", target=f"{HERE}:Task", config=f"{HERE}:Task")
            yield Spec(name="absent", target=f"{HERE}:Tsk")
            yield Spec(name="heavy", target="package_that_is_missing.task:Task", extras=("heavy", "video"))

        @hookimpl
        def vssl_heads(self) -> Iterator[Spec]:
            yield Spec(name="linear", target=f"{HERE}:Head")

        @hookimpl
        def vssl_suites(self) -> Iterator[Spec]:
            yield Spec(name="shipped", target="vssl_core:errors.py")
            yield Spec(name="lost", target="vssl_core:suites/lost.yaml")

        @hookimpl
        def vssl_resolvers(self) -> Iterator[Spec]:
            yield Spec(name="backbones:zoo", target=f"{HERE}:names", config=f"{HERE}:TaskConfig", version=2)

    yield isolated_registry(acme=Plugin())


def test_resolve_completes_and_checks_options(registry: Registry) -> None:
    resolved = registry.resolve("task", "speed")
    assert resolved.options == {"frames": 16, "speeds": [1, 2], "head": "linear"}
    assert (resolved.kind, resolved.name, resolved.recipe, resolved.version) == ("tasks", "speed", "", 3)
    assert resolved.reference == "speed"


def test_recipe_lies_between_defaults_and_options(registry: Registry) -> None:
    assert registry.resolve("tasks", "speed@tiny").options == {"frames": 4, "speeds": [1], "head": "linear"}
    mixed = registry.resolve("tasks", {"name": "speed@tiny", "frames": 5})
    assert mixed.options == {"frames": 5, "speeds": [1], "head": "linear"}
    assert mixed.reference == "speed@tiny"
    assert registry.resolve("tasks", {"name": "speed", "recipe": "tiny", "frames": 5}).options == mixed.options
    assert registry.resolve("tasks", mixed.as_config()).options == mixed.options


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("speed@tny", "has no recipe 'tny'; did you mean 'tiny'?"),
        (
            {"name": "speed", "frmes": 3},
            r"task.frmes: task 'speed' \(plugin 'acme' given in memory\).*did you mean 'frames'",
        ),
        ({"name": "speed", "frames": 0}, r"task.frames=0: expected int of at least 1; .*task 'speed'.*frames a clip"),
        ({"name": "speed", "frames": "many"}, "task.frames='many': expected int"),
        ({"name": "speed", "speeds": [1, 3]}, r"task.speeds=\[1, 3\]: expected list\[int\], one of 1, 2, 4, 8"),
        ({"name": "speed", "speeds": 2}, r"task.speeds=2: expected list\[int\]"),
        ({"frames": 3}, "expected the name of a component under 'name'"),
        ({"name": "speed@tiny", "recipe": "other"}, "names two recipes"),
        ("speed@", "expected a recipe after '@'"),
        (["speed"], "expected NAME, NAME@RECIPE or a mapping"),
        ({"name": "speed@wrong", "frames": 3}, "task@wrong.frame"),
        ({"name": "absent", "frames": 3}, "takes no options, got frames"),
    ],
)
def test_what_is_wrong_with_a_value_is_said_with_its_full_key(registry: Registry, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        registry.resolve("tasks", value)


def test_where_overrides_the_key_in_errors(registry: Registry) -> None:
    with pytest.raises(ConfigError, match=r"jobs\.0\.task\.frames=0"):
        registry.resolve("tasks", {"name": "speed", "frames": 0}, where="jobs.0.task")


def test_build_hands_over_options_build_and_further_keywords(registry: Registry) -> None:
    task = registry.build("tasks", "speed@tiny", "network", frames=7, n_classes=5)
    assert (task.backbone, task.frames, task.speeds, task.n_classes) == ("network", 7, [1], 5)
    assert task.built.width == 3


def test_build_takes_what_resolve_returned(registry: Registry) -> None:
    resolved = registry.resolve("tasks", {"name": "speed@tiny", "frames": 6})
    assert registry.build("tasks", resolved, "network").frames == 6


def test_default_lists_are_not_shared(registry: Registry) -> None:
    registry.build("tasks", "speed", None).speeds.append(8)
    assert registry.build("tasks", "speed", None).speeds == [1, 2]


def test_unknown_keywords_of_build_are_refused(registry: Registry) -> None:
    with pytest.raises(ConfigError, match=r"task.n_clases.*its options: frames, speeds, head"):
        registry.build("tasks", "speed", None, n_clases=5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("narrow", r"keywords \['frames', 'head', 'speeds'\].*must be the fields of its config class"),
        ("named", "a field 'name', which is a reserved word"),
        ("required", "no default for 'frames'"),
        ("no-dataclass", "expected a dataclass"),
        ("absent", "has no 'Tsk'; did you mean 'Task'"),
    ],
)
def test_faults_of_a_component_name_its_plugin(registry: Registry, name: str, message: str) -> None:
    with pytest.raises(PluginError, match=message) as caught:
        registry.build("tasks", name, None)
    assert f"task '{name}' (plugin 'acme' given in memory)" in str(caught.value)


def test_a_failing_import_names_the_extras(registry: Registry) -> None:
    with pytest.raises(PluginError, match=r"package_that_is_missing.*it needs the extras heavy, video"):
        registry.load("tasks", "heavy")


def test_the_extras_of_a_distribution_are_named_as_pip_takes_them(registry: Registry) -> None:
    import dataclasses

    from vssl_core.components import import_target

    entry = dataclasses.replace(registry.entry("tasks", "heavy"), distribution="acme-speed", distribution_version="1")
    with pytest.raises(PluginError, match=r"pip install 'acme-speed\[heavy,video\]'"):
        import_target(entry)


def test_members_of_a_family(registry: Registry) -> None:
    assert registry.family("backbones", "zoo") == ["resnet18", "resnet50"]
    assert registry.build("backbones", {"name": "zoo/resnet18", "frames": 2}) == ("resnet18", 2)
    resolved = registry.resolve("backbones", "zoo/resnet50")
    assert (resolved.name, resolved.version, resolved.entry.kind) == ("zoo/resnet50", 2, "backbones")
    with pytest.raises(ConfigError, match="did you mean 'resnet18'"):
        registry.entry("backbones", "zoo/resnet8")
    with pytest.raises(PluginError, match="known: zoo/NAME"):
        registry.entry("backbones", "zo/resnet18")


def test_suites_are_packaged_files(registry: Registry) -> None:
    assert "class VsslError" in registry.load("suites", "shipped").read_text()
    with pytest.raises(PluginError, match=r"holds no file 'suites/lost\.yaml'"):
        registry.load("suites", "lost")
