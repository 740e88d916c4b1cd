"""The listed networks: shapes, short clips, splits of a batch, sizes, partial encoding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vssl_backbones.r2plus1d import R2Plus1D
from vssl_backbones.video_resnets import R3D18
from vssl_backbones.vit import VideoViT, sincos_positions
from vssl_core.errors import ConfigError

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "r2plus1d-tiny": R2Plus1D,
    "r2plus1d-tiny raw": lambda: R2Plus1D(widths=[4, 8], input_mode="raw", stem_stride=1),
    "r3d-18": R3D18,
    "vit-tiny-video": VideoViT,
    "vit-tiny-video odd": lambda: VideoViT(dim=20, depth=1, heads=2, tubelet=[3, 8, 8], input_mode="raw"),
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def _video(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("frames", [1, 3, 8])
def test_features_have_the_contract_s_shapes(name: str, frames: int) -> None:
    network = NETWORKS[name]().eval()
    with torch.inference_mode():
        features = network(_video(2, 3, frames, 32, 32))
    assert features.pooled.shape == (2, network.embed_dim)
    assert features.map.shape[:2] == (2, network.embed_dim)
    assert features.map.ndim == 5
    assert features.pooled.dtype == torch.float32
    assert torch.isfinite(features.map).all()
    torch.testing.assert_close(features.map.mean((2, 3, 4)), features.pooled, rtol=1e-4, atol=1e-5)
    assert network.sampling == {}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_split_batch_gives_the_same_features_in_eval_mode(name: str) -> None:
    network = NETWORKS[name]().eval()
    video = _video(5, 3, 8, 32, 32)
    with torch.inference_mode():
        whole = network(video).pooled
        parts = torch.cat([network(video[:2]).pooled, network(video[2:]).pooled])
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["r2plus1d-tiny", "vit-tiny-video"])
def test_every_parameter_learns(name: str) -> None:
    network = NETWORKS[name]()
    features = network(_video(2, 3, 8, 32, 32))
    (features.pooled.sin().sum() + features.map.cos().sum()).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert not without


def test_sizes_of_the_tiny_networks() -> None:
    assert 400_000 <= _parameters(R2Plus1D()) <= 480_000
    assert 540_000 <= _parameters(VideoViT()) <= 600_000


def test_the_map_keeps_time_and_place_in_order() -> None:
    """What moves in the lower right corner late in the clip changes the map there, not elsewhere."""
    network = VideoViT(depth=1, input_mode="raw").eval()
    network.blocks = nn.ModuleList()  # without attention a token sees its own tubelet alone
    video = _video(1, 3, 8, 32, 32)
    changed = video.clone()
    changed[:, :, 6:, 28:, 28:] = 0.0
    with torch.inference_mode():
        difference = (network(video).map - network(changed).map).abs().sum(1)[0]
    assert difference[3, 7, 7] > 0
    assert (difference > 0).sum() == 1


def test_r2plus1d_equals_its_three_dimensional_form() -> None:
    """Folding axes into a 2-D convolution is arithmetic of Conv3d with kernels (1, 3, 3) and (3, 1, 1)."""
    network = R2Plus1D(input_mode="raw").eval()
    conv = network.stem
    x = _video(2, 3, 8, 16, 16)
    space = nn.functional.conv3d(x, conv.space.weight.unsqueeze(2), stride=(1, 2, 2), padding=(0, 1, 1))
    hidden = torch.relu(conv.norm(space.transpose(1, 2).flatten(0, 1))).unflatten(0, (2, 8)).transpose(1, 2)
    expected = nn.functional.conv3d(hidden, conv.time.weight.unsqueeze(4), padding=(1, 0, 0))
    found = conv(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_encoding_all_tokens_is_the_forward_pass() -> None:
    network = VideoViT().eval()
    video = _video(2, 3, 8, 32, 32)
    with torch.inference_mode():
        tokens, grid = network.embed(network.preprocess(video))
        keep = torch.arange(tokens.shape[1]).expand(2, -1)
        encoded = network.encode(tokens, keep)
        expected = network(video).map.flatten(2).transpose(1, 2)
    assert grid == (4, 8, 8)
    assert tokens.shape == (2, 256, network.embed_dim)
    torch.testing.assert_close(encoded, expected)


def test_encoding_some_tokens_ignores_the_others() -> None:
    network = VideoViT().eval()
    tokens, _ = network.embed(network.preprocess(_video(2, 3, 8, 32, 32)))
    keep = torch.tensor([[3, 200, 7], [0, 1, 2]])
    other = tokens.clone()
    other[:, 50:199] = 1e3
    with torch.inference_mode():
        encoded = network.encode(tokens, keep)
        torch.testing.assert_close(network.encode(other, keep), encoded)
        turned = network.encode(tokens, keep.flip(1))
    assert encoded.shape == (2, 3, network.embed_dim)
    torch.testing.assert_close(turned.flip(1), encoded, rtol=1e-4, atol=1e-5)


def test_positions_are_distinct_and_follow_the_grid() -> None:
    positions = sincos_positions((4, 8, 8), 96)
    assert positions.shape == (256, 96)
    assert positions.abs().max() <= 1
    distances = torch.cdist(positions, positions) + 10 * torch.eye(256)
    assert distances.min() > 0.1
    larger = sincos_positions((6, 8, 8), 96)
    torch.testing.assert_close(larger[:256], positions)


def test_a_clip_that_tubelets_do_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tubelet=\[2, 4, 4\]"):
        VideoViT(depth=1)(_video(1, 3, 8, 30, 32))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: VideoViT(dim=97), "no multiple of backbone.heads=3"),
        (lambda: VideoViT(tubelet=[2, 4]), "backbone.tubelet"),
        (lambda: R2Plus1D(widths=[]), "backbone.widths"),
        (lambda: R2Plus1D(input_mode="residual"), "input_mode"),
    ],
)
def test_impossible_options_are_refused(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


def test_temporal_residual_ignores_what_stands_still() -> None:
    network = R2Plus1D(widths=[4, 8]).eval()
    video = _video(1, 3, 8, 32, 32) * 0.5
    with torch.inference_mode():
        still = network(video).pooled
        torch.testing.assert_close(network(video + _video(1, 3, 1, 32, 32) * 0.5).pooled, still, rtol=1e-3, atol=1e-4)
