"""The networks that published numbers were made with: their parameters, and their features for given weights.

R3D-10, R(2+1)D-10 and C3D are compared with github.com/xudejing/video-clip-order-prediction@7a1710d: the numbers below
are ``R3DNet((1, 1, 1, 1))``, ``R2Plus1DNet((1, 1, 1, 1))`` of ``models/r3d.py`` and ``models/r21d.py`` and ``C3D()`` of
``models/c3d.py`` in eval mode, their parameters filled by ``_fill`` (same rule, same order) and fed with ``_clip``.
Largest difference found: 2e-6. The others are compared with torchvision itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import alexnet
from torchvision.models.video import r2plus1d_18, r3d_18, s3d

import vssl_backbones.plugin
from vssl_backbones.alexnet import AlexNet
from vssl_backbones.c3d import C3D
from vssl_backbones.s3d import S3D
from vssl_backbones.vcop_resnets import R3D10, R2Plus1D10
from vssl_backbones.video_resnets import R3D18, R2Plus1D18
from vssl_core.contracts import Features
from vssl_core.errors import ConfigError

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "r2plus1d-18": R2Plus1D18,
    "r3d-10": R3D10,
    "r2plus1d-10": R2Plus1D10,
    "c3d": C3D,
    "s3d": S3D,
    "alexnet": AlexNet,
    "alexnet conv5": lambda: AlexNet(features="conv5"),
}


class Official(NamedTuple):
    """What the official code gave: first six features, their norm and their mean."""

    network: Callable[[], nn.Module]
    parameters: int
    first: tuple[float, ...]
    norm: float
    mean: float


OFFICIAL = {
    "r3d-10": Official(
        R3D10, 14_361_792, (1.144693, 0.0, 0.5646087, 0.0, 0.4652753, 0.6477386), 32.79402160644531, 0.9191949367523193
    ),
    "r2plus1d-10": Official(
        R2Plus1D10,
        14_365_303,
        (0.7419753, 0.945037, 0.9486715, 0.8168694, 0.6475238, 0.4922459),
        12.125673294067383,
        0.33395180106163025,
    ),
    "c3d": Official(
        C3D,
        27_661_440,
        (0.0, 0.0, 0.004339867, 0.05666844, 0.09966917, 0.09620414),
        1.220083236694336,
        0.03446906805038452,
    ),
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _fill(network: nn.Module) -> None:
    """Parameter k holds sin(0.7 i + k): times 1.5 over the root of its fan-in; vectors a tenth, +1 where k is even."""
    for k, parameter in enumerate(network.parameters()):
        wave = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) * 0.7 + k).float()
        if parameter.ndim > 1:
            wave = wave / math.sqrt(parameter.numel() / parameter.shape[0]) * 1.5
        else:
            wave = wave * 0.1 + (1.0 if k % 2 == 0 else 0.0)
        with torch.no_grad():
            parameter.copy_(wave.view(parameter.shape))


def _clip() -> Tensor:
    t = torch.arange(3 * 16 * 32 * 32, dtype=torch.float64)
    return (0.5 + 0.5 * torch.sin(t * 0.371)).float().view(1, 3, 16, 32, 32)


def _video(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_family_s_networks_are_their_official_code(name: str) -> None:
    official = OFFICIAL[name]
    network = official.network().eval()
    assert _parameters(network) == official.parameters
    _fill(network)
    with torch.inference_mode():
        found = network(_clip()).pooled[0]
    torch.testing.assert_close(found[:6], torch.tensor(official.first), rtol=1e-4, atol=1e-5)
    assert float(found.norm()) == pytest.approx(official.norm, rel=1e-5)
    assert float(found.mean()) == pytest.approx(official.mean, rel=1e-5)


@pytest.mark.parametrize("network", [R3D10, R2Plus1D10, C3D])
def test_the_family_feeds_pixels_as_they_are(network: Callable[[], nn.Module]) -> None:
    clip = _clip()
    torch.testing.assert_close(network().normalise(clip), clip, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("ours", "theirs", "parameters"),
    [
        # 33 371 472, 31 505 325 and 8 320 048 with a classifier of 400 classes, as torchvision's weights say
        (R3D18, r3d_18, 33_371_472 - 513 * 400),
        (R2Plus1D18, r2plus1d_18, 31_505_325 - 513 * 400),
        (S3D, s3d, 8_320_048 - 1025 * 400),
    ],
)
def test_torchvision_s_networks_lose_their_classifier_alone(
    ours: Callable[[], nn.Module], theirs: Callable[..., nn.Module], parameters: int
) -> None:
    network = ours()
    assert _parameters(network) == parameters
    whole = theirs(weights=None)
    assert parameters == _parameters(whole) - sum(
        p.numel() for name, p in whole.named_parameters() if name.startswith(("fc.", "classifier."))
    )


def test_r2plus1d_18_is_torchvision_s() -> None:
    torch.manual_seed(3)
    network = R2Plus1D18().eval()
    torch.manual_seed(3)
    theirs = r2plus1d_18(weights=None).eval()
    theirs.fc = nn.Identity()
    clip = _video(1, 3, 8, 32, 32)
    with torch.inference_mode():
        expected = theirs((clip - network.normalise.mean) / network.normalise.std)
        torch.testing.assert_close(network(clip).pooled, expected, rtol=1e-4, atol=1e-5)


def test_s3d_is_torchvision_s() -> None:
    torch.manual_seed(3)
    network = S3D().eval()
    torch.manual_seed(3)
    theirs = s3d(weights=None).eval()
    clip = _video(1, 3, 16, 64, 64)
    with torch.inference_mode():
        expected = theirs.features((clip - network.normalise.mean) / network.normalise.std)
        found = network(clip)
    assert found.map.shape == (1, 1024, 2, 2, 2)
    torch.testing.assert_close(found.map, expected, rtol=1e-4, atol=1e-5)


def test_s3d_s_running_statistics_follow_as_asked() -> None:
    clip = _video(2, 3, 8, 32, 32)
    moved = {}
    for momentum in (0.001, 0.1):
        torch.manual_seed(0)
        network = S3D(norm_momentum=momentum).train()
        network(clip)
        moved[momentum] = network.features[0][0][1].running_mean.abs().sum()
    torch.testing.assert_close(moved[0.1], 100 * moved[0.001], rtol=1e-3, atol=0)


@pytest.mark.parametrize("features", ["fc7", "conv5"])
def test_alexnet_is_torchvision_s(features: str) -> None:
    torch.manual_seed(3)
    network = AlexNet(features=features).eval()
    torch.manual_seed(3)
    theirs = alexnet(weights=None).eval()
    frames = _video(2, 3, 1, 67, 80)
    normalised = ((frames - network.normalise.mean) / network.normalise.std)[:, :, 0]
    with torch.inference_mode():
        maps = theirs.features(normalised)
        fc7 = theirs.classifier[:-1](theirs.avgpool(maps).flatten(1))
        expected = fc7 if features == "fc7" else maps.mean((2, 3))
        found = network(frames).pooled
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_alexnet_s_sizes() -> None:
    # 61 100 840 with its classifier of 1000 classes, as torchvision's weights say
    assert _parameters(AlexNet()) == 61_100_840 - 4097 * 1000
    assert _parameters(AlexNet(features="conv5")) == 2_469_696
    with pytest.raises(ConfigError, match=r"backbone\.features='fc8'.*fc7, conv5"):
        AlexNet(features="fc8")


def test_alexnet_s_dropout_is_an_option() -> None:
    frames = _video(1, 3, 2, 32, 32)
    network = AlexNet(dropout=0.0).train()
    torch.testing.assert_close(network(frames).pooled, network.eval()(frames).pooled)


@pytest.mark.parametrize("name", ["alexnet", "alexnet conv5"])
def test_frames_are_seen_one_by_one(name: str) -> None:
    network = NETWORKS[name]().eval()
    video = _video(2, 3, 4, 32, 32)
    with torch.inference_mode():
        together = network.frame_features(video)
        alone = torch.stack([network(video[:, :, t : t + 1]).pooled for t in range(4)], dim=1)
        pooled = network(video).pooled
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pooled, together.mean(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("frames", [1, 3])
def test_short_clips_have_features_of_the_contract_s_shapes(name: str, frames: int) -> None:
    network = NETWORKS[name]().eval()
    with torch.inference_mode():
        features: Features = network(_video(1, 3, frames, 32, 32))
    assert features.pooled.shape == (1, network.embed_dim)
    assert features.map.shape[:2] == (1, network.embed_dim)
    assert features.map.ndim == 5
    torch.testing.assert_close(features.map.mean((2, 3, 4)), features.pooled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "shape"),
    [(C3D, (512, 2, 4, 4)), (R3D10, (512, 2, 4, 4)), (R2Plus1D10, (512, 2, 4, 4)), (S3D, (1024, 2, 2, 2))],
)
def test_maps_round_sizes_up(network: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    with torch.inference_mode():
        assert network().eval()(_video(1, 3, 15, 49, 49)).map.shape[1:] == shape


def test_summaries_say_the_sizes_that_they_have() -> None:
    summaries = {spec.name: spec.summary for spec in vssl_backbones.plugin.vssl_backbones()}
    for name in ("r3d-18", "r2plus1d-18", "r3d-10", "r2plus1d-10", "c3d", "s3d", "alexnet"):
        network = R3D18() if name == "r3d-18" else NETWORKS[name]()
        said = summaries[name].rpartition(",")[2].split()[0]
        digits = len(said.partition(".")[2])
        assert f"{_parameters(network) / 1e6:.{digits}f}" == said, name
