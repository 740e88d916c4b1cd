"""What holds for augmentation whatever is asked of it, what frames of a clip share, and pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vssl_core.data import geometry, transforms
from vssl_core.data.transforms import (
    augment_clip,
    channel_split,
    crop_pieces,
    crop_resize,
    grid_boxes,
    horizontal_flip,
    join_pieces,
    quarter_turns,
    random_boxes,
    random_temporal_reverse,
    shift_boxes,
    split_seeds,
    to_float,
    uniform,
)
from vssl_core.errors import ConfigError

EVERYTHING: dict[str, Any] = {
    "crop_scale": 0.3,
    "flip": 0.5,
    "jitter": 0.4,
    "hue": 0.1,
    "grey": 0.3,
    "blur": 0.5,
    "channel_split_probability": 0.3,
    "jitter_probability": 0.8,
    "random_order": True,
}
EXAMPLES = settings(max_examples=25, deadline=None, derandomize=True, database=None)
KNOWN_PIXELS = [
    [0.1859399378299713, 0.457364022731781, 0.3524414300918579, 0.43668559193611145],
    [0.4356888234615326, 0.45307812094688416, 0.3575703799724579, 0.49317553639411926],
]
chances = st.sampled_from([0.0, 0.5, 1.0])
# From 12 pixels on a sample's bits do not depend on its batch: see _SINGLY in resample.py.
sides = st.integers(12, 20)
some_options = st.fixed_dictionaries(
    {
        "size": sides | st.tuples(sides, sides),
        "crop_scale": st.sampled_from([0.08, 0.6, 1.0]),
        "flip": chances,
        "jitter": st.sampled_from([0.0, 0.4, 1.0]),
        "hue": st.sampled_from([0.0, 0.1, 0.5]),
        "grey": chances,
        "blur": chances,
        "channel_split_probability": chances,
        "jitter_probability": chances,
        "random_order": st.booleans(),
        "per_frame_jitter": st.booleans(),
        "per_frame_flip": st.booleans(),
        "rim": st.sampled_from(["frame", "box"]),
        "stream": st.integers(0, 5),
    }
)


def _draw(shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    video = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    # Full black and white, too.
    video[0, 0] = torch.where(video[0, 0] < 128, 0, 255).to(torch.uint8)
    return video, torch.randint(-(2**63), 2**63 - 1, shape[:1], generator=generator)


@EXAMPLES
@given(
    options=some_options,
    shape=st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(8, 30), st.integers(8, 30), st.just(3)),
    seed=st.integers(0, 2**32),
    shift=st.sampled_from([0.0, 4.0]),
)
def test_a_sample_depends_on_itself_alone(
    options: dict[str, Any], shape: tuple[int, ...], seed: int, shift: float
) -> None:
    if options["crop_scale"] < 1:
        options = {**options, "per_frame_shift": shift}
    video, seeds = _draw(shape, seed)
    before = video.clone()
    out = augment_clip(video, seeds, **options)
    assert torch.equal(video, before)
    size = options["size"]
    assert out.shape == (shape[0], 3, shape[1], *((size, size) if isinstance(size, int) else size))
    assert out.dtype == torch.float32
    assert out.min() >= -1e-6
    assert out.max() <= 1 + 1e-6
    assert torch.equal(augment_clip(video, seeds, **options), out), "the same seeds, the same clips"
    parts = [augment_clip(video[at], seeds[at], **options) for at in (slice(0, 1), slice(1, None))]
    assert torch.equal(torch.cat(parts), out), "a split batch"
    order = torch.randperm(shape[0], generator=torch.Generator().manual_seed(seed))
    assert torch.equal(augment_clip(video[order], seeds[order], **options), out[order]), "in another order"
    others, other_seeds = video.flip(1).clone(), seeds + 1
    others[0], other_seeds[0] = video[0], seeds[0]
    assert torch.equal(augment_clip(others, other_seeds, **options)[0], out[0]), "beside others"


@EXAMPLES
@given(
    scale=st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)),
    ratio=st.tuples(st.floats(0.2, 5.0), st.floats(0.2, 5.0)),
    height=st.integers(8, 400),
    width=st.integers(8, 400),
    pixels=st.floats(0.0, 50.0),
)
def test_boxes_stay_inside(
    scale: tuple[float, float], ratio: tuple[float, float], height: int, width: int, pixels: float
) -> None:
    seeds = torch.arange(50)
    low, high = sorted(scale)
    box = random_boxes(seeds, height, width, stream=3, scale=(low, high), ratio=(min(ratio), max(ratio)))
    moved = shift_boxes(box, seeds, 4, height=height, width=width, pixels=pixels, stream=4)
    assert moved.shape == (50, 4, 4)
    for boxes in (box, moved.flatten(0, 1)):
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, :2] + boxes[:, 2:] <= torch.tensor([height, width]) * (1 + 1e-6)).all()
    area = box[:, 2:].prod(dim=1) / (height * width)
    assert (area >= low * 0.999).all()
    assert (area <= high * 1.001).all()
    assert (moved[..., :2] - box[:, None, :2]).abs().max() <= pixels + 1e-4 * height
    assert torch.equal(moved[:, 0, 2:], box[:, 2:])


def test_the_draws_of_today_stay() -> None:
    # Pixels of the first version: boards have been measured with it.
    video, _ = _draw((4, 2, 24, 30, 3), 0)
    out = augment_clip(
        video, torch.arange(4), size=16, stream=1, crop_scale=0.3, flip=0.5, jitter=0.4, grey=0.3, blur=0.5
    )
    pixels = torch.stack([out[:, 0, 1, 3, 7], out[:, 1, 0, 9, 2]])
    torch.testing.assert_close(pixels, torch.tensor(KNOWN_PIXELS), rtol=0, atol=1e-5)


def test_options_leave_each_others_draws_alone() -> None:
    video, seeds = _draw((6, 2, 20, 24, 3), 1)
    plain = augment_clip(video, seeds, size=16, crop_scale=0.3, flip=0.5, jitter=0.0)
    # Grey clips have no hue to turn and no order of channels: what is left is the crop and the flip.
    grey = augment_clip(
        video[..., :1].expand(-1, -1, -1, -1, 3), seeds, size=16, crop_scale=0.3, flip=0.5, jitter=0.0, hue=0.5
    )
    torch.testing.assert_close(grey, plain[:, :1].expand_as(grey), rtol=0, atol=1e-6)
    split = augment_clip(video, seeds, size=16, crop_scale=0.3, flip=0.5, jitter=0.0, channel_split_probability=1.0)
    for at in range(6):
        assert any(torch.equal(split[at], plain[at, channel].expand(3, -1, -1, -1)) for channel in range(3))
    kept = augment_clip(video, seeds, size=16, crop_scale=0.3, flip=0.5, jitter=0.4, jitter_probability=0.0)
    # White may come out of the crop a rounding above 1; jitter clamps it.
    torch.testing.assert_close(kept, plain, rtol=0, atol=1e-6)


def test_every_draw_has_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    streams: list[int] = []

    def spy(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def drawn(*arguments: Any, stream: int, **options: Any) -> Tensor:
            streams.append(stream)
            return draw(*arguments, stream=stream, **options)

        return drawn

    monkeypatch.setattr(transforms, "uniform", spy(transforms.uniform))
    monkeypatch.setattr(transforms, "permutations", spy(transforms.permutations))
    monkeypatch.setattr(geometry, "uniform", spy(geometry.uniform))
    video, seeds = _draw((2, 2, 20, 24, 3), 1)
    for stream in (0, 1, 2):
        augment_clip(video, seeds, size=16, stream=stream, per_frame_shift=1.0, **EVERYTHING)
    # Box, shift, flip, factors, hue, order, which are jittered, grey, split, blur.
    assert len(streams) == 3 * 10
    assert len(set(streams)) == len(streams)


def test_frames_share_all_but_what_is_drawn_per_frame() -> None:
    still = _draw((6, 1, 20, 24, 3), 2)[0].expand(-1, 4, -1, -1, -1)
    seeds = torch.arange(6)
    out = augment_clip(still, seeds, size=16, **EVERYTHING)
    for at in range(1, 4):
        assert torch.equal(out[:, :, 0], out[:, :, at])
    only: dict[str, Any] = {"size": 16, "crop_scale": 0.5, "flip": 0.5, "jitter": 0.0}
    same = augment_clip(still, seeds, **only)
    flips = augment_clip(still, seeds, **only, per_frame_flip=True)
    for clip, plain in zip(flips, same, strict=True):
        for at in range(4):
            frame, expected = clip[:, at], plain[:, at]
            assert torch.allclose(frame, expected, atol=1e-6) or torch.allclose(frame, expected.flip(-1), atol=1e-6)
    assert any(not torch.allclose(flips[:, :, 0], flips[:, :, at], atol=1e-6) for at in range(1, 4))
    hues = augment_clip(still, seeds, **only, hue=0.4, per_frame_jitter=True)
    assert not torch.allclose(hues[:, :, 0], hues[:, :, 1], atol=1e-3)


def test_a_batch_of_which_nothing_is_left() -> None:
    empty = augment_clip(
        torch.zeros(0, 3, 20, 24, 3, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64), size=16, **EVERYTHING
    )
    assert empty.shape == (0, 3, 3, 16, 16)


def test_shifted_crops_move_by_so_many_pixels() -> None:
    # A ramp tells where a crop lies: red is the row, green the column.
    rows = torch.arange(64, dtype=torch.uint8).view(64, 1).expand(64, 64)
    ramp = torch.stack([rows, rows.T, rows], dim=-1).expand(40, 5, 64, 64, 3)
    out = 255 * augment_clip(
        ramp, torch.arange(40), size=16, crop_scale=0.25, flip=0.0, jitter=0.0, per_frame_shift=5.0, rim="box"
    )
    place = out.mean(dim=(-2, -1))[:, :2]  # [B, 2, T]
    spread = place.amax(dim=2) - place.amin(dim=2)
    assert spread.max() <= 10.01
    assert spread.median() > 4
    with pytest.raises(ConfigError, match="set crop_scale below 1"):
        augment_clip(ramp, torch.arange(40), size=16, crop_scale=1.0, flip=0.0, jitter=0.0, per_frame_shift=5.0)


def test_parameters_per_frame_equal_frames_by_themselves() -> None:
    video, seeds = _draw((3, 4, 24, 30, 3), 3)
    clip = to_float(video)
    box = torch.stack([random_boxes(seeds, 24, 30, stream=at) for at in range(4)], dim=1)
    flips = uniform(seeds, 4, stream=9) < 0.5
    channel = torch.tensor([[0, 1, 2, -1], [1, 1, -1, 0], [2, -1, 0, 1]])
    turns = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 2, 2]])
    square = crop_resize(clip, box, 14, flips)
    for source in (video, clip):
        torch.testing.assert_close(crop_resize(source, box, 14, flips), square, rtol=0, atol=0)
    mirrored, turned, split = horizontal_flip(square, flips), quarter_turns(square, turns), channel_split(clip, channel)
    constant = crop_resize(clip, box[:, 0], 14, flips)
    for at in range(4):
        one = slice(at, at + 1)
        assert torch.equal(square[:, :, one], crop_resize(clip[:, :, one], box[:, at], 14, flips[:, at]))
        assert torch.equal(constant[:, :, one], crop_resize(clip[:, :, one], box[:, 0], 14, flips[:, at]))
        assert torch.equal(mirrored[:, :, one], horizontal_flip(square[:, :, one], flips[:, at]))
        assert torch.equal(turned[:, :, one], quarter_turns(square[:, :, one], turns[:, at]))
        assert torch.equal(split[:, :, one], channel_split(clip[:, :, one], channel[:, at]))
    assert torch.equal(split[0, 2, 1], clip[0, 1, 1])
    assert torch.equal(split[0, :, 3], clip[0, :, 3])


def test_half_of_the_clips_run_backwards() -> None:
    video, _ = _draw((400, 3, 4, 4, 3), 4)
    out, reversed_ = random_temporal_reverse(video, torch.arange(400), stream=0)
    for at in range(400):
        assert torch.equal(out[at], video[at].flip(0) if reversed_[at] else video[at])
    assert 160 <= int(reversed_.sum()) <= 240
    assert int(random_temporal_reverse(video, torch.arange(400), stream=0, probability=0.1)[1].sum()) < 80
    floats, again = random_temporal_reverse(to_float(video), torch.arange(400), stream=0)
    assert torch.equal(again, reversed_)
    assert torch.equal(floats, to_float(out))


def test_pieces_are_cut_moved_and_joined() -> None:
    video, seeds = _draw((5, 2, 30, 44, 3), 5)
    clip = to_float(video)
    tight = grid_boxes(seeds, 30, 44, rows=3, columns=2, piece=(10, 22), stream=0)
    pieces = crop_pieces(video, tight, (10, 22))
    assert pieces.shape == (5, 6, 3, 2, 10, 22)
    assert torch.equal(pieces[:, 3], clip[..., 10:20, 22:44])
    assert torch.equal(join_pieces(pieces, rows=3, columns=2), clip)
    # With room to move every place in the cell comes up, and none outside of it.
    many = torch.arange(2000)
    loose = grid_boxes(many, 30, 44, rows=3, columns=2, piece=8, stream=0)
    assert torch.equal(loose[..., 2:], torch.full_like(loose[..., 2:], 8.0))
    inside = loose[..., :2] - torch.tensor([[10 * (at // 2), 22 * (at % 2)] for at in range(6)])
    assert [int(n) for n in torch.bincount(inside[..., 0].flatten().long())] == pytest.approx([4000] * 3, abs=250)
    assert len(torch.bincount(inside[..., 1].flatten().long())) == 15
    assert inside.min() == 0
    with pytest.raises(ConfigError, match="pieces of 11 x 11 pixels do not fit 3 x 2 cells of 10 x 22"):
        grid_boxes(seeds, 30, 44, rows=3, columns=2, piece=11, stream=0)


def test_pieces_have_seeds_of_their_own() -> None:
    seeds = torch.arange(1000)
    split = split_seeds(seeds, 4, stream=2)
    assert split.shape == (1000, 4)
    assert split.unique().numel() == 4000
    assert torch.equal(split[:, :2], split_seeds(seeds, 2, stream=2))
    assert torch.equal(split[10:20], split_seeds(seeds[10:20], 4, stream=2))
    drawn = uniform(split.flatten(), 1, stream=2).view(1000, 4)
    assert (torch.corrcoef(drawn.T) - torch.eye(4)).abs().max() < 0.13
    assert (drawn.mean(0) - 0.5).abs().max() < 0.05


@pytest.mark.cuda
@pytest.mark.parametrize("per_frame", [False, True])
def test_a_gpu_does_the_same_with_every_option(per_frame: bool) -> None:
    video, seeds = _draw((9, 3, 24, 30, 3), 6)
    options = {**EVERYTHING, "per_frame_jitter": per_frame, "per_frame_flip": per_frame, "rim": "box"}
    shift = 3.0 if per_frame else 0.0
    here = augment_clip(video, seeds, size=(16, 20), per_frame_shift=shift, **options)
    there = augment_clip(video.cuda(), seeds.cuda(), size=(16, 20), per_frame_shift=shift, **options).cpu()
    torch.testing.assert_close(here, there, rtol=0, atol=1e-4)
