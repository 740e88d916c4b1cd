"""Feature extraction: batch sizes, recipes, unreadable videos, batch norm, the store."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vssl_backbones.r2plus1d import R2Plus1D
from vssl_core.contracts import ClipRecipe, Features, Video, View
from vssl_core.errors import DataError, PluginError
from vssl_core.testing.fakes import FakeBackbone, FakeReader, fake_videos
from vssl_core.transfer.extract import SETTLE_CLIPS, Extraction, effective_recipe, extract, settle_batch_norm
from vssl_core.transfer.features import FeatureStore

CPU = torch.device("cpu")
RECIPE = ClipRecipe(frames=4, stride=2, clips=3, size=16)


class FramesSeen(nn.Module):
    """Its features are the mean grey of each frame, so that tests see what was read."""

    embed_dim, input_mode, sampling = 4, "raw", {}

    def forward(self, video: Tensor) -> Features:
        pooled = video.mean((1, 3, 4))
        return Features(map=pooled[..., None, None, None], pooled=pooled)


class FrameNumberReader:
    """Every pixel of frame k is k."""

    def __call__(self, video: Video, views: Sequence[View]) -> list[np.ndarray]:
        return [
            np.broadcast_to(v.frames[:, None, None, None], (len(v.frames), *v.size, 3)).astype(np.uint8) for v in views
        ]


def _frames_read(recipe: ClipRecipe, n_frames: int = 40) -> np.ndarray:
    found = extract(FramesSeen(), fake_videos(1, n_frames), recipe, FrameNumberReader(), device=CPU, batch_size=2)
    return np.rint(found.values[0] * 255).astype(int)


def _network() -> R2Plus1D:
    torch.manual_seed(0)
    return R2Plus1D(widths=[4, 8], input_mode="raw")


def test_features_do_not_depend_on_the_batch_size_or_the_readers() -> None:
    videos = fake_videos(7)
    network = _network()
    whole = extract(network, videos, RECIPE, FakeReader(), device=CPU, batch_size=64)
    assert whole.values.shape == (7, 3, 8)
    assert whole.values.dtype == np.float32
    assert (whole.clips, whole.frames) == (21, 84)
    assert whole.values.std(axis=0).min() > 0
    for batch_size, workers in ((1, 0), (5, 0), (4, 2)):
        part = extract(network, videos, RECIPE, FakeReader(), device=CPU, batch_size=batch_size, workers=workers)
        np.testing.assert_allclose(part.values, whole.values, rtol=1e-4, atol=1e-5)


def test_the_same_call_gives_the_same_bits() -> None:
    first, second = (
        extract(_network(), fake_videos(5), RECIPE, FakeReader(), device=CPU, batch_size=4).values for _ in range(2)
    )
    assert first.tobytes() == second.tobytes()


def test_perturbations_reach_the_frames() -> None:
    normal = _frames_read(RECIPE)
    assert (np.diff(normal, axis=1) == 2).all()
    assert (_frames_read(dataclasses.replace(RECIPE, perturb="reverse")) == normal[:, ::-1]).all()
    assert (_frames_read(dataclasses.replace(RECIPE, perturb="freeze")) == normal[:, 2:3]).all()
    shuffled = _frames_read(dataclasses.replace(RECIPE, perturb="shuffle"))
    assert (np.sort(shuffled, axis=1) == normal).all()
    assert (shuffled != normal).any(axis=1).all()


def test_whole_video_sampling_works_with_perturbations() -> None:
    recipe = effective_recipe(dataclasses.replace(RECIPE, perturb="reverse"), {"whole": True, "clips": 1})
    (frames,) = _frames_read(recipe)
    assert (np.diff(frames) == -10).all()


def test_an_encoder_cannot_set_what_the_protocol_decides() -> None:
    assert effective_recipe(RECIPE, {"frames": 1, "clips": 1}) == dataclasses.replace(RECIPE, frames=1, clips=1)
    with pytest.raises(PluginError, match="perturb"):
        effective_recipe(RECIPE, {"perturb": "none"})


def test_unreadable_videos_are_named_and_left_out() -> None:
    videos = fake_videos(5)
    videos[0] = dataclasses.replace(videos[0], n_frames=3)
    videos[3] = dataclasses.replace(videos[3], n_frames=0)
    found = extract(_network(), videos, RECIPE, FakeReader(), device=CPU, batch_size=4)
    assert found.rows.tolist() == [1, 2, 4]
    assert set(found.unreadable) == {"fake-0", "fake-3"}
    assert "need 7" in found.unreadable["fake-0"]
    expected = extract(_network(), [videos[1]], RECIPE, FakeReader(), device=CPU, batch_size=4)
    np.testing.assert_allclose(found.values[:1], expected.values, rtol=1e-4, atol=1e-5)


def test_no_readable_video_gives_empty_features_of_the_right_width() -> None:
    videos = [dataclasses.replace(video, n_frames=0) for video in fake_videos(2)]
    found = extract(_network(), videos, RECIPE, FakeReader(), device=CPU, batch_size=4)
    assert found.values.shape == (0, 3, 8)


def test_settling_leaves_the_encoder_as_it_was() -> None:
    network = _network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    recipe = dataclasses.replace(RECIPE, settle_batches=2)
    settled, clips = settle_batch_norm(network, fake_videos(30), recipe, FakeReader(), device=CPU)
    assert clips == 2 * SETTLE_CLIPS
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert not torch.equal(settled.stem_norm.running_mean, network.stem_norm.running_mean)
    assert not settled.training
    assert torch.equal(settled.stem.space.weight, network.stem.space.weight)


def test_settled_statistics_are_those_of_the_clips() -> None:
    """One batch of all clips: the first norm then standardises exactly those clips."""
    network, videos = _network(), fake_videos(8)
    recipe = dataclasses.replace(RECIPE, settle_batches=1)
    settled, _ = settle_batch_norm(network, videos, recipe, FakeReader(), device=CPU)
    seen: list[Tensor] = []
    settled.stem.norm.register_forward_hook(lambda module, given, output: seen.append(output.clone()))
    extract(settled, videos, RECIPE, FakeReader(), device=CPU, batch_size=64)
    normed = seen[0].transpose(0, 1).flatten(1)
    assert normed.mean(1).abs().max() < 1e-3
    assert (normed.std(1) - 1).abs().max() < 1e-2


def test_settling_ignores_the_perturbation_and_dropout() -> None:
    plain = dataclasses.replace(RECIPE, settle_batches=1)
    network = nn.Sequential(_network(), nn.Identity())

    class Dropped(nn.Module):
        embed_dim, input_mode, sampling = 8, "raw", {}

        def __init__(self) -> None:
            super().__init__()
            self.network, self.dropout = network[0], nn.Dropout(0.5)

        def forward(self, video: Tensor) -> Features:
            return self.network(self.dropout(video))

    statistics = [
        settle_batch_norm(encoder, fake_videos(12), recipe, FakeReader(), device=CPU)[0].state_dict()[name]
        for encoder, recipe, name in (
            (network[0], plain, "stem_norm.running_mean"),
            (network[0], dataclasses.replace(plain, perturb="freeze"), "stem_norm.running_mean"),
            (Dropped(), plain, "network.stem_norm.running_mean"),
        )
    ]
    assert torch.equal(statistics[0], statistics[1])
    assert torch.equal(statistics[0], statistics[2])


def test_nothing_is_settled_without_batch_norm_or_when_not_asked() -> None:
    fake = FakeBackbone()
    recipe = dataclasses.replace(RECIPE, settle_batches=3)
    assert settle_batch_norm(fake, fake_videos(4), recipe, FakeReader(), device=CPU) == (fake, 0)
    network = _network()
    assert settle_batch_norm(network, fake_videos(4), RECIPE, FakeReader(), device=CPU) == (network, 0)
    unreadable = [dataclasses.replace(video, n_frames=0) for video in fake_videos(4)]
    with pytest.raises(DataError, match="settle_batches=0"):
        settle_batch_norm(network, unreadable, recipe, FakeReader(), device=CPU)


def _extraction(value: float) -> Extraction:
    return Extraction(np.full((2, 1, 3), value, np.float32), np.array([0, 2]), {"b": "truncated"}, 8, 2)


def test_the_store_makes_features_once_per_key(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    key = {"weights": "a", "recipe": dataclasses.asdict(RECIPE)}
    store.get(key, lambda: _extraction(1.0))
    again = FeatureStore(tmp_path / "features").get(key, lambda: pytest.fail("made twice"))
    assert again.values.tolist() == _extraction(1.0).values.tolist()
    assert again.rows.tolist() == [0, 2]
    assert (again.unreadable, again.frames, again.clips) == ({"b": "truncated"}, 8, 2)
    assert store.get({**key, "weights": "b"}, lambda: _extraction(2.0)).values[0, 0, 0] == 2.0
    assert not list(store.folder.glob("*.tmp"))


def test_damaged_features_are_made_again(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.get({"weights": "a"}, lambda: _extraction(1.0))
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:40])
    assert store.get({"weights": "a"}, lambda: _extraction(3.0)).values[0, 0, 0] == 3.0
    path.write_bytes(b"")
    assert store.get({"weights": "a"}, lambda: _extraction(4.0)).values[0, 0, 0] == 4.0


def test_two_at_once_extract_once(tmp_path: Path) -> None:
    made: list[int] = []
    started = threading.Event()

    def slow() -> Extraction:
        made.append(1)
        started.wait(0.3)
        return _extraction(1.0)

    threads = [threading.Thread(target=lambda: FeatureStore(tmp_path).get({"weights": "a"}, slow)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
