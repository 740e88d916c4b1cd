"""The plugin keeps vssl's contracts, and its labels are what they say."""

import numpy as np
from acme_speed import plugin
from acme_speed.task import SpeedPairPlanner

from vssl_core.testing import check_light_imports, check_task, fake_videos, isolated_registry


def test_the_task_keeps_its_contract() -> None:
    registry = isolated_registry(acme_speed=plugin)
    for entry in registry.entries("tasks"):
        check_task(entry, registry)


def test_listing_it_imports_nothing_heavy() -> None:
    check_light_imports(["acme_speed.plugin", "acme_speed.config"])


def test_the_label_names_the_faster_clip() -> None:
    (video,) = fake_videos(1, frames=32)
    planner = SpeedPairPlanner(frames=8, strides=(1, 3), size=32)
    for seed in range(8):
        views, targets = planner(video, np.random.default_rng(seed))
        strides = [int(view.frames[1] - view.frames[0]) for view in views]
        assert sorted(strides) == [1, 3]
        assert strides[targets["faster"]] == 3
