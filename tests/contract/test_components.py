"""Every registered component keeps its contract: the conformance kit over whatever is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.kinds import KINDS, REFUSED, able
from support.official_sets import LAYOUTS, lay_out

from vssl_core.config.schema import PretrainConfig
from vssl_core.discovery import Entry
from vssl_core.engine.planned import check_pair
from vssl_core.engine.rehearsal import rehearse
from vssl_core.plugins import Registry
from vssl_core.testing import (
    check_backbone,
    check_component,
    check_dataset,
    check_flow,
    check_head,
    check_launcher,
    check_protocol,
    check_task,
    check_tracker,
)

REGISTRY = Registry.discover()

# Options that make a component small enough for a test, where its recipe `tiny` is not enough or there is none.
SMALL: dict[str, dict[str, Any]] = {
    "random-labels": {"of": "pace@tiny"},
    "toy-motion": {"n_train": 16, "n_test": 8},
    "toy-physics": {"n_train": 10, "n_test": 5},
    "wandb": {"mode": "offline"},
    "local": {"workers": 1, "threads": 1, "gpus": 0},
}


def components(kind: str) -> list[Any]:
    return [pytest.param(entry, id=entry.spec.name) for entry in REGISTRY.entries(kind)]


def small(entry: Entry) -> Any:
    if entry.spec.name in SMALL:
        return {"name": entry.spec.name, **SMALL[entry.spec.name]}
    return entry


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_no_plugin_is_broken() -> None:
    assert [info.describe() for info in REGISTRY.plugins if info.status != "ok"] == []


def tasks_with_recipes() -> list[Any]:
    values = []
    for entry in REGISTRY.entries("tasks"):
        name = entry.spec.name
        values += [pytest.param(f"{name}@{recipe}", id=f"{name}@{recipe}") for recipe in entry.spec.recipes]
        if not entry.spec.recipes:
            values.append(pytest.param(small(entry), id=name))
    return values


@pytest.mark.parametrize("task", tasks_with_recipes())
def test_task(task: Any) -> None:
    check_task(task, REGISTRY)


def pairs() -> list[Any]:
    return [
        pytest.param(entry, kind, id=f"{entry.spec.name}-{kind}")
        for entry in REGISTRY.entries("tasks")
        if "tiny" in entry.spec.recipes
        for kind in able(entry.spec, REGISTRY)
    ]


@pytest.mark.parametrize(("entry", "kind"), pairs())
def test_task_on_every_kind_of_backbone_that_it_can_take(entry: Entry, kind: str) -> None:
    """A pair that is impossible for another reason is refused by what planning does."""
    why = REFUSED.get((entry.spec.name, kind))
    if why is None:
        check_task(entry, REGISTRY, backbone=kind)
        assert rehearse(PretrainConfig(task=f"{entry.spec.name}@tiny", backbone=kind), REGISTRY) is None
        return
    refusal = rehearse(PretrainConfig(task=f"{entry.spec.name}@tiny", backbone=kind), REGISTRY)
    assert refusal is not None and why in refusal


# A capability that these lack: to them a clip in wrong order is the same as in the right one.
WITHOUT_TIME = {
    (task, network)
    for task in ("cloze", "odd-one-out", "rtt", "transrank")
    for network in ("timm/test_resnet", "timm/test_vit")
}


def test_tasks_about_the_order_of_frames_refuse_networks_that_do_not_see_it() -> None:
    found = set()
    for entry in REGISTRY.entries("tasks"):
        for kind in KINDS:
            task, backbone = REGISTRY.resolve("tasks", entry.spec.name), REGISTRY.resolve("backbones", kind)
            if "offers temporal;" in (check_pair(task, backbone) or ""):
                found.add((entry.spec.name, kind))
    assert found == WITHOUT_TIME


@pytest.mark.parametrize("kind", KINDS)
def test_features_depend_on_the_order_of_frames_where_they_say_so(kind: str) -> None:
    size = 160 if kind == "timm/test_vit" else 32
    torch.manual_seed(0)
    backbone = REGISTRY.build("backbones", kind).eval()
    clip = torch.rand(1, 3, 8, size, size)
    with torch.no_grad():
        forward, backward = backbone(clip).map.mean(2), backbone(clip.flip(2)).map.mean(2)
    same = torch.allclose(forward, backward, rtol=0, atol=1e-4 * float(forward.abs().max()))
    assert same != ("temporal" in REGISTRY.resolve("backbones", kind).spec.provides)


def test_every_task_can_take_one() -> None:
    assert {pair.values[0].spec.name for pair in pairs()} >= {
        e.spec.name for e in REGISTRY.entries("tasks") if e.spec.trains and "tiny" in e.spec.recipes
    }


@pytest.mark.parametrize("entry", components("backbones"))
def test_backbone(entry: Entry) -> None:
    check_backbone(entry, REGISTRY)


def test_member_of_a_family_of_backbones() -> None:
    check_backbone("timm/resnet18", REGISTRY)


@pytest.mark.parametrize("entry", components("heads"))
def test_head(entry: Entry) -> None:
    check_head(entry, REGISTRY)


@pytest.mark.parametrize("entry", components("protocols"))
def test_protocol(entry: Entry) -> None:
    check_protocol(small(entry), REGISTRY)


@pytest.mark.parametrize("entry", components("datasets"))
def test_dataset(entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSSL_HOME", str(tmp_path / "home"))
    value = small(entry)
    if entry.spec.name in ("folder", "csv"):
        value = own_videos(entry.spec.name, tmp_path / "videos")
    elif entry.spec.name in LAYOUTS:
        value = lay_out(entry.spec.name, tmp_path / "videos")
    check_dataset(value, REGISTRY)


@pytest.mark.parametrize("entry", components("trackers"))
def test_tracker(entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    check_tracker(small(entry), REGISTRY, tmp_path)


@pytest.mark.parametrize("entry", components("launchers"))
def test_launcher(entry: Entry, tmp_path: Path) -> None:
    check_launcher(small(entry), REGISTRY, tmp_path)


@pytest.mark.parametrize("entry", components("flows"))
def test_flow(entry: Entry) -> None:
    check_flow(entry, REGISTRY)


@pytest.mark.parametrize("entry", components("suites"))
def test_suite_is_packaged(entry: Entry) -> None:
    from vssl_core.config.compose import load_yaml

    with_path = REGISTRY.load("suites", entry.spec.name)
    assert load_yaml(str(with_path))


@pytest.mark.parametrize("entry", components("commands"))
def test_command(entry: Entry) -> None:
    import click
    from click.testing import CliRunner

    command = REGISTRY.load("commands", entry.spec.name)
    assert isinstance(command, click.Command)
    assert entry.spec.summary
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0


@pytest.mark.parametrize("entry", components("resolvers"))
def test_resolver(entry: Entry) -> None:
    kind, _, prefix = entry.spec.name.partition(":")
    names = REGISTRY.family(kind, prefix)
    assert names and all(isinstance(name, str) for name in names)
    assert REGISTRY.resolve(kind, f"{prefix}/{names[0]}").name == f"{prefix}/{names[0]}"


def test_every_task_is_checked() -> None:
    assert len(tasks_with_recipes()) >= len(REGISTRY.entries("tasks")) > 0


def test_no_kind_was_forgotten_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert [
        kind for kind in REGISTRY.kinds() if f'entries("{kind}")' not in here and f'components("{kind}")' not in here
    ] == []


def own_videos(name: str, root: Path) -> dict[str, Any]:
    """Encode a few videos as a folder of classes or a table lists them."""
    rows = []
    for split, n in (("train", 4), ("test", 2)):
        for number in range(n):
            path = root / split / ("ball", "box")[number % 2] / f"{number}.mp4"
            encode(path, seed=len(rows))
            rows.append(f"{path.relative_to(root).as_posix()},{split},{('ball', 'box')[number % 2]}")
    if name == "folder":
        return {"name": "folder", "root": str(root)}
    (root / "videos.csv").write_text("\n".join(["path,split,label", *rows]) + "\n", encoding="utf-8")
    return {"name": "csv", "root": str(root), "csv": "videos.csv"}


def encode(path: Path, seed: int) -> None:
    import av
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        base = rng.integers(0, 256, size=(48, 64, 3), dtype=np.uint8)
        for shift in range(12):
            frame = av.VideoFrame.from_ndarray(np.roll(base, shift, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_component_check_covers_every_kind_with_options() -> None:
    for kind in ("trackers", "launchers"):
        for entry in REGISTRY.entries(kind):
            check_component(kind, small(entry), REGISTRY)
