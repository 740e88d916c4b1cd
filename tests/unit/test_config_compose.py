"""Layers of configuration, and what is said about a wrong one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from vssl_core.config.compose import compose, load_yaml, merge_component, parse_override, save_yaml, to_plain, typed
from vssl_core.config.schema import OptimConfig, PretrainConfig, option
from vssl_core.errors import ConfigError, PluginError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "conf.yaml"
    path.write_text("task: {name: pace, rates: 3}\noptim:\n  lr: 1e-2\n  name: sgd\nsteps: 7\n", encoding="utf-8")
    return path


def test_later_layers_lie_on_top(file: Path) -> None:
    config = compose(PretrainConfig, file, ["optim.lr=1e-3", "seed=2"], base={"seed": 1, "batch_size": 4, "steps": 3})
    assert (config.optim.lr, config.optim.name, config.seed, config.batch_size, config.steps) == (1e-3, "sgd", 2, 4, 7)
    assert config.task == {"name": "pace", "rates": 3}
    assert config.backbone == PretrainConfig().backbone


@pytest.mark.parametrize(
    ("overrides", "task"),
    [
        (["task.rates=4"], {"name": "pace", "rates": 4}),
        (["task.frames=8"], {"name": "pace", "rates": 3, "frames": 8}),
        (["task=rtt@tiny"], "rtt@tiny"),
        (["task=rtt", "task.speeds=[1,2]"], {"name": "rtt", "speeds": [1, 2]}),
        (["task.speeds=[1,2]", "task=rtt"], {"name": "rtt", "speeds": [1, 2]}),
        (["task.speeds=[1,2]", "task.name=rtt"], {"name": "rtt", "speeds": [1, 2]}),
        (["task={name: random-labels, of: {name: rtt, frames: 8}}", "task.of.frames=4"],
         {"name": "random-labels", "of": {"name": "rtt", "frames": 4}}),
        (["task=random-labels", "task.of=rtt@tiny", "task.of.frames=4"],
         {"name": "random-labels", "of": {"name": "rtt@tiny", "frames": 4}}),
    ],
)  # fmt: skip
def test_naming_a_component_starts_it_afresh_and_options_add_to_it(file: Path, overrides: list[str], task: Any) -> None:
    assert compose(PretrainConfig, file, overrides).task == task


def test_options_on_the_default_component() -> None:
    assert compose(PretrainConfig, None, ["task.frames=8"]).task == {"name": PretrainConfig().task, "frames": 8}


def test_merge_component_leaves_its_arguments_alone() -> None:
    old = {"name": "a", "of": {"name": "b", "x": 1}}
    assert merge_component(old, {"of": {"x": 2}}) == {"name": "a", "of": {"name": "b", "x": 2}}
    assert old == {"name": "a", "of": {"name": "b", "x": 1}}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optm.lr=1"], r"optm \(command line\): PretrainConfig has no such option; did you mean 'optim'"),
        (["optim.lrr=1"], r"optim.lrr \(command line\): optim has no such option; did you mean 'lr'"),
        (["optim.lr=fast"], r"optim.lr='fast' \(command line\): expected float of at least 0.0.*peak learning rate"),
        (["optim.lr=-1"], r"optim.lr=-1.0 \(command line\): expected float of at least 0.0"),
        (["optim.lr=.nan"], r"optim.lr=nan \(command line\)"),
        (["optim.clip_grad=null"], r"optim.clip_grad=None \(command line\): expected float"),
        (["optim=sgd"], r"optim \(command line\): expected a mapping of options, got 'sgd'"),
        (["steps=1.5"], r"steps=1.5 \(command line\): expected int"),
        (["steps=true"], r"steps=True \(command line\): expected int"),
        (["precision=fp8"], "expected str, one of auto, fp32, bf16, fp16"),
        (["loader.max_bad=2"], "expected float from 0.0 to 1.0"),
        (["trackers=jsonl"], r"trackers='jsonl' \(command line\): expected list\[str\]"),
        (["label=${nothing}"], "label: Interpolation key 'nothing' not found"),
        (["steps"], "'steps' is no override; expected key=value"),
        (["optim..lr=1"], "is no override"),
        (["task.speeds=[1,"], "task.speeds: cannot read"),
    ],
)
def test_errors_name_the_key_the_source_and_what_was_expected(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(PretrainConfig, None, overrides)


def test_errors_in_a_file_name_the_file(file: Path) -> None:
    file.write_text("steps: many\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"steps='many' \(file .*conf.yaml\): expected int"):
        compose(PretrainConfig, file)
    # a value that is right on the command line covers the one in the file
    assert compose(PretrainConfig, file, ["steps=3"]).steps == 3


def test_typed_puts_where_and_owner_into_errors() -> None:
    with pytest.raises(ConfigError, match=r"fit.optim.lrr: task 'x' has no such option; did you mean 'lr'"):
        typed(OptimConfig, {"lrr": 1}, where="fit.optim", owner="task 'x'")


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("optim.lr=1e-3", ("optim", "lr"), 1e-3),
        ("out=a=b", ("out",), "a=b"),
        ("label=", ("label",), ""),
        ("label='1e-3'", ("label",), "1e-3"),
        ("trackers=[a, b]", ("trackers",), ["a", "b"]),
        ("task={name: rtt}", ("task",), {"name": "rtt"}),
        ("x=null", ("x",), None),
        ("data.root=/a b/c", ("data", "root"), "/a b/c"),
    ],
)
def test_overrides_are_yaml(text: str, path: tuple[str, ...], value: Any) -> None:
    parsed = parse_override(text)
    assert parsed == (path, value)
    assert type(parsed[1]) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "no valid YAML"),
        ("- 1\n- 2\n", "expected a mapping"),
        ("a: 1\na: 2\n", "duplicate"),
        ("1: x\n", "mapping of names"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"bad.yaml: .*{message}"):
        load_yaml(path)


def test_a_missing_file_suggests_a_near_one(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file; did you mean 'conf.yaml'"):
        load_yaml(file.with_name("cnf.yaml"))


def test_yaml_cannot_construct_objects(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("a: !!python/object/apply:os.getcwd []\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no valid YAML"):
        load_yaml(path)


def test_saved_configurations_are_read_back_equal(tmp_path: Path) -> None:
    config = compose(
        PretrainConfig, None, ["task={name: rtt, speeds: [1, 2]}", "label='1e-3'", "optim.lr=1e-5", "out=no"]
    )
    plain = to_plain(config)
    save_yaml(plain, tmp_path / "config.yaml")
    assert load_yaml(tmp_path / "config.yaml") == plain
    assert to_plain(compose(PretrainConfig, tmp_path / "config.yaml")) == plain
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_to_plain() -> None:
    thing = {"a": (1, 2), "b": frozenset({"y", "x"}), "c": Path("p"), "d": None, "e": OptimConfig()}
    plain = to_plain(thing)
    assert (plain["a"], plain["b"], plain["c"], plain["e"]["lr"]) == ([1, 2], ["x", "y"], "p", 3e-3)
    with pytest.raises(ConfigError, match="cannot be written"):
        to_plain({"a": object()})
    with pytest.raises(ConfigError, match="keys must be text"):
        to_plain({1: "a"})


@dataclass(kw_only=True, slots=True)
class Rich:
    """Types that config dataclasses may use."""

    pair: tuple[int, int] = option((1, 2), "two numbers", minimum=1)
    maybe: int | None = option(None, "a number or none", minimum=0)
    either: int | str = option("auto", "a number or text")
    named: dict[str, float] = option({}, "numbers by name")
    rows: list[list[int]] = option([[1]], "lists of lists")
    nested: OptimConfig = field(default_factory=OptimConfig, metadata={"doc": "nested"})


def test_types_that_configurations_may_use() -> None:
    rich = typed(
        Rich, {"pair": [3, 4], "maybe": 5, "either": 6, "named": {"a": 1}, "rows": [[1, 2], [3]]}, {"nested": {"lr": 1}}
    )
    assert (rich.pair, rich.maybe, rich.either, rich.named, rich.rows) == ((3, 4), 5, 6, {"a": 1.0}, [[1, 2], [3]])
    assert (rich.nested.lr, typed(Rich).maybe) == (1.0, None)
    for wrong in ({"pair": [1, 2, 3]}, {"pair": [0, 1]}, {"maybe": -1}, {"rows": [1]}, {"named": {"a": "b"}}):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))}="):
            typed(Rich, wrong)


def test_a_class_that_cannot_be_a_configuration_is_the_plugins_fault() -> None:
    @dataclass
    class Odd:
        thing: object = None

    with pytest.raises(PluginError, match=r"config class .*Odd cannot be used"):
        typed(Odd, {})
