"""Checks of encoders, backbones and heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vssl_core.contracts import Features
from vssl_core.errors import ConfigError
from vssl_core.plugins import Entry, Registry
from vssl_core.testing.components import check_component, pick
from vssl_core.testing.expect import Expect, untouched_generators

__all__ = ["check_backbone", "check_encoder", "check_head"]

_CAPABILITIES = {"map", "temporal", "tokens", "masking", "frames"}
_SAMPLING = {"frames", "stride", "clips", "size", "whole", "perturb", "settle_batches"}
_INPUT_MODES = ("raw", "temporal-residual")


def check_backbone(
    component: Entry | str | Mapping[str, Any], registry: Registry, *, frames: int = 8, size: int = 32
) -> None:
    """Check a backbone: the contract of encoders, the capabilities it names, gradients, seeds and saved weights.

    Args:
        component: as for ``check_task``.
        registry: where it is looked up.
        frames: frames of the clips it is tried on.
        size: their height and width in pixels.

    Raises:
        ConformanceError: it does not keep its contract.
    """
    check_component("backbones", component, registry)
    entry, value = pick("backbones", component, registry)
    expect = Expect(entry)
    expect(
        entry.spec.provides <= _CAPABILITIES, f"provides {sorted(entry.spec.provides)}; known: {sorted(_CAPABILITIES)}"
    )
    torch.manual_seed(0)
    backbone = registry.build("backbones", value)
    expect(isinstance(backbone, nn.Module), f"is a {type(backbone).__name__}; expected an nn.Module")
    check_encoder(backbone, expect, frames=frames, size=size)

    torch.manual_seed(0)
    twin = registry.build("backbones", value)
    same = all(
        torch.equal(a, b) for a, b in zip(backbone.state_dict().values(), twin.state_dict().values(), strict=True)
    )
    expect(same, "two constructions from one seed differ; initialise from torch's generator alone")
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1.0)
    twin.load_state_dict(backbone.state_dict(), strict=True)
    video = _clips(3, frames, size)
    expect(
        _same(twin.eval()(video).pooled, backbone.eval()(video).pooled), "saved weights do not give the same features"
    )

    backbone.train()
    backbone(video).pooled.square().sum().backward()
    reached = [name for name, p in backbone.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    expect(reached, "no parameter gets a gradient from the pooled features")
    if "masking" in entry.spec.provides:
        _check_masking(backbone.eval(), expect, video)
    if "frames" in entry.spec.provides:
        with torch.no_grad():
            features = backbone.eval().frame_features(video)
        expected = (len(video), frames, backbone.embed_dim)
        expect(
            tuple(features.shape) == expected, f"frame_features has shape {tuple(features.shape)}; expected {expected}"
        )


def check_encoder(encoder: Any, expect: Expect, *, frames: int = 8, size: int = 32) -> None:
    """Check what every exported encoder keeps: attributes, ``Features`` of the declared shapes, one clip at a time.

    Args:
        encoder: what ``task.encoder()`` or a backbone's constructor returned.
        expect: names the component in errors.
        frames: frames of the clips it is tried on, unless ``encoder.sampling`` insists on others.
        size: height and width in pixels.
    """
    expect(isinstance(encoder, nn.Module), f"encoder is a {type(encoder).__name__}; expected an nn.Module")
    dim = getattr(encoder, "embed_dim", None)
    expect(isinstance(dim, int) and dim > 0, f"embed_dim is {dim!r}; expected a positive int")
    mode = getattr(encoder, "input_mode", None)
    expect(mode in _INPUT_MODES, f"input_mode is {mode!r}; expected one of {_INPUT_MODES}")
    sampling = getattr(encoder, "sampling", None)
    expect(isinstance(sampling, Mapping), f"sampling is {sampling!r}; expected a mapping, empty for nearly all")
    assert isinstance(sampling, Mapping)
    expect(set(sampling) <= _SAMPLING, f"sampling names {sorted(sampling)}; expected fields of ClipRecipe")

    frames, size = int(sampling.get("frames", frames)), int(sampling.get("size", size))
    video = _clips(3, frames, size)
    kept = video.clone()
    encoder.eval()
    with torch.no_grad(), untouched_generators(expect, "its forward pass in eval mode"):
        features = encoder(video)
        alone = encoder(video[1:2])
    expect(torch.equal(video, kept), "forward changes its input in place")
    expect(
        isinstance(features, Features), f"returns a {type(features).__name__}; expected vssl_core.contracts.Features"
    )
    fmap, pooled = features
    expect(tuple(pooled.shape) == (3, dim), f"pooled has shape {tuple(pooled.shape)}; expected (3, {dim})")
    expect(fmap.dim() == 5 and fmap.shape[0] == 3, f"map has shape {tuple(fmap.shape)}; expected (3, D, t, h, w)")
    expect(pooled.is_floating_point() and bool(pooled.isfinite().all()), "pooled features are not all finite floats")
    expect(_same(alone.pooled, pooled[1:2]), "a clip's features in eval mode depend on the other clips of the batch")
    spread = (pooled - pooled.mean(0)).abs().max()
    expect(spread > 0, "different clips get the same features")


def _check_masking(backbone: Any, expect: Expect, video: Tensor) -> None:
    patch: Any = getattr(backbone, "patch_size", None)
    expect(isinstance(patch, tuple) and len(patch) == 3, f"patch_size is {patch!r}; expected (t, h, w)")
    with torch.no_grad():
        clean = backbone.preprocess(video)
        tokens, grid = backbone.embed(clean)
        n = grid[0] * grid[1] * grid[2]
        shape = (len(video), n, backbone.embed_dim)
        expect(
            tuple(tokens.shape) == shape, f"embed gives tokens {tuple(tokens.shape)} and grid {grid}; expected {shape}"
        )
        covered = tuple(g * p for g, p in zip(grid, patch, strict=True))
        expect(
            covered == tuple(clean.shape[2:]), f"grid {grid} of patches {patch} does not cover {tuple(clean.shape[2:])}"
        )
        keep = torch.arange(n).flip(0)[None, : max(1, n // 2)].expand(len(video), -1)
        encoded = backbone.encode(tokens, keep)
        wanted = (*keep.shape, backbone.embed_dim)
        expect(tuple(encoded.shape) == wanted, f"encode gives {tuple(encoded.shape)}; expected {wanted}")
        changed = tokens.clone()
        hidden = n - 1 - keep.shape[1]
        changed[:, hidden] += 100.0
        expect(_same(backbone.encode(changed, keep), encoded), "encode looks at tokens outside keep")


def check_head(component: Entry | str | Mapping[str, Any], registry: Registry) -> None:
    """Check a head: ``Features`` in, finite float ``[B, n_outputs]`` out, with gradients to its weights.

    Raises:
        ConformanceError: it does not keep its contract.
    """
    check_component("heads", component, registry)
    entry, value = pick("heads", component, registry)
    expect = Expect(entry)
    dim, outputs = 12, 5
    torch.manual_seed(0)
    head = registry.build("heads", value, dim, outputs)
    expect(isinstance(head, nn.Module), f"is a {type(head).__name__}; expected an nn.Module")
    generator = torch.Generator().manual_seed(0)
    fmap = torch.randn(6, dim, 2, 3, 3, generator=generator)
    logits = head(Features(map=fmap, pooled=fmap.mean((2, 3, 4))))
    expect(tuple(logits.shape) == (6, outputs), f"gives shape {tuple(logits.shape)}; expected (6, {outputs})")
    expect(bool(logits.isfinite().all()), "gives numbers that are not finite")
    logits.square().sum().backward()
    expect(
        any(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters()), "no parameter gets a gradient"
    )
    try:
        wrong = registry.build("heads", value, dim, outputs)(
            Features(map=fmap[:, :-1], pooled=fmap[:, :-1].mean((2, 3, 4)))
        )
    except (RuntimeError, ValueError, ConfigError):
        return
    expect(tuple(wrong.shape) == (6, outputs), f"takes features of another width and gives {tuple(wrong.shape)}")


def _clips(n: int, frames: int, size: int) -> Tensor:
    """Return float ``[n, 3, frames, size, size]`` in [0, 1]: a texture a clip, drifting, so that no two clips agree."""
    t = torch.arange(frames)[None, None, :, None, None] * 0.3
    y = torch.linspace(0, 6, size)[None, None, None, :, None]
    x = torch.linspace(0, 6, size)[None, None, None, None, :]
    clip = torch.arange(n)[:, None, None, None, None] + 1.0
    channel = torch.arange(3)[None, :, None, None, None] * 0.7
    return 0.5 + 0.5 * torch.sin(clip * y + x + clip * t + channel)


def _same(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5)
