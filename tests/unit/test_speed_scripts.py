"""The speed measurements run at their smallest, and say what was left out. Their figures mean nothing here."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

FOLDER = Path(__file__).parents[2] / "benchmarks" / "speed"


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a script by its path: its folder is no package."""
    spec = importlib.util.spec_from_file_location(f"speed_{name}", FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


SMALLEST_BATCH = ["--batch=2", "--frames=2", "--height=20", "--width=24", "--size=16", "--repeats=2"]


@pytest.mark.parametrize("with_kornia", [True, False])
def test_augment(with_kornia: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With kornia where it is installed, and as if it were not."""
    if not with_kornia:
        monkeypatch.setitem(sys.modules, "kornia.augmentation", None)
        monkeypatch.setitem(sys.modules, "kornia", None)
    peers = {"torchvision"} | ({"kornia"} if with_kornia and importlib.util.find_spec("kornia") else set())
    script = load("augment", monkeypatch)
    done = CliRunner().invoke(script.main, [*SMALLEST_BATCH, "--json", str(tmp_path / "augment.json")])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "augment.json").read_text(encoding="utf-8"))
    assert set(report["ratios"]) == set(report["cpu_ratios"]) == peers
    for name in peers:
        assert report["ratios"][name] == report[f"{name}_s"] / report["ours_s"] > 0
    assert report["setup"]["frames"] == 2
    assert "2 clips of 2 frames, 20x24 -> 16x16, cpu, 1 thread(s)" in done.output
    if "kornia" not in peers:
        assert report["kornia_s"] is None
        assert "pip install 'vssl[speed]'" in done.output
    printed = CliRunner().invoke(script.main, [*SMALLEST_BATCH, "--json"])
    assert set(json.loads(printed.stdout)) == set(report)


def test_augment_times_nothing_but_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    script = load("augment", monkeypatch)
    monkeypatch.setattr(script, "make_ours", lambda setup: lambda video, seeds: video)
    done = CliRunner().invoke(script.main, SMALLEST_BATCH)
    assert done.exit_code == 1
    assert "expected contiguous float32 (2, 3, 2, 16, 16)" in done.output
    monkeypatch.setattr(script.torch.cuda, "is_available", lambda: False)
    with pytest.raises(click.ClickException, match="torch finds no GPU here; use --device cpu"):
        script.main.main(["--device", "cuda"], standalone_mode=False)
