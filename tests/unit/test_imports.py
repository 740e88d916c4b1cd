"""What may import what, as far as import-linter does not say it: light modules, public names, listing without torch."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from vssl_core.testing.components import HEAVY_MODULES, check_light_imports

ROOT = Path(__file__).parents[2]
LIGHT_CORE = [
    "vssl_core",
    "vssl_core.contracts",
    "vssl_core.hookspecs",
    "vssl_core.errors",
    "vssl_core.plugins",
    "vssl_core.config.schema",
    "vssl_core.cli.main",
]
PLUGINS = sorted(point.value for point in entry_points(group="vssl") if point.dist and point.dist.name == "vssl")
SOURCES = sorted(
    path
    for place in ("vssl_core", "plugins", "benchmarks/vssl_bench", "examples")
    for path in (ROOT / place).rglob("*.py")
)


def outside_core() -> list[Path]:
    return [path for path in SOURCES if not path.is_relative_to(ROOT / "vssl_core") and "tests" not in path.parts]


def imports(path: Path) -> Iterator[ast.ImportFrom | ast.Import]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.ImportFrom, ast.Import)):
            yield node


def test_every_package_is_an_entry_point() -> None:
    folders = {path.parent.name for path in (ROOT / "plugins").glob("vssl_*/__init__.py")} | {"vssl_bench"}
    assert {value.partition(".")[0] for value in PLUGINS} == folders


@pytest.mark.parametrize("module", LIGHT_CORE)
def test_what_runs_before_a_command_is_light(module: str) -> None:
    check_light_imports([module])


def test_discovery_is_light() -> None:
    light = [module for module in PLUGINS]
    for module in PLUGINS:
        config = module.replace(".plugin", ".config")
        if importlib.util.find_spec(config):
            light.append(config)
    check_light_imports(light)


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["plugins"], ["--help"]], ids=" ".join)
def test_listing_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import json, sys\n"
        "from vssl_core.cli.main import cli\n"
        "cli.main(json.loads(sys.argv[1]), standalone_mode=False)\n"
        "print('HEAVY', [name for name in json.loads(sys.argv[2]) if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", program, json.dumps(arguments), json.dumps(HEAVY_MODULES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("HEAVY []"), done.stdout[-200:]


def test_plugins_import_public_names_of_the_core() -> None:
    private = []
    for path in outside_core():
        for node in imports(path):
            if isinstance(node, ast.Import):
                private += [f"{path}:{node.lineno}: {a.name}" for a in node.names if a.name.startswith("vssl_core.")]
            elif (node.module or "").split(".")[0] == "vssl_core":
                module = importlib.import_module(str(node.module))
                public = set(getattr(module, "__all__", ()))
                private += [
                    f"{path}:{node.lineno}: {module.__name__}.{a.name}" for a in node.names if a.name not in public
                ]
    assert not private, "not in __all__, or a module imported whole:\n" + "\n".join(private)


def test_modules_stay_small_and_named_for_what_they_do() -> None:
    long = {str(path.relative_to(ROOT)): n for path in SOURCES if (n := len(path.read_text().splitlines())) > 400}
    assert not long, f"more than 400 lines; split by job: {long}"
    vague = [path for path in SOURCES if path.stem in {"utils", "util", "helpers", "misc", "common"}]
    assert not vague
    homeless = {
        path.parent for path in SOURCES if "tests" not in path.parts and not (path.parent / "__init__.py").exists()
    }
    assert not homeless, f"setuptools would leave these out of the wheel: {homeless}"
