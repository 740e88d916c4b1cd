"""``arrow-of-time``, formula-only: expected values are worked out by hand.

The official network (donglaiw/AoT_TCAM at 580d8a2, models/vggbn_tcam_pair2_cudnn.lua) needs Lua Torch and cuDNN and was
read, not run. From there: the maps of a clip's two groups one behind the other along the channels (``nn.View(-1, 2*512,
14, 14)``), twice (3x3 convolution with padding 1, ReLU, batch norm with eps 1e-3, dropout .5), the mean over space, one
linear unit and a sigmoid, trained with binary cross-entropy; label 1 is the clip played backward
(data/train01_cnn_ta_flow_orig_fb.txt). Tolerance 1e-5.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vssl_core.contracts import Batch, Features
from vssl_order.arrow_of_time import ArrowOfTime, LateFusion


def fixed(kernel: Tensor, bias: float = 0.0) -> LateFusion:
    """Layers of width 1 on two maps of one channel: ``kernel`` float ``[2, 3, 3]`` first, then a copy, then times 2."""
    head = LateFusion(embed_dim=1, groups=2, hidden=1, dropout=0.5).eval()
    with torch.no_grad():
        head.layers[0].weight.copy_(kernel[None])
        head.layers[0].bias.fill_(bias)
        head.layers[4].weight.zero_()
        head.layers[4].weight[0, 0, 1, 1] = 1.0
        head.layers[4].bias.zero_()
        head.logit.weight.fill_(2.0)
        head.logit.bias.fill_(0.25)
    return head


def only_centre(first: float, second: float) -> Tensor:
    kernel = torch.zeros(2, 3, 3)
    kernel[:, 1, 1] = torch.tensor([first, second])
    return kernel


def test_layers() -> None:
    assert [
        type(layer).__mro__[1 if isinstance(layer, nn.BatchNorm2d) else 0] for layer in fixed(only_centre(1, 1)).layers
    ] == [
        nn.Conv2d,
        nn.ReLU,
        nn.BatchNorm2d,
        nn.Dropout,
    ] * 2


def test_groups_keep_their_places() -> None:
    """3 times the first map and -1 times the second: 3 * .5 - .2 = 1.3, and 3 * .2 - .5 = .1 the other way round.

    Each batch norm divides by sqrt(1 + 1e-3): 2 * 1.3 / 1.001 + .25.
    """
    head = fixed(only_centre(3.0, -1.0))
    early, late = torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), 0.2)
    torch.testing.assert_close(head([early, late]), torch.tensor([2 * 1.3 / 1.001 + 0.25]), rtol=0, atol=1e-5)
    torch.testing.assert_close(head([late, early]), torch.tensor([2 * 0.1 / 1.001 + 0.25]), rtol=0, atol=1e-5)
    torch.testing.assert_close(fixed(only_centre(-3.0, 1.0))([early, late]), torch.tensor([0.25]), rtol=0, atol=1e-5)


def test_convolution_pads_by_one_and_space_is_averaged() -> None:
    """A kernel of ones on the 2 x 2 map (1, 2; 3, 4) and zeros: every place sees all four, 10; mean 10."""
    kernel = torch.zeros(2, 3, 3)
    kernel[0] = 1.0
    maps = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    torch.testing.assert_close(
        fixed(kernel)([maps, torch.zeros_like(maps)]), torch.tensor([2 * 10 / 1.001 + 0.25]), rtol=0, atol=1e-5
    )
    corner = torch.zeros(2, 3, 3)
    corner[0, 0, 0] = 1.0  # reads the place up and to the left: of the four only the last has one, the 1
    torch.testing.assert_close(
        fixed(corner)([maps, torch.zeros_like(maps)]), torch.tensor([2 * 0.25 / 1.001 + 0.25]), rtol=0, atol=1e-5
    )


class Red(nn.Module):
    """The map is the red of a clip, frame by frame."""

    embed_dim = 1

    def forward(self, clips: Tensor) -> Features:
        red = clips[:, :1]
        return Features(red, red.mean(dim=(2, 3, 4)))


def test_task() -> None:
    """Four frames of red .1, .3, .5, .9 in two groups: means .2 and .7; kernel (-1, 1): .5, logit 2 * .5 / 1.001 + .25.

    Backward the groups' means are .7 and .2, the kernel gives less than 0, the logit is .25.
    """
    task = ArrowOfTime(Red(), frames=4, groups=2, size=8, read_size=0, hidden=1, stabilise=0).eval()
    task.head = fixed(only_centre(-1.0, 1.0))
    forward = torch.tensor([0.1, 0.3, 0.5, 0.9]).view(1, 1, 4, 1, 1).expand(1, 3, 4, 2, 2)
    clips = torch.cat([forward, forward.flip(2)])
    logits = [1 / 1.001 + 0.25, 0.25]
    for labels, right in (([1, 1], 1.0), ([0, 1], 0.5), ([0, 0], 0.0)):
        n = torch.arange(2)
        output = task(Batch((clips,), {"backward": torch.tensor(labels)}, n, n))
        losses = [math.log(1 + math.exp(logit)) - label * logit for logit, label in zip(logits, labels, strict=True)]
        torch.testing.assert_close(output.loss, torch.tensor(sum(losses) / 2), rtol=0, atol=1e-5)
        assert float(output.metrics["accuracy"]) == right
