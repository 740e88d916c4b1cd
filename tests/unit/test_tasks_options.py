"""What tasks say of themselves: options, recipes, errors before anything is trained."""

from __future__ import annotations

import dataclasses
import inspect
import pickle

import numpy as np
import pytest
from support.tasks import TinyNet, registry, video

from vssl_core.errors import ClipError, ConfigError, PluginError
from vssl_core.plugins import Registry

TASKS = [
    "clip-order",
    "motion-energy",
    "pace",
    "pixel-baseline",
    "random-init",
    "random-labels",
    "rtt",
    "simclr",
    "supervised",
    "videomae",
]
# Tried option by option in files of their own.
ELSEWHERE = [
    "arrow-of-time",
    "catch-the-patch",
    "cloze",
    "colorization",
    "cubic-puzzle",
    "future-frames",
    "inpainting",
    "jigsaw",
    "motion-stats",
    "multi",
    "odd-one-out",
    "opn",
    "prp",
    "rotation",
    "rspnet",
    "shuffle-learn",
    "skip-clip",
    "speednet",
    "transrank",
    "vthcl",
]
TRAINED = ["clip-order@tiny", "pace@tiny", "rtt@tiny", "simclr@tiny", "supervised@tiny", "videomae@tiny"]


@pytest.fixture(scope="module")
def offered() -> Registry:
    return registry()


def build(offered: Registry, task: object, backbone: TinyNet | None = None, **options: object) -> object:
    name = task if isinstance(task, str) else task["name"]  # type: ignore[index]
    if str(name).startswith("supervised"):
        options = {"n_classes": 3, **options}
    return offered.build("tasks", task, backbone or TinyNet(), **options)


def test_every_task_is_offered(offered: Registry) -> None:
    assert offered.names("tasks") == sorted([*TASKS, *ELSEWHERE])


@pytest.mark.parametrize("name", TASKS)
def test_constructor_defaults_are_those_of_the_config(offered: Registry, name: str) -> None:
    config = offered.config_class("tasks", name)
    assert config is not None
    declared = {field.name: getattr(config(), field.name) for field in dataclasses.fields(config)}
    parameters = inspect.signature(offered.load("tasks", name)).parameters
    keywords = {
        key: list(p.default) if isinstance(p.default, tuple) else p.default
        for key, p in parameters.items()
        if key not in ("backbone", "build", "n_classes")
    }
    assert keywords == declared


@pytest.mark.parametrize("name", TASKS)
def test_full_recipe_builds(offered: Registry, name: str) -> None:
    task = build(offered, name)
    assert task.encoder().embed_dim > 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", TRAINED)
def test_tiny_fits_toy_videos_and_planners_travel(offered: Registry, name: str) -> None:
    planner = pickle.loads(pickle.dumps(build(offered, name).planner()))  # type: ignore[attr-defined]
    starts = set()
    for draw in range(50):
        views, _ = planner(video(n_frames=32), np.random.default_rng(draw))
        for view in views:
            assert view.frames.dtype == np.int64
            assert view.frames.shape == (8,)
            assert view.frames.min() >= 0
            assert view.frames.max() < 32
            assert view.size == (32, 32)
        starts.add(min(int(view.frames.min()) for view in views))
    assert len(starts) > 2, "the start is random"


@pytest.mark.parametrize("name", TRAINED)
def test_a_too_short_video_is_refused_with_the_option_to_change(offered: Registry, name: str) -> None:
    with pytest.raises(ClipError, match=r"needs \d+ frames.*task\.frames=8.*'v0.mp4' has 7.*lower"):
        build(offered, name).planner()(video(n_frames=7), np.random.default_rng(0))  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", ["loop", "pad"])
@pytest.mark.parametrize("name", [name for name in TRAINED if not name.startswith(("rtt", "clip-order"))])
def test_short_videos_are_looped_or_padded(offered: Registry, name: str, policy: str) -> None:
    planner = build(offered, name, short_video=policy).planner()  # type: ignore[attr-defined]
    views, _ = planner(video(n_frames=7), np.random.default_rng(0))
    assert all(view.frames.min() >= 0 and view.frames.max() < 7 for view in views)


@pytest.mark.parametrize("name", ["random-init", "pixel-baseline", "motion-energy"])
def test_floors_are_not_trained(offered: Registry, name: str) -> None:
    assert not offered.entry("tasks", name).spec.trains
    with pytest.raises(PluginError, match=f"{name} is a floor"):
        build(offered, name).planner()  # type: ignore[attr-defined]


def test_floors_without_a_network_take_none(offered: Registry) -> None:
    for name in ("pixel-baseline", "motion-energy"):
        assert not offered.entry("tasks", name).spec.uses_backbone
        encoder = offered.build("tasks", name, None).encoder()
        assert sum(parameter.numel() for parameter in encoder.parameters()) == 0


def test_videomae_wants_a_backbone_that_masks(offered: Registry) -> None:
    assert offered.entry("tasks", "videomae").spec.requires == {"masking"}

    class Plain(TinyNet):
        encode = None  # type: ignore[assignment]

        def __init__(self) -> None:
            super().__init__()
            del self.patch_size

    with pytest.raises(ConfigError, match=r"Plain has no patch_size.*vit-tiny-video"):
        build(offered, "videomae@tiny", Plain())


def test_supervised_wants_labels(offered: Registry) -> None:
    assert [entry.spec.name for entry in offered.entries("tasks") if entry.spec.needs_labels] == ["supervised"]
    with pytest.raises(ConfigError, match="set label"):
        build(offered, "supervised@tiny", n_classes=0)


def test_one_frame_insists_on_one_frame_everywhere(offered: Registry) -> None:
    task = build(offered, "supervised@one-frame")
    assert task.encoder().sampling == {"frames": 1, "stride": 1, "clips": 1}  # type: ignore[attr-defined]
    views, _ = task.planner()(video(), np.random.default_rng(0))  # type: ignore[attr-defined]
    assert views[0].frames.shape == (1,)
    assert build(offered, "supervised@tiny").encoder().sampling == {}  # type: ignore[attr-defined]


def test_one_frame_and_a_subtracted_mean_exclude_each_other(offered: Registry) -> None:
    with pytest.raises(ConfigError, match="input_mode=raw"):
        build(offered, "supervised@one-frame", TinyNet("temporal-residual"))
