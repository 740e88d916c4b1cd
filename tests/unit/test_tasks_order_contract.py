"""The order tasks keep the contract on every kind of network that can take them, learn, and say what they ask."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import vssl_backbones.plugin
import vssl_baselines.plugin
import vssl_order.plugin
from vssl_core.contracts import Batch, Features
from vssl_core.errors import ConfigError
from vssl_core.testing import FakeBackbone, check_light_imports, check_task, fake_batch, isolated_registry

REGISTRY = isolated_registry(order=vssl_order.plugin, nets=vssl_backbones.plugin, floors=vssl_baselines.plugin)
FRAMES = ["shuffle-learn", "opn"]
CLIPS = ["odd-one-out", "clip-order", "arrow-of-time", "skip-clip"]
FRAME_NETWORKS: list[Any] = [
    None,
    "timm/test_resnet",
    {"name": "timm/test_vit", "img_size": 32},
    {"name": "alexnet", "features": "conv5"},
]
CLIP_NETWORKS: list[Any] = [None, "r2plus1d-tiny", "vit-tiny-video", "timm/test_resnet"]
# Networks to which a clip is the same in every order of its frames.
FRAME_WISE: list[Any] = [
    "timm/test_resnet",
    {"name": "timm/test_vit", "img_size": 32, "input_mode": "temporal-residual"},
    {"name": "alexnet", "features": "conv5"},
]
CHANCE = {
    "shuffle-learn": 1 / 2,
    "opn": 1 / 12,
    "odd-one-out": 1 / 3,
    "clip-order": 1 / 6,
    "arrow-of-time": 1 / 2,
    "skip-clip": 1 / 2,
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def tiny(name: str, **options: Any) -> dict[str, Any]:
    # Made-up videos have no motion curve: where it counts is tested with the planners.
    without = {"select": "uniform"} if name in FRAMES else {}
    return {"name": name, "recipe": "tiny", **without, **options}


def build(name: str, network: Any = None, **options: Any) -> Any:
    torch.manual_seed(0)
    return REGISTRY.build("tasks", tiny(name, **options), network or FakeBackbone())


@pytest.mark.parametrize("network", FRAME_NETWORKS, ids=str)
@pytest.mark.parametrize("name", FRAMES)
def test_frame_tasks_keep_the_contract(name: str, network: Any) -> None:
    check_task(tiny(name), REGISTRY, backbone=network)


@pytest.mark.parametrize(
    ("name", "network"),
    [(name, net) for name in CLIPS for net in CLIP_NETWORKS if (name, net) != ("odd-one-out", "timm/test_resnet")],
    ids=str,
)
def test_clip_tasks_keep_the_contract(name: str, network: Any) -> None:
    check_task(tiny(name), REGISTRY, backbone=network)


@pytest.mark.parametrize("network", FRAME_WISE, ids=str)
@pytest.mark.parametrize("options", [{"name": "odd-one-out"}, {"name": "arrow-of-time", "groups": 1}], ids=str)
def test_networks_to_which_every_order_is_the_same_are_refused(options: dict[str, Any], network: Any) -> None:
    assert "temporal" not in REGISTRY.resolve("backbones", network).spec.provides
    built = REGISTRY.build("backbones", network)
    modes = [module.training for module in built.modules()]
    before = torch.get_rng_state()
    with pytest.raises(ConfigError, match=rf"{options['name']} asks for the order.*'temporal', such as r3d-18"):
        REGISTRY.build("tasks", tiny(**options), built)
    assert torch.equal(before, torch.get_rng_state())
    assert [module.training for module in built.modules()] == modes


def test_networks_that_see_the_order_are_not() -> None:
    assert REGISTRY.entry("tasks", "odd-one-out").spec.requires == {"temporal"}
    for network in (None, "r2plus1d-tiny", "vit-tiny-video"):
        check_task(tiny("arrow-of-time", groups=1), REGISTRY, backbone=network)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "odd-one-out", "fusion": "concat", "sampling": "random", "short_video": "fitting"},
        {"name": "odd-one-out", "sampling": "consecutive", "shared_draw": True},
        {"name": "opn", "reversal": False, "region": 24, "region_select": "uniform", "frame_width": 0},
        {"name": "opn", "frame_shift": 0.0, "crop_scale": 1.0, "split_channels": 0.0},
        {"name": "shuffle-learn", "hidden": 0, "backward": False, "positive": 0.25},
        {"name": "arrow-of-time", "groups": 4, "black_level": 0.0, "border": 0.1},
        {"name": "skip-clip", "turning": 0.0, "shared_draw": False, "targets": 3},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_other_options_keep_it_too(options: dict[str, Any]) -> None:
    check_task(tiny(**options), REGISTRY)


@pytest.mark.parametrize("name", FRAMES + CLIPS)
def test_placebos_can_be_made_of_them(name: str) -> None:
    """Their loss follows from their targets alone, so that permuted targets leave nothing to learn."""
    check_task({"name": "random-labels", "of": tiny(name)}, REGISTRY)


def test_listing_them_imports_nothing_heavy() -> None:
    check_light_imports(["vssl_order.plugin", "vssl_order.config"])


@pytest.mark.parametrize("name", FRAMES + CLIPS)
def test_defaults_are_those_of_the_config(name: str) -> None:
    config = REGISTRY.config_class("tasks", name)
    declared = {field.name: getattr(config(), field.name) for field in dataclasses.fields(config)}
    parameters = inspect.signature(REGISTRY.load("tasks", name)).parameters
    assert {key: p.default for key, p in parameters.items() if key != "backbone"} == declared


@pytest.mark.parametrize("name", FRAMES)
def test_networks_without_single_frames_are_refused(name: str) -> None:
    assert REGISTRY.entry("tasks", name).spec.requires == {"frames"}
    with pytest.raises(ConfigError, match=rf"{name} compares single frames, R2Plus1D .*timm/resnet18"):
        build(name, REGISTRY.build("backbones", "r2plus1d-tiny"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "shuffle-learn", "frames": 4}, r"frames"),
        ({"name": "opn", "crop_scale": 1.0}, r"task\.frame_shift=1\.0 moves a crop.*task\.frame_shift=0"),
        ({"name": "opn", "frames": 2}, r"task\.frames=2: .* one class.*task\.reversal=false"),
        ({"name": "opn", "region": 40}, r"task\.region=40 is wider than the 32 pixels.*task\.read_size"),
        ({"name": "arrow-of-time", "groups": 3}, r"task\.frames=8 cannot be cut into task\.groups=3"),
        ({"name": "arrow-of-time", "stabilise": 9}, r"task\.stabilise=9 .*task\.read_size"),
        ({"name": "odd-one-out", "frames": 1}, r"frames"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**options)


@pytest.mark.parametrize("name", FRAMES + CLIPS)
def test_loss_falls_on_one_batch(name: str) -> None:
    task = build(name)
    assert task.chance == pytest.approx(CHANCE[name])
    task.setup(6, 40)
    batch = task.augment(fake_batch(task, 6))
    optimizer = torch.optim.Adam(task.param_groups(), lr=3e-3)
    losses = []
    for step in range(40):
        output = task(batch)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        task.after_step(step + 1, 40)
        losses.append(float(output.loss.detach()))
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


class OnePlace(nn.Module):
    """A network whose map has a single place."""

    embed_dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Linear(3, 3)

    def forward(self, clips: Tensor) -> Features:
        pooled = self.weigh(clips.mean(dim=(2, 3, 4)))
        return Features(pooled[..., None, None, None], pooled)


def test_a_single_sample_of_one_place_trains_late_fusion() -> None:
    task = build("arrow-of-time", OnePlace())
    batch = task.augment(fake_batch(task, 1))
    running = task.head.layers[2].running_mean.clone()
    output = task(batch)
    output.loss.backward()
    assert torch.isfinite(output.loss)
    assert torch.equal(task.head.layers[2].running_mean, running), "one value a channel has no variance to learn"
    two = task.augment(fake_batch(task, 2))
    task(two)
    assert not torch.equal(task.head.layers[2].running_mean, running)


def asked(name: str, **targets: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Return the answers and captions of a task for targets given by hand."""
    task = build(name)
    n = len(next(iter(targets.values())))
    views = tuple(view[:1].expand(n, *view.shape[1:]) for view in task.augment(fake_batch(task, 4)).views)
    made = {key: torch.tensor(value) for key, value in targets.items()}
    explained = task.explain(Batch(views, made, torch.arange(n), torch.arange(n)))
    assert len(explained) == n
    assert len({one.question for one in explained}) == 1 and explained[0].question.endswith(("?", ")"))
    return [(one.answer, one.captions) for one in explained]


def test_explanations_say_what_is_right() -> None:
    right, wrong = asked("shuffle-learn", in_order=[1, 0])
    assert right[0] == "in order"
    assert wrong[0].startswith("not in order")
    assert asked("opn", order=[1])[0][0] == (
        "filmed first, second, fourth, third, or third, fourth, second, first (class 2 of 12)"
    )
    answer, captions = asked("odd-one-out", odd=[2])[0]
    assert answer == "the third clip is the odd one"
    assert [caption.endswith("out of order") for caption in captions] == [False, False, True]
    answer, captions = asked("clip-order", order=[3])[0]
    assert answer == "filmed second, third, first (order 4 of 6)"
    assert captions[2] == "shown third: filmed first"
    assert [answer for answer, _ in asked("arrow-of-time", backward=[0, 1])] == ["played forward", "played backward"]
    answer, captions = asked("skip-clip", place=[[1, 0]], turns=[3])[0]
    assert answer == "shown are the second, first to follow; all are turned by 270 degrees"
    assert captions == ("the context", "shown first: the second to follow", "shown second: the first to follow")
