"""``colorization``: what is planned, that the network sees no colour, clusters, and that pointing is learnt."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import vssl_backbones.plugin
import vssl_spatial.plugin
from vssl_core.contracts import Batch, Features
from vssl_core.errors import ClipError, ConfigError
from vssl_core.plugins import Registry
from vssl_core.testing import FakeBackbone, check_task, fake_batch, fake_videos
from vssl_spatial.colorization import Colorization, ColorizationPlanner, colour_clusters

REGISTRY = Registry.discover(
    plugins={"spatial": vssl_spatial.plugin, "backbones": vssl_backbones.plugin}, entry_points=False
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Cells(nn.Module):
    """A map of 4 x 4 cells a frame whose features are the mean grey of each, and its square; keeps what it saw."""

    embed_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[Tensor] = []

    def forward(self, clip: Tensor) -> Features:
        self.seen.append(clip.detach())
        grey = nn.functional.adaptive_avg_pool3d(clip[:, :1], (clip.shape[2], 4, 4)) * self.scale
        cells = torch.cat([grey, grey.square()], dim=1)
        return Features(cells, cells.mean((2, 3, 4)))


def make(backbone: nn.Module | None = None, **options: Any) -> Colorization:
    torch.manual_seed(0)
    task = REGISTRY.build(
        "tasks", {"name": "colorization", "recipe": "tiny", **options}, FakeBackbone() if backbone is None else backbone
    )
    assert isinstance(task, Colorization)
    return task


# ------------------------------------------------------------------------------------------- planning


@settings(max_examples=60, deadline=None)
@given(
    frames=st.integers(1, 5),
    stride=st.integers(1, 3),
    references=st.integers(1, 4),
    gap=st.integers(0, 5),
    spare=st.integers(0, 20),
    seed=st.integers(0, 2**32),
)
def test_clips_follow_one_another(frames: int, stride: int, references: int, gap: int, spare: int, seed: int) -> None:
    length = (frames - 1) * stride + 1
    needed = (references + 1) * length + references * gap
    video = fake_videos(1, needed + spare)[0]
    planner = ColorizationPlanner(frames, stride, references, gap, (32, 32), "pad", "error")
    views, targets = planner(video, np.random.default_rng(seed))
    again, _ = planner(video, np.random.default_rng(seed))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(views, again, strict=True))
    assert targets == {} and len(views) == references + 1
    everything = np.concatenate([view.frames for view in views])
    assert everything.min() >= 0 and everything.max() < video.n_frames
    for view in views:
        assert len(view.frames) == frames and (np.diff(view.frames) == stride).all()
    firsts = [int(view.frames[0]) for view in views]
    assert (np.diff(firsts) == length + gap).all(), "references in their order, then the target"


def test_every_start_is_as_probable() -> None:
    planner = ColorizationPlanner(1, 1, 3, 4, (32, 32), "pad", "error")
    video = fake_videos(1, 16 + 4)[0]
    starts = [int(planner(video, np.random.default_rng(seed))[0][0].frames[0]) for seed in range(1500)]
    counts = np.bincount(starts, minlength=5)
    assert len(counts) == 5 and ((counts - 300) ** 2 / 300).sum() < 18.5, "chi-squared, 4 degrees, 0.001"


def test_short_videos_as_configured() -> None:
    with pytest.raises(ClipError, match=r"colorization needs 12 frames \(task.frames=4, .*task.gap=4\)"):
        make().planner()(fake_videos(1, 11)[0], np.random.default_rng(0))
    views, _ = make(short_video="pad").planner()(fake_videos(1, 10)[0], np.random.default_rng(0))
    assert views[-1].frames.tolist() == [8, 9, 9, 9]
    views, _ = make(short_video="loop").planner()(fake_videos(1, 10)[0], np.random.default_rng(0))
    assert views[-1].frames.tolist() == [8, 9, 0, 1]


# ------------------------------------------------------------------------------------------- what is seen


def test_the_network_sees_no_colour() -> None:
    """Clips of one lightness and other colours look the same to it."""
    network = Cells()
    task = make(network, size=16, references=2)
    batch = task.augment(fake_batch(task, 3))
    task.train()(batch)
    (seen,) = network.seen
    assert seen.shape == (9, 3, 4, 16, 16)
    assert torch.equal(seen[:, 0], seen[:, 1]) and torch.equal(seen[:, 0], seen[:, 2])
    grey = [view.mean(dim=1, keepdim=True).expand_as(view) for view in batch.views]
    assert not torch.allclose(batch.views[0], grey[0], atol=0.05), "while the views have colours"


def test_all_clips_of_a_video_are_augmented_alike() -> None:
    task = make(size=16, crop_scale=0.3, flip=0.5, jitter=0.5, references=2)
    frame = torch.randint(0, 256, (5, 1, 40, 40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = Batch((frame, frame, frame), {}, torch.arange(5), torch.arange(5))
    first, *others = task.augment(batch).views
    assert all(torch.equal(first, other) for other in others)


# ------------------------------------------------------------------------------------------- clusters


def test_clusters_are_fitted_to_the_first_batch_and_stay() -> None:
    task = make(Cells(), size=16)
    batches = [task.augment(fake_batch(task, 4, seed=seed)) for seed in range(2)]
    before = task.centres.clone()
    task.eval()(batches[0])
    assert torch.equal(task.centres, before) and not task.fitted, "looking does not fit"
    task.train()(batches[0])
    fitted = task.centres.clone()
    assert task.fitted and not torch.equal(fitted, before)
    cells = task._look(batches[0]).colours.detach().flatten(0, 2)
    torch.testing.assert_close(fitted, colour_clusters(cells, 16))
    task(batches[1])
    assert torch.equal(task.centres, fitted)


def test_a_resumed_run_keeps_its_clusters() -> None:
    task = make(Cells(), size=16).train()
    task(task.augment(fake_batch(task, 4)))
    resumed = make(Cells(), size=16).train()
    resumed.load_state_dict(copy.deepcopy(task.state_dict()))
    resumed(resumed.augment(fake_batch(resumed, 4, seed=1)))
    assert torch.equal(resumed.centres, task.centres)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60), clusters=st.integers(2, 8))
def test_clusters_are_no_worse_than_where_they_began(seed: int, n: int, clusters: int) -> None:
    colours = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)) * 20
    centres = colour_clusters(colours, clusters)
    assert centres.shape == (clusters, 2) and torch.equal(centres, colour_clusters(colours, clusters))
    assert centres.isfinite().all()
    distance = torch.cdist(colours, centres).amin(dim=1)
    assert distance.square().mean() <= (colours - colours.mean(0)).square().sum(1).mean() + 1e-4
    if n <= clusters:
        assert distance.max() < 1e-4, "as many clusters as colours: each has its own"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), clusters=st.integers(2, 8))
def test_centres_are_the_means_of_what_is_nearest_to_them(seed: int, clusters: int) -> None:
    """Clumps that lie far apart, where Lloyd's rounds come to rest."""
    generator = torch.Generator().manual_seed(seed)
    row, column = torch.arange(clusters) % 3, torch.arange(clusters) // 3
    clumps = 40.0 * torch.stack([row, column], dim=1) + 10 * torch.rand(clusters, 2, generator=generator)
    members = torch.cat([torch.arange(clusters), torch.randint(clusters, (60,), generator=generator)])
    colours = clumps[members] + 5 * torch.rand(len(members), 2, generator=generator)
    colours = colours[torch.randperm(len(colours), generator=generator)]
    centres = colour_clusters(colours, clusters)
    kinds = torch.cdist(colours, centres).argmin(dim=1)
    assert len(kinds.unique()) == clusters
    for kind in range(clusters):
        torch.testing.assert_close(colours[kinds == kind].mean(0), centres[kind], atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_lloyd_rounds_come_to_rest_where_clumps_overlap(seed: int) -> None:
    """Few colours: 30 rounds are enough, and move centres from where they began."""
    colours = torch.randn(40, 2, generator=torch.Generator().manual_seed(seed)) * 20
    centres = colour_clusters(colours, 3)
    kinds = torch.cdist(colours, centres).argmin(dim=1)
    for kind in range(3):
        torch.testing.assert_close(colours[kinds == kind].mean(0), centres[kind], atol=1e-3, rtol=0)
        assert torch.cdist(centres[kind][None], colours).min() > 1e-3, "a mean, not a colour that it began with"


def test_one_colour_makes_clusters_too() -> None:
    assert torch.equal(colour_clusters(torch.full((5, 2), 3.0), 4), torch.full((4, 2), 3.0))


# ------------------------------------------------------------------------------------------- learning


def swapping_batch(task: Colorization, n: int) -> Batch:
    """Clips of 4 x 4 squares, each of a lightness that tells its colour, shuffled from clip to clip."""
    generator = torch.Generator().manual_seed(1)
    # Red, green, blue and yellow of lightnesses 54, 71, 38 and 85: within a clip lightness tells colour.
    palette = torch.tensor([[255, 0, 0], [0, 200, 40], [60, 60, 200], [230, 210, 60]], dtype=torch.uint8)
    views = []
    for _ in range(task._planner.references + 1):
        kinds = torch.randint(0, 4, (n, 1, 4, 4), generator=generator)
        squares = palette[kinds].repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
        views.append(squares)
    return Batch(tuple(views), {}, torch.arange(n), torch.arange(n))


def test_pointing_is_learnt() -> None:
    task = make(Cells(), frames=1, size=16, clusters=4)
    batch = task.augment(swapping_batch(task, 16))
    assert task.chance is None
    optimizer = torch.optim.Adam(task.param_groups(), lr=1e-2)
    losses = []
    for _ in range(40):
        output = task(batch)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(float(output.loss.detach()))
    figures = {name: float(total) / n for name, (total, n) in task.evaluate(batch).items()}
    assert losses[-1] < 0.5 * losses[0]
    assert figures["accuracy"] > 0.9 > 0.5 > figures["accuracy_chance"]


def test_it_says_what_is_asked() -> None:
    task = make(references=2)
    batch = task.augment(fake_batch(task, 2))
    for explanation in task.explain(batch):
        assert "Which colour" in explanation.question and "of 16 colours" in explanation.answer
        assert len(explanation.captions) == len(batch.views) == 3
        (_, grey), (_, painted) = explanation.pictures
        assert grey.shape == (3, 4, 32, 32) and torch.equal(grey[0], grey[2])
        assert painted.shape == (3, 3, 32, 32) and painted.min() >= 0 and painted.max() <= 1


@pytest.mark.parametrize("backbone", [None, "r2plus1d-tiny", "vit-tiny-video", "timm/test_vit"])
def test_conformance(backbone: str | None) -> None:
    check_task("colorization@tiny", REGISTRY, backbone=backbone)


def test_a_map_of_one_place_is_refused() -> None:
    task = make(REGISTRY.build("backbones", "timm/test_resnet"))
    with pytest.raises(ConfigError, match=r"map of 32 x 32 pixels has one; raise task\.size"):
        task(task.augment(fake_batch(task, 2)))


def test_the_papers_setting_runs_on_frames() -> None:
    check_task({"name": "colorization", "size": 64}, REGISTRY, backbone="timm/test_resnet")
