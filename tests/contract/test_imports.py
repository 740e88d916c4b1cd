"""Discovery stays cheap: what runs before a component is used imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vssl_core.hookspecs import HOOK_KINDS, Hooks
from vssl_core.plugins import Registry
from vssl_core.testing import HEAVY_MODULES, check_light_imports

ROOT = Path(__file__).resolve().parents[2]


def installed_modules(name: str) -> list[str]:
    """Return the modules called ``name`` (plugin or config) in the packages of all plugins."""
    packages = sorted(
        {
            entry.spec.target.partition(".")[0].partition(":")[0]
            for kind in HOOK_KINDS.values()
            for entry in REGISTRY.entries(kind)
        }
    )
    roots = [ROOT / "plugins", ROOT / "benchmarks"]
    return [
        f"{package}.{name}" for package in packages if any((root / package / f"{name}.py").exists() for root in roots)
    ]


REGISTRY = Registry.discover()


@pytest.mark.parametrize("module", installed_modules("plugin"))
def test_plugin_modules_import_nothing_heavy(module: str) -> None:
    check_light_imports([module])


def test_config_modules_import_nothing_heavy() -> None:
    modules = installed_modules("config")
    assert modules
    check_light_imports(modules)


def test_core_modules_on_the_way_to_a_listing_import_nothing_heavy() -> None:
    own = ["contracts", "hookspecs", "errors", "discovery", "components", "plugins", "config.schema", "testing"]
    verbs = sorted(f"cli.{path.stem}" for path in (ROOT / "vssl_core" / "cli").glob("*.py") if path.stem != "__init__")
    check_light_imports([f"vssl_core.{name}" for name in [*own, *verbs]])


@pytest.mark.parametrize("arguments", [["list"], ["list", "tasks", "--json"], ["plugins"], ["--help"]], ids=" ".join)
def test_listing_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from vssl_core.cli.main import main\n"
        "try:\n"
        "    main(sys.argv[2:])\n"
        "except SystemExit as end:\n"
        "    assert end.code in (0, None), end.code\n"
        "found = [name for name in sys.argv[1].split(',') if name in sys.modules]\n"
        "sys.exit(f'imported {found}' if found else 0)\n"
    )
    heavy = ",".join((*HEAVY_MODULES, "yaml", "requests"))
    done = subprocess.run(
        [sys.executable, "-c", program, heavy, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "rtt" in done.stdout or "vssl-speed" in done.stdout or "pretrain" in done.stdout


@pytest.mark.parametrize("hook", HOOK_KINDS)
def test_every_hook_is_documented_with_an_example_that_works(hook: str) -> None:
    """The example in a hook's docstring is run, and what it offers is listed."""
    import textwrap
    import types

    from vssl_core.contracts import Spec
    from vssl_core.hookspecs import hookimpl
    from vssl_core.testing import isolated_registry

    doc = getattr(Hooks, hook).__doc__ or ""
    assert doc.strip().splitlines()[0].strip().endswith((".", "`.", "capabilities.", "NAME``."))
    _, _, example = doc.partition("Example::")
    plugin = types.ModuleType("example")
    plugin.__dict__.update(Spec=Spec, hookimpl=hookimpl)
    exec(textwrap.dedent(example), plugin.__dict__)
    registry = isolated_registry(example=plugin)
    assert [info.describe() for info in registry.plugins if info.status != "ok"] == []
    assert len(registry.entries(HOOK_KINDS[hook])) == 1


def test_no_hook_lacks_a_kind() -> None:
    assert {name for name in vars(Hooks) if name.startswith("vssl_")} == set(HOOK_KINDS)
