"""Augmentation against torchvision.transforms.v2: the same results for the same parameters, the same laws of drawing.

Ours works on float; torchvision's uint8 results are compared after division by 255.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as torchvision

from vssl_core.data import colour
from vssl_core.data.draws import permutations, uniform
from vssl_core.data.transforms import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    augment_clip,
    centre_clip,
    colour_jitter,
    crop_resize,
    gaussian_blur,
    horizontal_flip,
    lower_resolution,
    normalise,
    quarter_turns,
    random_boxes,
    temporal_reverse,
    to_float,
    to_grey,
)
from vssl_core.errors import ConfigError

# The differences that the docstrings state.
FLOAT, FLOAT_BLUR = 2e-6, 1e-5
STEP, TWO_STEPS = 1 / 255 + 1e-6, 2 / 255 + 1e-6
HEIGHT, WIDTH = 37, 50


def _video(batch: int = 4, frames: int = 2, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """Half noise, half plain colours: uint8 [B, T, H, W, 3]."""
    generator = torch.Generator().manual_seed(0)
    video = torch.randint(0, 256, (batch, frames, height, width, 3), dtype=torch.uint8, generator=generator)
    colours = torch.tensor([[0, 0, 0], [255, 255, 255], [90, 90, 90], [255, 0, 0], [0, 255, 255], [20, 200, 20]])
    for at, rgb in enumerate(colours):
        video[:, :, 5 * at : 5 * at + 5, : width // 2] = rgb.to(torch.uint8)
    return video


def _as_theirs(video: Tensor) -> tuple[Tensor, Tensor]:
    """Return torchvision's float and uint8 inputs [B, T, 3, H, W]."""
    return to_float(video).transpose(1, 2).contiguous(), video.permute(0, 1, 4, 2, 3).contiguous()


def _far(mine: Tensor, theirs: Tensor) -> float:
    """Return the greatest difference of [3, T, H, W] from torchvision's [T, 3, H, W]."""
    theirs = theirs / 255 if theirs.dtype == torch.uint8 else theirs
    assert mine.shape == theirs.transpose(0, 1).shape
    return float((mine - theirs.transpose(0, 1)).abs().max())


def _check(
    mine: Tensor, video: Tensor, theirs: Callable[[Tensor, int], Tensor], *, on_float: float, on_uint8: float
) -> None:
    """Compare a batch, each sample with parameters of its own, with torchvision's results sample by sample."""
    floats, bytes_ = _as_theirs(video)
    for at in range(video.shape[0]):
        assert _far(mine[at], theirs(floats[at], at)) <= on_float
        assert _far(mine[at], theirs(bytes_[at], at)) <= on_uint8


BOXES = {
    "inside": (3, 5, 20, 30),
    "top left": (0, 0, 11, 13),
    "bottom right": (HEIGHT - 9, WIDTH - 14, 9, 14),
    "whole": (0, 0, HEIGHT, WIDTH),
    "one column": (10, 0, 27, 1),
    "one pixel": (36, 49, 1, 1),
}


@pytest.mark.parametrize("size", [16, (20, 30), (12, 41), (64, 40), (2, 90), (150, 150)], ids=str)
def test_crops_of_whole_pixels(size: int | tuple[int, int]) -> None:
    video = _video(len(BOXES))
    box = torch.tensor(list(BOXES.values()), dtype=torch.float32)
    pair = [size, size] if isinstance(size, int) else list(size)

    def theirs(frames: Tensor, at: int) -> Tensor:
        return torchvision.resized_crop(frames, *list(BOXES.values())[at], pair, antialias=True)

    # uint8 is read as it is or scaled before: the same.
    for clip in (video, to_float(video)):
        out = crop_resize(clip, box, size, rim="box")
        _check(out, video, theirs, on_float=FLOAT, on_uint8=STEP)
    whole = list(BOXES).index("whole")
    out = crop_resize(video, box, size)
    assert _far(out[whole], theirs(_as_theirs(video)[0][whole], whole)) <= FLOAT, "no rim but the frame's"


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (256, 340)])
def test_crops_of_large_frames_are_as_near(height: int, width: int) -> None:
    clip = torch.rand(1, 3, 1, height, width, generator=torch.Generator().manual_seed(1))
    for box in ((height - 101, width - 99, 101, 99), (11, 17, height - 60, width - 60)):
        out = crop_resize(clip, torch.tensor([box], dtype=torch.float32), (112, 80), rim="box")
        expected = torchvision.resized_crop(clip[0].transpose(0, 1), *box, [112, 80], antialias=True)
        assert _far(out[0], expected) <= FLOAT


def _row(start: float, length: float, source: int, size: int, rim: str) -> Tensor:
    """Resize a row by the book, in double precision: float64 [size, source]."""
    scale = length / size
    first = math.ceil(start - 0.5) if rim == "box" else start
    last = math.floor(start + length - 0.5) if rim == "box" else start + length - 1
    rows = []
    for at in range(size):
        centre = min(max(start + (at + 0.5) * scale - 0.5, first), last)
        inside = [rim == "frame" or first <= pixel <= last for pixel in range(source)]
        row = [max(0.0, 1 - abs(pixel - centre) / max(scale, 1.0)) * inside[pixel] for pixel in range(source)]
        rows.append([weight / sum(row) for weight in row])
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("rim", ["frame", "box"])
@pytest.mark.parametrize("size", [(14, 18), (60, 33)], ids=str)
def test_crops_of_fractions_of_pixels(size: tuple[int, int], rim: Any) -> None:
    boxes = [(2.3, 4.7, 21.4, 30.6), (0.0, 0.2, 9.9, 49.8), (27.75, 35.5, 9.25, 14.5), (5.5, 7.5, 8.0, 9.0)]
    clip = to_float(_video())
    out = crop_resize(clip, torch.tensor(boxes), size, rim=rim)
    for at, (top, left, tall, wide) in enumerate(boxes):
        rows, columns = _row(top, tall, HEIGHT, size[0], rim), _row(left, wide, WIDTH, size[1], rim)
        torch.testing.assert_close(out[at], (rows @ clip[at].double() @ columns.T).float(), rtol=0, atol=1e-5)


def test_a_fraction_of_nothing_is_a_whole_pixel() -> None:
    video, box = _video(1), torch.tensor([[3.0, 5.0, 20.0, 30.0]])
    for rim in ("frame", "box"):
        out = crop_resize(video, box + torch.tensor([1e-5, 1e-5, 0.0, 0.0]), (25, 35), rim=rim)  # type: ignore[arg-type]
        torch.testing.assert_close(out, crop_resize(video, box, (25, 35), rim=rim), rtol=0, atol=1e-4)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="rim='edge' is not one of 'frame', 'box'"):
        crop_resize(video, box, 8, rim="edge")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="0 x 8"):
        crop_resize(video, box, (0, 8))


def test_flips_turns_and_reversal() -> None:
    video = _video()
    clip = to_float(video)
    chosen = torch.tensor([True, False, True, False])
    mirrored = horizontal_flip(clip, chosen)
    _check(
        mirrored,
        video,
        lambda frames, at: torchvision.horizontal_flip(frames) if chosen[at] else frames,
        on_float=0.0,
        on_uint8=1e-7,
    )
    box = torch.tensor(list(BOXES.values())[:4], dtype=torch.float32)
    torch.testing.assert_close(
        crop_resize(clip, box, (20, 30), chosen, rim="box"),
        horizontal_flip(crop_resize(clip, box, (20, 30), rim="box"), chosen),
        rtol=0,
        atol=1e-6,
    )
    square = video[:, :, :, :HEIGHT]
    turned = quarter_turns(to_float(square), torch.tensor([0, 1, 2, 3]))
    _check(turned, square, lambda frames, at: torchvision.rotate(frames, 90.0 * at), on_float=0.0, on_uint8=1e-7)
    assert torch.equal(quarter_turns(to_float(square), torch.tensor([4, -3, 6, -1])), turned)
    with pytest.raises(ConfigError, match="37 x 50"):
        quarter_turns(clip, torch.zeros(4, dtype=torch.int64))
    backwards = temporal_reverse(clip, chosen)
    for at in range(4):
        assert torch.equal(backwards[at], clip[at].flip(1) if chosen[at] else clip[at])
    assert torch.equal(to_float(temporal_reverse(video, chosen)), backwards)


@pytest.mark.parametrize(
    ("mine", "theirs", "on_uint8"),
    [
        (adjust_brightness, torchvision.adjust_brightness, STEP),
        (adjust_contrast, torchvision.adjust_contrast, TWO_STEPS),
        (adjust_saturation, torchvision.adjust_saturation, TWO_STEPS),
    ],
)
def test_colour_factors(mine: Any, theirs: Any, on_uint8: float) -> None:
    for factors in ([0.0, 0.3, 0.8, 1.0], [1.1, 1.4, 1.9, 2.0]):
        video = _video()
        out = mine(to_float(video), torch.tensor(factors))
        _check(out, video, lambda frames, at, f=factors: theirs(frames, f[at]), on_float=FLOAT, on_uint8=on_uint8)


def test_hue() -> None:
    for turns in ([-0.5, -0.31, -0.1, 0.0], [0.02, 0.17, 0.4, 0.5]):
        video = _video()
        out = adjust_hue(to_float(video), torch.tensor(turns))
        _check(
            out, video, lambda frames, at, t=turns: torchvision.adjust_hue(frames, t[at]), on_float=FLOAT, on_uint8=STEP
        )


def test_grey_and_normalise() -> None:
    video = _video()
    clip = to_float(video)
    _check(
        to_grey(clip), video, lambda frames, _: torchvision.rgb_to_grayscale(frames, 3), on_float=FLOAT, on_uint8=STEP
    )
    mean, std = [0.4, 0.5, 0.3], [0.2, 0.25, 0.3]
    # torchvision refuses to normalise uint8; scaled first, as its documentation advises, it is float.
    _check(
        normalise(clip, mean, std),
        video,
        lambda frames, _: torchvision.normalize(torchvision.to_dtype(frames, torch.float32, scale=True), mean, std),
        on_float=FLOAT,
        on_uint8=FLOAT,
    )
    with pytest.raises(ConfigError, match="give 3 numbers each, std above 0"):
        normalise(clip, mean, [0.2, 0.0, 0.3])
    with pytest.raises(ConfigError, match="give 3 numbers each"):
        normalise(clip, [0.5], std)


@pytest.mark.parametrize("kernel", [3, 11, (5, 9), (23, 31)], ids=str)
def test_blur(kernel: int | tuple[int, int]) -> None:
    video, sigma = _video(), [0.1, 0.7, 2.0, 5.0]
    out = gaussian_blur(to_float(video), torch.tensor(sigma), kernel=kernel)
    tall, wide = (kernel, kernel) if isinstance(kernel, int) else kernel

    def theirs(frames: Tensor, at: int) -> Tensor:
        return torchvision.gaussian_blur(frames, [wide, tall], [sigma[at], sigma[at]])

    _check(out, video, theirs, on_float=FLOAT_BLUR, on_uint8=STEP)


def test_kernels_that_cannot_blur_are_refused() -> None:
    clip, sigma = to_float(_video()), torch.ones(4)
    for kernel in (4, 0, (3, 101)):
        with pytest.raises(ConfigError, match=r"blur kernel|impossible"):
            gaussian_blur(clip, sigma, kernel=kernel)
    # One column less than twice the side is the last to be reflected once.
    assert gaussian_blur(clip, sigma, kernel=2 * HEIGHT - 1).shape == clip.shape


def test_lower_resolution() -> None:
    video, sides = _video(), [5, 20, 37, 90]

    def theirs(frames: Tensor, at: int) -> Tensor:
        short = min(sides[at], HEIGHT)
        small = torchvision.resize(frames, [short, round(short / HEIGHT * WIDTH)], antialias=True)
        return torchvision.resize(small, [HEIGHT, WIDTH], antialias=True)

    clip = to_float(video)
    out = lower_resolution(clip, torch.tensor(sides))
    _check(out, video, theirs, on_float=FLOAT, on_uint8=TWO_STEPS)
    assert torch.equal(out[2:], clip[2:])


@pytest.mark.parametrize("per_frame", [False, True])
def test_jitter_in_torchvisions_order(per_frame: bool) -> None:
    video = _video(24)
    clip = to_float(video)
    seeds = torch.arange(24)
    order = permutations(seeds, 4, stream=0)
    n = 2 if per_frame else 1
    names = ("brightness", "contrast", "saturation", "hue")
    factors = {name: uniform(seeds, n, stream=at + 1, low=0.5, high=1.5) for at, name in enumerate(names)}
    factors["hue"] = factors["hue"] - 1.0
    functions = (
        torchvision.adjust_brightness,
        torchvision.adjust_contrast,
        torchvision.adjust_saturation,
        torchvision.adjust_hue,
    )

    def theirs(frames: Tensor, at: int, numbers: list[int]) -> Tensor:
        out = []
        for time, frame in enumerate(frames):
            for number in numbers:
                frame = functions[number](frame, float(factors[names[number]][at, min(time, n - 1)]))
            out.append(frame)
        return torch.stack(out)

    # Four operations in float, each within 2e-6 of the same input; uint8 was compared for each by itself.
    floats = _as_theirs(video)[0]
    mixed, fixed = colour_jitter(clip, **factors, order=order), colour_jitter(clip, **factors)
    for at in range(24):
        assert _far(mixed[at], theirs(floats[at], at, order[at].tolist())) <= 4 * FLOAT
        assert _far(fixed[at], theirs(floats[at], at, [0, 1, 2, 3])) <= 4 * FLOAT
    # What a GPU does for lack of knowing the order on the host.
    slots = colour._by_slots(clip, [factors[name] for name in names], order)
    torch.testing.assert_close(slots, mixed, rtol=0, atol=2e-6)
    some = {"brightness": factors["brightness"], "saturation": factors["saturation"]}
    slots = colour._by_slots(clip, [some["brightness"], None, some["saturation"], None], order)
    torch.testing.assert_close(slots, colour_jitter(clip, **some, order=order), rtol=0, atol=2e-6)


def test_centre_clip_cuts_and_scales_the_middle() -> None:
    video = _video(2, 1, 40, 64)
    # 40 x 64 covers 20 x 10 with 40 rows and 20 columns.
    _check(
        centre_clip(video, (20, 10)),
        video,
        lambda frames, _: torchvision.resized_crop(frames, 0, 22, 40, 20, [20, 10], antialias=True),
        on_float=0.5,
        on_uint8=0.5,
    )
    inner = centre_clip(video, (20, 10))[..., 1:-1]
    cut = to_float(video)[..., 22:42]
    expected = torchvision.resize(cut[:, :, 0], [20, 10], antialias=True)[:, :, None, :, 1:-1]
    torch.testing.assert_close(inner, expected, rtol=0, atol=FLOAT)
    assert torch.equal(centre_clip(video, (40, 64)), to_float(video))


def _their_boxes(height: int, width: int, scale: tuple[float, float], n: int) -> Tensor:
    transform = v2.RandomResizedCrop(8, scale=scale)
    frame = torch.zeros(()).expand(3, height, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [transform.make_params([frame]) for _ in range(n)]
    return torch.tensor([[d["top"], d["left"], d["height"], d["width"]] for d in drawn], dtype=torch.float64)


def _numbers(box: Tensor, height: int, width: int) -> dict[str, Tensor]:
    """Return what is drawn: parts of the area, log of the ratio, places as parts of the room."""
    top, left, tall, wide = box.double().unbind(1)
    return {
        "area": tall * wide / (height * width),
        "ratio": (wide / tall).log(),
        "top": top / (height - tall).clamp(min=1),
        "left": left / (width - wide).clamp(min=1),
    }


def test_the_crops_law_is_torchvisions_where_every_ratio_fits() -> None:
    # Half of a square holds every ratio from 3:4 to 4:3; 3000 pixels make torchvision's rounding small.
    side, scale, n = 3000, (0.1, 0.5), 3000
    mine = _numbers(random_boxes(torch.arange(n), side, side, stream=0, scale=scale), side, side)
    theirs = _numbers(_their_boxes(side, side, scale, n), side, side)
    for name in mine:
        # Two samples of one law of 3000 each stay below 0.05 with a probability of 0.999.
        assert stats.ks_2samp(mine[name], theirs[name]).statistic < 0.05, name
    correlation = torch.corrcoef(torch.stack(list(mine.values())))
    assert (correlation - torch.eye(4)).abs().max() < 0.07


def test_where_not_every_ratio_fits_ours_keeps_the_area() -> None:
    height, width, scale, n = 1280, 1710, (0.3, 1.0), 3000
    box = random_boxes(torch.arange(4 * n), height, width, stream=0, scale=scale)
    mine, theirs = _numbers(box, height, width), _numbers(_their_boxes(height, width, scale, n), height, width)
    assert (box[:, :2] >= 0).all()
    assert (box[:, :2] + box[:, 2:] <= torch.tensor([height, width]) + 1e-3).all()
    # By design: areas stay uniform; torchvision has fewer large ones. How far apart that is:
    assert stats.kstest(mine["area"], stats.uniform(0.3, 0.7).cdf).statistic < 0.02
    assert 0.2 < stats.ks_2samp(mine["area"], theirs["area"]).statistic < 0.27
    assert 0.08 < mine["area"].mean() - theirs["area"].mean() < 0.12
    assert abs(mine["ratio"].mean() - theirs["ratio"].mean()) < 0.07
    # And no further: with areas thinned out by the part of ratios that fits, ours is torchvision's law.
    low = (mine["area"] * width / height).log().clamp(min=math.log(3 / 4))
    high = (width / height / mine["area"]).log().clamp(max=math.log(4 / 3))
    fitting = (high - low) / math.log(16 / 9)
    kept = torch.rand(4 * n, generator=torch.Generator().manual_seed(0)) < fitting
    assert 0.5 < kept.double().mean() < 0.9
    for name in mine:
        assert stats.ks_2samp(mine[name][kept], theirs[name]).statistic < 0.05, name


def test_areas_and_ratios_can_be_chosen() -> None:
    seeds = torch.arange(500)
    box = random_boxes(seeds, 64, 64, stream=0, scale=(0.25, 0.25), ratio=(1.0, 1.0))
    torch.testing.assert_close(box[:, 2:], torch.full((500, 2), 32.0), rtol=0, atol=1e-3)
    area = random_boxes(seeds, 64, 64, stream=0, scale=(0.2, 0.6))[:, 2:].prod(1) / 64**2
    assert 0.199 < area.min() < 0.22
    assert 0.58 < area.max() < 0.601
    for bounds in ({"scale": (0.5, 0.2)}, {"scale": (0.0, 1.0)}, {"ratio": (2.0, 1.0)}):
        with pytest.raises(ConfigError, match="no range of positive numbers"):
            random_boxes(seeds, 64, 64, stream=0, **bounds)


def test_probabilities_are_those_asked_for() -> None:
    n, seeds = 600, torch.arange(600)
    ramp = torch.arange(0, 240, 15, dtype=torch.uint8)
    # Red rises to the right, green falls, blue goes up and down.
    row = torch.stack([ramp, ramp.flip(0), torch.tensor([30, 200], dtype=torch.uint8).repeat(8)], dim=-1)
    video = row.expand(n, 1, 16, 16, 3)
    plain = to_float(video[:1])[0]

    def share(changed: Callable[[Tensor], bool], **options: Any) -> float:
        out = augment_clip(video, seeds, **{"size": 16, "crop_scale": 1.0, "flip": 0.0, "jitter": 0.0, **options})
        return sum(changed(clip) for clip in out) / n

    def is_changed(clip: Tensor) -> bool:
        return not torch.allclose(clip, plain, atol=1e-5)

    # Four standard deviations of 600 draws are at most 0.082.
    assert abs(share(is_changed, flip=0.3) - 0.3) < 0.082
    assert abs(share(is_changed, grey=0.2) - 0.2) < 0.082
    assert abs(share(is_changed, blur=0.6) - 0.6) < 0.082
    assert abs(share(is_changed, jitter=0.4, jitter_probability=0.8) - 0.8) < 0.082
    assert abs(share(is_changed, hue=0.4, jitter_probability=0.3) - 0.3) < 0.082
    assert abs(share(is_changed, channel_split_probability=0.5) - 0.5) < 0.082
    for channel in range(3):
        alone = plain[channel].expand(3, -1, -1, -1)
        equal = share(lambda clip, alone=alone: torch.equal(clip, alone), channel_split_probability=1.0)
        assert abs(equal - 1 / 3) < 0.082


def test_the_hue_is_uniform() -> None:
    n = 600
    red = torch.zeros(n, 1, 12, 12, 3, dtype=torch.uint8)
    red[..., 0] = 255
    out = augment_clip(red, torch.arange(n), size=12, crop_scale=1.0, flip=0.0, jitter=0.0, hue=0.15)[:, :, 0, 0, 0]
    # Within a sixth of red, what green or blue has is six times the turn.
    turn = (out[:, 1] - out[:, 2]) / 6
    assert stats.kstest(turn, stats.uniform(-0.15, 0.3).cdf).statistic < 0.08
    with pytest.raises(ConfigError, match=r"hue=0\.6 is more than half of the circle"):
        augment_clip(red, torch.arange(n), size=12, crop_scale=1.0, flip=0.0, jitter=0.0, hue=0.6)
