"""``prp`` against numbers of the official code, yuanyao366/PRP, commit a0e42ba.

Made by importing its modules as they are (cv2, skvideo and ffmpeg replaced by empty modules, cv2.VideoCapture by one
whose frame k is all k, so that frame numbers can be read off the pixels) and calling, with the weights and inputs of
``wave`` and ``tiled`` below, ``models.sscn.SSCN_OneClip(nn.Identity(), with_classifier=True, num_classes=4)`` in
training mode,
``datasets.patch_region.getPatchLossMask_DPAU(clip, zeros(3, 4, 112, 112), low=0.8, high=2.0)``,
``train_predict.Motion_MSEloss_NoFakeGt()`` and ``datasets.predict_dataset.PredictDataset(...)[0]``, 60 times.
``tests/golden/make/prp.py`` runs them again.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.tasks import TinyNet, video
from torch import Tensor, nn

from vssl_core.contracts import Batch, Features
from vssl_speed.prp import PlaybackRatePerception, reconstruction_error
from vssl_speed.reconstruction import motion_attention

# Largest differences found: logits 4e-7, clip 6e-6, attention 2e-6, error 2e-7.
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}

LOGITS = [
    [0.09053269028663635, 0.06690751016139984, 0.05395969748497009, 0.09194254875183105],
    [0.16479173302650452, 0.1317567080259323, -0.0010233893990516663, 0.010749876499176025],
]
# Every 4274th number of the rebuilt clip [2, 3, 16, 32, 32], and the last one.
CLIP = [
    *(0.0, 0.28671231865882874, 0.03102952614426613, 1.6522502899169922, 0.0, 0.7252017855644226, 0.0, 0.0),
    *(1.4701639413833618, 0.17279554903507233, 2.0634043216705322, 1.1657694578170776, 0.4989509582519531),
    *(2.053790330886841, 0.0, 0.152085080742836, 0.0, 0.3368787169456482, 0.0, 0.3174252510070801),
    *(0.4965643882751465, 0.0, 0.0, 0.24843697249889374),
]
CLIP_MEAN, CLIP_DEVIATION = 0.43306484818458557, 0.6797621846199036
# Of the clip ``moving()``: means of its channels, and numbers at some places, channel, row and column.
ATTENTION_MEAN = [1.4067394733428955, 1.4111016988754272, 1.4269989728927612]
ATTENTION = {
    (0, 0, 0): 0.8000024557,
    (0, 50, 60): 1.4305325747,
    (1, 111, 111): 2.0,
    (1, 13, 97): 1.6166409254,
    (2, 77, 5): 1.0457069874,
    (2, 30, 110): 1.8098357916,
}
# With every second frame of the first sample missing, and with none.
ERRORS = [1.3262869119644165, 1.391334056854248]

# Official modules in the order of their parameters, and where those lie here.
PLACES = [
    *("decoder.stages.0", "decoder.stages.1.0", "decoder.stages.1.1"),
    *("decoder.stages.2", "decoder.stages.3.0", "decoder.stages.3.1"),
    *("decoder.stages.4", "decoder.stages.5.0", "decoder.stages.5.1"),
    *("decoder.stages.6", "decoder.stages.7.0", "decoder.stages.7.1"),
    *("classify.0", "classify.1", "decoder.refine.0", "decoder.refine.1", "head"),
]


def wave(*shape: int, pitch: float) -> Tensor:
    """Fixed numbers without a generator: sin(pitch * (k + 1)), k counting through the tensor."""
    k = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(k * pitch + pitch).reshape(shape).float()


def tiled(*shape: int, pitch: float) -> Tensor:
    """``wave`` for large tensors: its first 9973 numbers, over and over."""
    return wave(9973, pitch=pitch).repeat(math.prod(shape) // 9973 + 1)[: math.prod(shape)].reshape(shape)


class Given(nn.Module):
    """A backbone whose map is what it is given, or stands for 16 frames of 32 pixels: [512, 1, 2, 2]."""

    embed_dim = 512

    def forward(self, clip: Tensor) -> Features:
        feature_map = clip if clip.shape[1] == 512 else clip.new_zeros(len(clip), 512, 1, 2, 2)
        return Features(feature_map, feature_map.mean((2, 3, 4)))


def set_parameters(parameters: list[tuple[str, Tensor]]) -> None:
    """Fixed numbers by the place in the list; the names end in ``weight`` or ``bias``."""
    with torch.no_grad():
        for n, (name, parameter) in enumerate(parameters):
            if parameter.dim() > 1:
                deviation = 2 * (2 / parameter[0].numel()) ** 0.5
                parameter.copy_(tiled(*parameter.shape, pitch=0.37 + 0.01 * n) * deviation)
            elif name.endswith("weight"):
                parameter.copy_(1 + 0.1 * wave(*parameter.shape, pitch=0.3 + 0.01 * n))
            else:
                parameter.copy_(0.1 * wave(*parameter.shape, pitch=0.2 + 0.01 * n))


def chosen_of(clip: Tensor) -> Tensor:
    """The numbers of a rebuilt clip that ``CLIP`` holds."""
    return clip.flatten()[[*range(0, 23 * 4274, 4274), clip.numel() - 1]]


def test_heads_and_decoder() -> None:
    """The widths of the published networks, 18 M parameters."""
    task = PlaybackRatePerception(Given(), frames=8, size=32, strides=(1, 2, 4, 8)).train()
    own = dict(task.named_parameters())
    places = [f"{place}.{kind}" for place in PLACES for kind in ("weight", "bias")]
    assert sorted(places) == sorted(own)
    set_parameters([(place, own[place]) for place in places])
    with torch.no_grad():
        feature_map = wave(2, 512, 1, 2, 2, pitch=0.9)
        logits = task.head(task.classify(feature_map).mean((2, 3, 4)))
        clip = task.decoder(feature_map)
    torch.testing.assert_close(logits, torch.tensor(LOGITS), **TOLERANCE)
    assert clip.shape == (2, 3, 16, 32, 32)
    torch.testing.assert_close(chosen_of(clip), torch.tensor(CLIP), **TOLERANCE)
    assert math.isclose(float(clip.mean()), CLIP_MEAN, rel_tol=1e-5)
    assert math.isclose(float(clip.std()), CLIP_DEVIATION, rel_tol=1e-5)


def moving() -> Tensor:
    """A clip float [3, 16, 112, 112] in which every place changes otherwise."""
    t = torch.arange(16, dtype=torch.float64)[None, :, None, None]
    y = torch.arange(112, dtype=torch.float64)[None, None, :, None]
    x = torch.arange(112, dtype=torch.float64)[None, None, None, :]
    c = torch.arange(3, dtype=torch.float64)[:, None, None, None]
    return (0.5 + 0.5 * torch.sin(0.05 * y + 0.11 * x * (c + 1) + 0.002 * t * (y + 2 * x) + c)).float()


def moving_still_and_partly() -> list[Tensor]:
    """That clip; its first frame all the time; the clip with its second channel standing still."""
    clip = moving()
    partly = clip.clone()
    partly[1] = clip[1, :1]
    return [clip, clip[:, :1].expand(-1, 16, -1, -1), partly]


def test_motion_attention() -> None:
    found = motion_attention(torch.stack(moving_still_and_partly())[:, :, [0, 5, 10, 15]], 0.8, 2.0)
    assert found.shape == (3, 3, 112, 112)
    torch.testing.assert_close(found[0].mean((1, 2)), torch.tensor(ATTENTION_MEAN), **TOLERANCE)
    chosen = torch.stack([found[0][at] for at in ATTENTION])
    torch.testing.assert_close(chosen, torch.tensor(list(ATTENTION.values())), **TOLERANCE)
    torch.testing.assert_close(found[1], torch.ones(3, 112, 112))  # nothing moves anywhere
    torch.testing.assert_close(found[2, 1], torch.full((112, 112), 2.0))  # a channel that stands still alone
    torch.testing.assert_close(found[2, 0], found[0, 0])


def reconstructions() -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Output, target, weights, and which frames are real: those that ``ERRORS`` belong to."""
    output, target = wave(2, 3, 8, 4, 4, pitch=0.31), wave(2, 3, 8, 4, 4, pitch=0.17)
    weight = 1.4 + 0.6 * wave(2, 3, 8, 4, 4, pitch=0.53)
    every = torch.ones(2, 8, dtype=torch.bool)
    missing = every.clone()
    missing[0, 1::2] = False
    return output, target, weight, [missing, every]


def test_error_of_the_reconstruction() -> None:
    output, target, weight, real = reconstructions()
    for flags, official in zip(real, ERRORS, strict=True):
        found = reconstruction_error(output, target, weight, flags)
        assert math.isclose(float(found), official, rel_tol=1e-6)


# stride -> frames of the clip; frames that are rebuilt and exist; clip lengths that motion is measured in, and for how
# many of the rebuilt frames each holds. All relative to the first frame.
OFFICIAL_FRAMES = {
    1: (list(range(16)), list(range(16)), [0], 32),
    2: (list(range(0, 32, 2)), list(range(32)), [0, 16], 16),
    4: (list(range(0, 64, 4)), list(range(0, 64, 2)), [0, 16, 32, 48], 8),
    8: (list(range(0, 128, 8)), list(range(0, 128, 4)), [0, 16, 32, 48, 64, 80, 96, 112], 4),
}


def test_frames_of_every_stride() -> None:
    task = PlaybackRatePerception(TinyNet(), frames=16, size=32)
    planner, rng, found = task.planner(), np.random.default_rng(0), {}
    for _ in range(60):
        views, targets = planner(video(n_frames=200), rng)
        first = views[0].frames[0]
        found[targets["stride"]] = [view.frames - first for view in views]
    assert sorted(found) == [0, 1, 2, 3]
    for label, (shown, between, quarters) in found.items():
        stride = (1, 2, 4, 8)[label]
        clip, rebuilt, lengths, each = OFFICIAL_FRAMES[stride]
        assert shown.tolist() == clip
        batch = numbered([shown, between, quarters], label)
        frames, real = task.target_clip(batch)
        assert frames[0, 0, real[0], 0, 0].tolist() == rebuilt
        measured = quarters.reshape(-1, 4)
        expected = [[length + k for k in (0, 5, 10, 15)] for length in lengths for _ in range(8 // stride)]
        assert measured.tolist() == expected
        assert task.attention_map(batch).shape[2] == 32 and 32 // len(lengths) == each


def numbered(frames: list[np.ndarray], label: int) -> Batch:
    """A batch of one video whose pixels are the numbers of its frames."""
    views = tuple(torch.from_numpy(at).float().view(1, 1, -1, 1, 1).expand(-1, 3, -1, 32, 32) for at in frames)
    return Batch(views, {"stride": torch.tensor([label])}, torch.tensor([1]), torch.tensor([0]))


def test_each_length_of_the_stretch_is_attended_by_its_own_motion() -> None:
    """Stride 2: the first 16 rebuilt frames by the motion of the first 16 frames, the others by that of the next 16."""
    task = PlaybackRatePerception(TinyNet(), frames=16, size=32)
    clip = nn.functional.interpolate(moving(), size=(32, 32), mode="nearest")
    later = clip.flip(2)
    quarters = [clip[:, [0, 5, 10, 15]]] * 4 + [later[:, [0, 5, 10, 15]]] * 4
    views = (clip[None], clip[None], torch.cat(quarters, dim=1)[None])
    batch = Batch(views, {"stride": torch.tensor([1])}, torch.tensor([1]), torch.tensor([0]))
    found = task.attention_map(batch)[0]
    first, second = motion_attention(torch.stack([quarters[0], quarters[4]]), 0.8, 2.0)
    assert not torch.allclose(first, second)
    assert all(torch.equal(found[:, t], first if t < 16 else second) for t in range(32))


@pytest.mark.parametrize("weight", [0.1, 3.0])
def test_the_loss_is_the_sum_of_its_halves(weight: float) -> None:
    """Official train(): loss_recon + 0.1 * loss_class."""
    torch.manual_seed(0)
    task = PlaybackRatePerception(TinyNet(), frames=8, size=32, strides=(1, 2, 4), classification=weight).eval()
    views = (torch.rand(2, 3, 8, 32, 32), torch.rand(2, 3, 8, 32, 32), torch.rand(2, 3, 16, 32, 32))
    batch = Batch(views, {"stride": torch.tensor([0, 2])}, torch.tensor([1, 2]), torch.tensor([0, 1]))
    seen: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda m, i, o, name=name: seen.update({name: o}))
        for name, module in (("logits", task.head), ("clip", task.decoder))
    ]
    loss = task(batch).loss
    for hook in hooks:
        hook.remove()
    classes = nn.functional.cross_entropy(seen["logits"], torch.tensor([0, 2]))
    target, real = task.target_clip(batch)
    assert real.tolist() == [[True, False] * 8, [True] * 16]
    error = reconstruction_error(seen["clip"], target, task.attention_map(batch), real)
    torch.testing.assert_close(loss, error + weight * classes)
