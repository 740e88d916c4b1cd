"""What the documents say is so: links lead somewhere, names exist, code compiles, the README's suite can be planned."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from support.catalogue_page import (
    audit_table,
    corrected_together,
    gains_table,
    guess_table,
    named_cells,
    pretext_table,
    speed_table,
)
from support.outside import ROOT

from vssl_bench.plan import make_plan
from vssl_bench.recipes import find_recipe, recipe_tasks
from vssl_bench.suite import load_suite
from vssl_core.cli.main import OWN_VERBS
from vssl_core.components import Reference
from vssl_core.plugins import Registry

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("examples/*/README.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(path: Path, language: str) -> list[str]:
    return [body for name, body in FENCE.findall(path.read_text(encoding="utf-8")) if name == language]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere_and_code_compiles(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    missing = [target for target in targets if target and not (path.parent / target).exists()]
    assert not missing
    for code in blocks(path, "python"):
        compile(code, str(path), "exec")


def test_verbs_and_components_exist(registry: Registry) -> None:
    verbs = {*OWN_VERBS, *registry.names("commands")}
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        used = set(re.findall(r"^\s*(?:\$ )?vssl ([a-z]+)", text, re.MULTILINE))
        assert used <= verbs, f"{path}: {used - verbs}"
        for kind in ("task", "protocol", "backbone"):
            named = set(re.findall(rf"(?:\b{kind}=|[{{]{kind}: )([a-z0-9-]+(?:@[a-z-]+)?)", text))
            for name in named - {"speed-pair", "speed-pair@tiny"}:
                registry.resolve(kind, name)


def test_the_changelog_names_every_component(registry: Registry) -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for kind in ("tasks", "backbones", "heads", "protocols", "datasets", "trackers", "launchers", "suites"):
        absent = [name for name in registry.names(kind) if f"`{name}`" not in text]
        assert not absent, f"{kind}: {absent}"


def test_the_readme_suite_can_be_planned(registry: Registry, tmp_path: Path) -> None:
    (text,) = blocks(ROOT / "README.md", "yaml")
    file = tmp_path / "speeds.yaml"
    file.write_text(text)
    plan = make_plan(load_suite(str(file), (), registry), registry, tmp_path / "runs")
    runs = sum(entry.get("seeds", 1) * (2 if "placebo" in entry else 1) for entry in yaml.safe_load(text)["pretrain"])
    assert sum(job.kind == "pretrain" for job in plan.jobs) == runs
    assert not plan.refused


def test_the_readme_counts_the_quickstart_right(registry: Registry, tmp_path: Path) -> None:
    plan = make_plan(load_suite("quickstart", (), registry), registry, tmp_path)
    trainings = sum(job.kind == "pretrain" and job.steps > 0 for job in plan.jobs)  # floors are not trained
    measurements = sum(job.kind == "transfer" for job in plan.jobs)
    said = re.search(r"(\d+) trainings, (\d+) measurements", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert said
    assert [int(number) for number in said.groups()] == [trainings, measurements]


def test_the_readme_plugin_is_the_example() -> None:
    example = (ROOT / "examples/vssl-acme-speed/acme_speed/task.py").read_text(encoding="utf-8")
    body = " ".join(example.split())
    for line in blocks(ROOT / "README.md", "python")[-1].splitlines():
        # Signatures are annotated in the example; the lines that do something are the same.
        if line.strip() and not line.strip().startswith(("def ", "self._augmentation", "@dataclass")):
            assert " ".join(line.split()) in body, line


def test_the_catalogue_page_shows_its_records() -> None:
    """Every table of it is what the committed records give; a task that does not win has a reason with records."""
    text = (ROOT / "docs/catalogue.md").read_text(encoding="utf-8")
    suites = ("toy", "few-labels", "ceiling", "fresh-seeds", "longer", "longer-seeds")
    for suite in (f"catalogue-{name}" for name in suites):
        assert named_cells(suite) in text, suite
    assert gains_table("catalogue-ceiling") in text
    together = corrected_together("catalogue-ceiling")
    for task in ("clip-order", "vthcl"):
        assert f"(p {together[task, 'toy-physics']:.2g})" in text, task
    assert pretext_table() in text
    assert guess_table("catalogue-toy", "catalogue-longer") in text
    assert speed_table() in text
    losers = re.findall(r"^\| ([a-z-]+) \|.*does not win", named_cells("catalogue-toy"), re.MULTILINE)
    assert len(losers) == 13
    reasons = text.partition("## Why the others do not win")[2].partition("\n## ")[0]
    assert [task for task in losers if f"`{task}`" not in reasons] == []


def test_every_official_number_can_be_made_again() -> None:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| .* \| (.*) \| .* \| .* \|$", (ROOT / "docs/tasks.md").read_text(), re.MULTILINE
    )
    official = {task.replace("-", "_") for task, source in rows if re.search(r"official \S+@|unofficial \S+@", source)}
    scripts = {path.stem for path in (ROOT / "tests/golden/make").glob("*.py")} - {"official"}
    assert official == scripts and len(scripts) == 11
    for task in scripts:
        text = (ROOT / "tests/golden/make" / f"{task}.py").read_text(encoding="utf-8")
        assert re.search(r"^    git clone https://github\.com/\S+$", text, re.MULTILINE)
        assert re.search(r"^COMMITS? = .*[0-9a-f]{40}", text, re.MULTILINE), task


@pytest.mark.parametrize("suite", ["shortcut-audit", "shortcut-audit-real"])
def test_the_page_of_tasks_shows_its_audits(suite: str) -> None:
    assert audit_table(suite) in (ROOT / "docs/tasks.md").read_text(encoding="utf-8")


def test_speeds_are_those_of_the_recipes(registry: Registry) -> None:
    rows = json.loads((ROOT / "benchmarks/speed/results/tasks.json").read_text(encoding="utf-8"))["rows"]
    assert {row["task"] for row in rows} == set(recipe_tasks())
    for row in rows:
        config = find_recipe(f"{row['task']}@tiny", registry).config()
        assert (row["backbone"], row["batch"]) == (Reference.parse(config.backbone, where="").name, config.batch_size)
        # A minute on one core, its start and its evaluation included.
        assert row["seconds"]["median_cpu"] * config.steps <= 55, row["task"]
