"""Numbers of ``test_tasks_rspnet.py``: three steps of the official training.

    git clone https://github.com/PeihaoChen/RSPNet
    git -C RSPNet checkout 2958779807005ceb06eff49e10fb0d69280f681d
    python tests/golden/make/rspnet.py RSPNet

``MoCoDiffLossTwoFc`` around ``MultiTaskWrapper`` and ``Loss(margin=2.0)``, trained by SGD at 0.1 in one gloo process,
with the network, the weights and the clips of the test.
"""

from __future__ import annotations

import logging
import random
import sys
import typing
from types import ModuleType, SimpleNamespace

import torch
import torch.distributed as dist
import torch.nn.functional as F
from official import checkout, compare, cut, finish, golden_test
from torch import Tensor, nn

COMMIT = "2958779807005ceb06eff49e10fb0d69280f681d"


def backbone(stored: ModuleType) -> type[nn.Module]:
    """The network of the test, with the interface that official networks have."""

    class Net(stored.SmallNet):
        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.fc = SimpleNamespace(in_features=self.embed_dim)  # only asked for the width of the map

        def get_feature(self, video: Tensor) -> Tensor:
            return self(video).map

    return Net


def seed_of(slow: list[list[int]], clips: int = 4) -> int:
    """The first seed whose orders give slow queries to these samples.

    A step draws three orders: which half of the samples is slow, and one shuffle for either kind of keys. The shuffles
    only change the order of sums.
    """
    for seed in range(100_000):
        torch.manual_seed(seed)
        orders = [[torch.randperm(clips).tolist() for _ in range(3)] for _ in slow]
        if [sorted(step[0][: clips // 2]) for step in orders] == slow:
            return seed
    raise ValueError("no such seed")


def main() -> int:
    """Train three steps, and compare."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = checkout(sys.argv[1], COMMIT)
    stored = golden_test("test_tasks_rspnet")
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    Tensor.cuda = lambda tensor, *_: tensor  # type: ignore[method-assign]  # it shuffles on a GPU

    types = {name: getattr(typing, name) for name in ("Callable", "List", "Optional", "Tuple")}
    given = {"logger": logging.getLogger("official"), "nn": nn, "torch": torch, "F": F, "Tensor": Tensor, **types}
    given["logger"].setLevel(logging.ERROR)
    wrapper = cut(root / "moco" / "split_wrapper.py", "Flatten", "MultiTaskWrapper", **given)["MultiTaskWrapper"]
    names = ("concat_all_gather", "Loss", "MoCoDiffLossTwoFc")
    official = cut(root / "moco" / "builder_diffspeed_diffloss.py", *names, random=random, **given)

    net = backbone(stored)
    model = official["MoCoDiffLossTwoFc"](
        lambda num_classes: wrapper(net, num_classes=num_classes, fc_type="linear"),
        dim=5,
        K=12,
        m=0.9,
        T=0.07,
        diff_speed=[2],
    ).train()
    for encoder in (model.encoder_q, model.encoder_k):
        stored.set_parameters(encoder.parameters())
    model.queue.copy_(stored.first_queue().T)
    slow_queries: list[list[int]] = []
    draw = model._diff_speed

    def noted(im_q: Tensor, im_k: Tensor) -> tuple[Tensor, ...]:
        """Which queries are every frame of the first half, and not every second frame of the whole clip."""
        drawn = draw(im_q, im_k)
        slow_queries.append([k for k in range(len(im_q)) if torch.equal(drawn[0][k], im_q[k, :, : im_q.shape[2] // 2])])
        return drawn

    model._diff_speed = noted
    criterion = official["Loss"](margin=2.0)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    torch.manual_seed(seed_of([step["slow"] for step in stored.STEPS]))
    for number, expected in enumerate(stored.STEPS):
        output, target, ranking, ranking_target = model(*stored.whole_clips(number))
        # torch 2 refuses a target of another shape than the similarities.
        ranking_target = ranking_target.view_as(ranking[0])
        loss, appearance, speed = criterion(output, target, ranking, ranking_target)
        optimizer.zero_grad()
        loss.backward()
        key = model.encoder_k
        step = f"step {number + 1}, "
        compare(step + "slow queries", slow_queries[number], expected["slow"])
        compare(step + "loss of appearance", appearance, expected["appearance"], rtol=2e-5)
        compare(step + "loss of speed", speed, expected["speed"], rtol=2e-5)
        for name, logits in zip(("near", "far"), ranking, strict=True):
            compare(step + name, logits[:, 0], expected[name], **stored.TOLERANCE)
        compare(step + "keys", model.queue.T[4 * number : 4 * number + 4], expected["keys"], **stored.TOLERANCE)
        conv = key.encoder.conv.weight.abs().sum()
        compare(step + "sum of the key encoder's convolution", conv, expected["key_conv_sum"], rtol=1e-6)
        compare(step + "row of its layer for speed", key.fc2[2].weight[0], expected["key_speed_row"], atol=2e-6)
        gradient = model.encoder_q.encoder.conv.weight.grad.abs().sum()
        compare(step + "sum of the gradient", gradient, expected["gradient_sum"], rtol=2e-5)
        optimizer.step()
    compare("place in the queue", model.queue_ptr, [0])
    compare("mean of the key batch norm", key.encoder.norm.running_mean, stored.KEY_NORM_MEAN, **stored.TOLERANCE)
    dist.destroy_process_group()
    return finish()


if __name__ == "__main__":
    sys.exit(main())
