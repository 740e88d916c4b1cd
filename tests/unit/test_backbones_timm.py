"""``timm/NAME``: listing without torch, building, layouts, errors."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm
import torch

from vssl_backbones import plugin, timm_network
from vssl_backbones.timm_frames import member, names
from vssl_core.errors import ConfigError, PluginError
from vssl_core.plugins import Registry


def test_names_are_timm_s_own() -> None:
    assert sorted(names()) == sorted(timm.list_models())


def test_listing_imports_neither_torch_nor_timm() -> None:
    code = (
        "import sys, vssl_backbones.plugin as p\n"
        "from vssl_backbones.timm_frames import names\n"
        "list(p.vssl_backbones()); list(p.vssl_resolvers()); import vssl_backbones.config\n"
        "assert 'resnet18' in names()\n"
        "heavy = {'torch', 'timm', 'torchvision', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet10t", {}),  # NCHW
        ("mobilenetv3_small_050", {}),  # a classifier wider than the map
        ("vit_tiny_patch16_224", {"img_size": 32}),  # tokens after a class token
        ("swin_tiny_patch4_window7_224", {"img_size": 64}),  # NHWC
    ],
)
def test_layouts_become_maps(name: str, options: dict[str, int]) -> None:
    network = member(name, **options).eval()
    size = options.get("img_size", 32)
    video = torch.rand(2, 3, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features, frames = network(video), network.frame_features(video)
        alone = network(video[1:, :, 2:])
    assert features.map.shape[:3] == (2, network.embed_dim, 3)
    assert frames.shape == (2, 3, network.embed_dim)
    torch.testing.assert_close(features.pooled, frames.mean(1))
    torch.testing.assert_close(alone.pooled[0], frames[1, 2], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(alone.map[0, :, 0], features.map[1, :, 2], rtol=1e-3, atol=1e-4)


def test_a_network_of_fixed_size_says_how_to_change_it() -> None:
    with pytest.raises(ConfigError, match=r"backbone\.img_size=32"):
        member("vit_tiny_patch16_224").eval()(torch.rand(1, 3, 1, 32, 32))


def test_unknown_names_get_near_ones() -> None:
    with pytest.raises(PluginError, match="resnet18"):
        member("resnet81")


def test_the_registry_builds_a_member() -> None:
    registry = Registry.discover(plugins={"backbones": plugin}, entry_points=False)
    assert registry.build("backbones", {"name": "timm/resnet10t", "input_mode": "temporal-residual"}).embed_dim == 512
    with pytest.raises(PluginError, match="resnet10t"):
        registry.build("backbones", "timm/resnet11t")


def test_weights_that_cannot_be_had_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **options: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm_network.timm, "create_model", offline)
    with pytest.raises(PluginError, match=r"pretrained=true.*no route to host"):
        member("resnet18", pretrained=True)
