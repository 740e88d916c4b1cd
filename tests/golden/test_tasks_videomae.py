"""Masks, targets, positions and loss of ``videomae`` against the official definitions, written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tasks import TinyNet, make_batch

from vssl_core.errors import ConfigError
from vssl_masked.patches import normalise_patches, patches, sinusoid_table, tube_mask
from vssl_masked.videomae import VideoMAE


@pytest.mark.parametrize(
    ("grid", "ratio", "official"),
    [((8, 14, 14), 0.9, 1408), ((8, 14, 14), 0.75, 1176), ((4, 8, 8), 0.75, 192), ((4, 8, 8), 0.9, 228)],
)
def test_as_many_tokens_are_masked_as_officially(grid: tuple[int, int, int], ratio: float, official: int) -> None:
    """``total_masks`` of TubeMaskingGenerator (MCG-NJU/VideoMAE, masking_generator.py)."""
    visible, masked = tube_mask(torch.arange(3), grid, ratio, stream=1)
    assert masked.shape == (3, official)
    for v, m in zip(visible, masked, strict=True):
        assert sorted(v.tolist() + m.tolist()) == list(range(grid[0] * grid[1] * grid[2]))
        assert (v.diff() > 0).all() and (m.diff() > 0).all()


def test_the_same_places_are_masked_at_every_time() -> None:
    _, masked = tube_mask(torch.arange(5), (4, 8, 8), 0.75, stream=1)
    for sample in masked:
        times = sample.view(4, 48)
        assert all(torch.equal(times[t] - 64 * t, times[0]) for t in range(4))


def test_masks_belong_to_samples() -> None:
    seeds = torch.arange(6) * 31
    _, masked = tube_mask(seeds, (2, 4, 4), 0.5, stream=1)
    assert len({tuple(row.tolist()) for row in masked}) > 1
    _, part = tube_mask(seeds[2:4], (2, 4, 4), 0.5, stream=1)
    assert torch.equal(part, masked[2:4])
    assert not torch.equal(masked, tube_mask(seeds, (2, 4, 4), 0.5, stream=2)[1])
    places = torch.zeros(16)
    for row in tube_mask(torch.arange(4_000), (1, 4, 4), 0.5, stream=1)[1]:
        places[row] += 1
    assert (places - 2_000).abs().max() < 5 * np.sqrt(4_000 * 0.25), "every place is masked as often"


@pytest.mark.parametrize("ratio", [0.0, 0.01, 1.0])
def test_something_is_masked_and_something_is_seen(ratio: float) -> None:
    with pytest.raises(ConfigError, match="mask_ratio"):
        tube_mask(torch.arange(2), (2, 4, 4), ratio, stream=1)


def test_patches_and_their_standardisation_pixel_by_pixel() -> None:
    """``rearrange('b c (t p0) (h p1) (w p2) -> b (t h w) (p0 p1 p2) c')`` and the lines after it, as loops."""
    video = torch.randn(2, 3, 4, 8, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cut = patches(video, (2, 4, 4))
    assert cut.shape == (2, 2 * 2 * 3, 32, 3)
    found = normalise_patches(cut)
    array = video.numpy()
    for t in range(2):
        for row in range(2):
            for column in range(3):
                token = (t * 2 + row) * 3 + column
                block = array[1, :, 2 * t : 2 * t + 2, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
                pixels = block.reshape(3, 32).T
                assert np.array_equal(cut[1, token].numpy(), pixels)
                expected = (pixels - pixels.mean(0)) / (pixels.std(0, ddof=1) + 1e-6)
                np.testing.assert_allclose(found[1, token].numpy(), expected, rtol=1e-9, atol=1e-12)


def test_raw_input_gives_the_official_target() -> None:
    """Standardised patches do not know the channel's mean and deviation, up to the 1e-6."""
    video = torch.rand(1, 3, 2, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shifted = (video - torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1, 1)) / 0.2
    difference = normalise_patches(patches(video, (2, 4, 4))) - normalise_patches(patches(shifted, (2, 4, 4)))
    assert difference.abs().max() < 1e-4


def test_positions_are_the_official_table() -> None:
    """Row 299 of get_sinusoid_encoding_table(300, 48) (modeling_finetune.py), some columns."""
    official = torch.tensor(
        [-0.52157672, -0.85320439, 0.47696101, -0.87892445, 0.15791067, 0.98745340, 0.04387311, 0.99903711]
    )
    table = sinusoid_table(300, 48)
    torch.testing.assert_close(table[299, [0, 1, 2, 3, 20, 21, 46, 47]], official, rtol=0, atol=1e-6)
    assert table[0].tolist() == [0, 1] * 24


def small(**options: object) -> VideoMAE:
    torch.manual_seed(0)
    shape = {"frames": 8, "size": 32, "stride": 2, "mask_ratio": 0.75, "decoder_dim": 12, "decoder_heads": 2}
    return VideoMAE(TinyNet(), **{**shape, "decoder_depth": 1, **options}).eval()


def test_loss_counts_masked_tokens_alone() -> None:
    task = small()
    batch = task.augment(make_batch(task))
    seen: dict[str, torch.Tensor] = {}
    hook = task.predict.register_forward_hook(lambda module, given, output: seen.update(prediction=output))
    loss = task(batch).loss
    hook.remove()
    _, masked = tube_mask(batch.seeds, (4, 8, 8), 0.75, stream=641)
    target = task.targets(task.backbone.preprocess(batch.views[0]))
    assert seen["prediction"].shape == (6, 192, 96)
    total = sum(((seen["prediction"][b] - target[b, masked[b]]) ** 2).sum() for b in range(6))
    torch.testing.assert_close(loss, total / (6 * 192 * 96))


def test_the_encoder_does_not_see_what_is_masked() -> None:
    task = small()
    batch = task.augment(make_batch(task, n=1))
    _, masked = tube_mask(batch.seeds, (4, 8, 8), 0.75, stream=641)
    predictions = []
    task.predict.register_forward_hook(lambda module, given, output: predictions.append(output))
    task(batch)
    hidden = batch.views[0].clone()
    for token in masked[0].tolist():
        t, row, column = token // 64, token % 64 // 8, token % 8
        hidden[0, :, 2 * t : 2 * t + 2, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 0.123
    task(batch._replace(views=(hidden,)))
    assert torch.equal(predictions[0], predictions[1])
    task(batch._replace(views=(1 - batch.views[0],)))
    assert not torch.equal(predictions[0], predictions[2])


def test_pixels_as_they_are_without_normalisation() -> None:
    task = small(normalise_target=False)
    video = torch.rand(1, 3, 8, 32, 32)
    assert torch.equal(task.targets(video), patches(video, (2, 4, 4)).flatten(2))
