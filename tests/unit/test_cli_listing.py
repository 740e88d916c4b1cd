"""``vssl list``, ``info``, ``plugins`` and how errors leave the command line."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from vssl_core import __version__
from vssl_core.cli.main import OWN_VERBS, cli
from vssl_core.cli.overrides import split_arguments
from vssl_core.cli.state import State
from vssl_core.contracts import Spec
from vssl_core.errors import ConfigError, DataError
from vssl_core.hookspecs import hookimpl
from vssl_core.plugins import Registry


@click.command()
def hello() -> None:
    """Say hello."""
    from vssl_core.cli.state import current_registry

    click.echo(f"hello from {len(current_registry().plugins)} plugins")


@click.command()
def data_error() -> None:
    raise DataError("the folder is empty")


@click.command()
def interrupt() -> None:
    raise KeyboardInterrupt


@click.command()
def bug() -> None:
    raise ZeroDivisionError("a bug")


HERE = "cli_listing_module"


@hookimpl
def vssl_commands() -> Iterable[Spec]:
    for name in ("hello", "data-error", "interrupt", "bug"):
        yield Spec(name=name, target=f"{HERE}:{name.replace('-', '_')}", summary=f"the verb {name}")
    yield Spec(name="list", target=f"{HERE}:hello", summary="hidden")
    yield Spec(name="lost", target=f"{HERE}:lost", summary="its target is missing")


@pytest.fixture(scope="module")
def registry() -> Registry:
    import sys

    module = types.ModuleType(HERE)
    module.__dict__.update(
        vssl_commands=vssl_commands, hello=hello, data_error=data_error, interrupt=interrupt, bug=bug
    )
    sys.modules[HERE] = module
    broken = types.ModuleType("broken")
    broken.vssl_task = hookimpl(lambda: [])  # type: ignore[attr-defined]
    return Registry.discover(plugins={"verbs": module, "broken-one": broken}, disable=())


@pytest.fixture
def run(registry: Registry) -> Any:
    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, list(arguments), obj=State(registry))

    return invoke


def test_list_shows_name_version_plugin_and_summary(run: Any) -> None:
    result = run("list", "tasks")
    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if line.startswith("rtt "))
    assert line.split()[1:6] == ["1", "@tiny", "temporal", "accuracy", "2007.10730"]
    masked = next(line for line in result.stdout.splitlines() if line.startswith("videomae"))
    assert masked.split()[1:6] == ["1", "@tiny", "masking", "2203.12602", "vssl-masked"]
    trackers = run("list", "trackers").stdout.splitlines()
    assert not {"needs", "gives"} & set(trackers[0].split()), "no empty columns"
    assert "needs labels" in next(line for line in result.stdout.splitlines() if line.startswith("supervised"))
    assert "broken plugin: 'broken-one'" in result.stderr
    assert "broken-one" not in result.stdout


def test_list_takes_the_singular_and_shows_families(run: Any) -> None:
    assert "timm/NAME" in run("list", "backbone").stdout
    assert run("list", "backbone").stdout == run("list", "backbones").stdout


def test_list_shows_every_kind(run: Any) -> None:
    out = run("list").stdout
    for word in ("tasks", "backbones", "protocols", "datasets", "suites", "rtt", "linear-probe", "toy-motion", "hello"):
        assert word in out.split()


def test_list_as_json(run: Any) -> None:
    listed = json.loads(run("list", "tasks", "--json").stdout)
    rtt = next(component for component in listed if component["name"] == "rtt")
    assert (rtt["kind"], rtt["plugin"], rtt["distribution"], rtt["version"]) == ("tasks", "vssl-speed", "vssl", 1)
    assert rtt["recipes"]["tiny"]["frames"] == 8
    assert {component["kind"] for component in json.loads(run("list", "--json").stdout)} >= {
        "tasks",
        "backbones",
        "suites",
    }


def test_info_shows_options_with_bounds_defaults_and_docs(run: Any) -> None:
    out = run("info", "task", "rtt").stdout
    assert "2007.10730" in out and "'vssl-speed' of vssl" in out
    line = next(line for line in out.splitlines() if line.startswith("stride "))
    assert line.split()[:5] == ["stride", "int", "1", ">=", "1"]
    assert "@tiny" in out


def test_info_as_json(run: Any) -> None:
    told = json.loads(run("info", "tasks", "rtt", "--json").stdout)
    options = {option["name"]: option for option in told["options"]}
    assert options["fit"]["choices"] == ["short-side-crop", "stretch", "pad"]
    assert options["crop_scale"] == {
        "name": "crop_scale", "type": "float", "default": 0.766, "minimum": 0.05, "maximum": 1.0, "choices": None,
        "doc": options["crop_scale"]["doc"],
    }  # fmt: skip
    assert all(option["doc"] for option in options.values())


@pytest.mark.parametrize("name", ["suites quickstart", "backbone timm/resnet18", "tracker jsonl", "command hello"])
def test_info_of_every_sort(run: Any, name: str) -> None:
    assert run("info", *name.split()).exit_code == 0


def test_plugins(run: Any) -> None:
    result = run("plugins")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "ok" in next(line for line in lines if line.startswith("vssl-speed")).split()
    assert "did you mean 'vssl_tasks'" in result.stdout
    assert "the verb 'list' of plugin 'verbs' given in memory is hidden" in result.stdout
    told = {info["name"]: info for info in json.loads(run("plugins", "--json").stdout)}
    assert (told["broken-one"]["status"], told["vssl-speed"]["counts"]["tasks"]) == ("broken", 7)


def test_help_lists_the_verbs_of_plugins_without_importing_them(run: Any) -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "the verb hello [verbs]" in result.stdout and "its target is missing" in result.stdout


@pytest.mark.parametrize("verb", OWN_VERBS)
def test_every_verb_has_a_help_text(run: Any, verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    # the first paragraph is a sentence of its own, and click has rendered \b
    assert result.stdout.splitlines()[2].strip().endswith((".", ":")) or result.stdout.splitlines()[3]
    assert "\\b" not in result.stdout and "noqa" not in result.stdout


def test_version(run: Any) -> None:
    assert run("--version").stdout.strip() == f"vssl, version {__version__}"


def test_verbs_of_plugins_run_and_share_the_registry(run: Any, registry: Registry) -> None:
    assert run("hello").stdout == f"hello from {len(registry.plugins)} plugins\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("data-error", 1, "error: the folder is empty"),
        ("interrupt", 130, "run the same command to go on"),
        ("lost", 1, "has no 'lost'"),
        ("lisst", 2, "no verb 'lisst'; did you mean 'list'"),
        ("info task rttt", 2, "no task 'rttt'; did you mean 'rtt'?"),
        ("info task rtt@tny", 2, "no recipe 'tny'; did you mean 'tiny'?"),
        ("info taks rtt", 2, "no kind 'taks'"),
        ("list taks", 2, "no kind 'taks'"),
        ("info task", 2, "Missing argument 'NAME'"),
    ],
)
def test_errors_are_a_message_and_an_exit_code(run: Any, arguments: str, code: int, message: str) -> None:
    result = run(*arguments.split())
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_bugs_keep_their_traceback(run: Any) -> None:
    assert isinstance(run("bug").exception, ZeroDivisionError)


def test_arguments_are_a_file_and_overrides(tmp_path: Any) -> None:
    file = tmp_path / "a=b.yaml"
    file.write_text("", encoding="utf-8")
    assert split_arguments(["task=rtt", str(file), "steps=1"]) == (str(file), ["task=rtt", "steps=1"])
    assert split_arguments([]) == (None, [])
    assert split_arguments(["missing.yaml"]) == ("missing.yaml", [])
    with pytest.raises(ConfigError, match="neither a YAML file nor key=value"):
        split_arguments(["rtt"])
    with pytest.raises(ConfigError, match="expected one YAML file"):
        split_arguments(["a.yaml", "b.yaml"])
