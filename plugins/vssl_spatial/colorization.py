"""``colorization``: which colour has each place of a grey clip? It may be copied from clips whose colours are known.

Paper: C. Vondrick, A. Shrivastava, A. Fathi, S. Guadarrama, K. Murphy, "Tracking Emerges by Colorizing Videos", ECCV
2018, arXiv 1806.09594. No official code.

Implemented: grey frames are embedded, place by place; the colour of a place of the target frame is the mean of the
reference frames' colours, weighted by a softmax over inner products of embeddings (equations 1 and 2) at temperature 1
in training and 0.5 otherwise (section 3.3); the loss is the cross-entropy of colours quantised to 16 clusters of ab
values (section 3.2), at the resolution of the network's map. Embeddings have 64 dimensions and know their place in the
frame, -1 to 1 each way (section 3.4).

Where this deviates:

- A frame of the paper is a clip of ``frames`` frames here, each embedded by itself: networks that shrink time would mix
  references and target. With ``frames=1`` and a network of images it is the paper's setting, but that a 3D convolution
  over the four frames follows there; here two convolutions of 1 x 1 x 1 on every map.
- Colours are averaged over the cells of the map, then quantised. The clusters are fitted by k-means (Lloyd's, from
  cells chosen farthest from one another) to the first batch and stay; the paper clusters the data set beforehand, which
  a task cannot read. They are buffers: a resumed run has the same. Before that they are those of a circle of hues.
- The grey input is the lightness of the same Lab conversion, so that it holds nothing of the colours.

``accuracy`` is the part of the target's cells whose most probable cluster is the right one. Clusters are not equally
frequent, so that one of their number is not what guessing gives, and there is no ``chance``: ``accuracy_chance`` is the
accuracy of copying from everywhere alike, on the same clips, which is what pointing must beat.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import clip_frames, random_start, span
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_core.pretext.clips import require_frames
from vssl_spatial.lab_colour import rgb_to_lab

__all__ = ["Colorization", "ColorizationPlanner", "colour_clusters", "copied_colours"]

_ROUNDS = 30
# Below this a colour is taken to be nowhere in the references: it cannot be copied, and its loss has no gradient.
_LEAST = 1e-6
# Radius of the circle of hues that stands in for clusters until there are some, in units of a and b.
_RADIUS = 40.0


@dataclass(frozen=True, slots=True)
class ColorizationPlanner:
    """Draws where the references and the target lie, one after another. No targets: colours follow from the pixels."""

    frames: int
    stride: int
    references: int
    gap: int
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return the references in their order, then the target.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short.
        """
        length = span(self.frames, self.stride)
        needed = (self.references + 1) * length + self.references * self.gap
        if self.short_video == "error":
            names = ("frames", "stride", "references", "gap")
            require_frames("colorization", video, needed, **{name: getattr(self, name) for name in names})
        start = random_start(rng, video.n_frames, needed)
        # All frames are planned as one clip, so that a loop or a pad falls where the video ends, once.
        whole = clip_frames(video.n_frames, start, needed, 1, self.short_video)
        steps = np.arange(self.frames) * self.stride
        firsts = np.arange(self.references + 1) * (length + self.gap)
        return [View(whole[first + steps], self.size, self.fit) for first in firsts], {}


def colour_clusters(colours: Tensor, n: int) -> Tensor:
    """Cluster colours by k-means, without a draw: the same colours give the same clusters.

    It begins with the colour nearest to the mean, then takes the one farthest from those taken, ``n`` times; 30 rounds
    of Lloyd's follow. Where there are fewer colours than clusters, some stand twice.

    Args:
        colours: float ``[N, 2]``.
        n: clusters.

    Returns:
        float32 ``[n, 2]``.
    """
    colours = colours.double()
    centres = colours[(colours - colours.mean(dim=0)).square().sum(dim=1).argmin()][None]
    distance = (colours - centres).square().sum(dim=1)
    for _ in range(n - 1):
        centres = torch.cat([centres, colours[distance.argmax()][None]])
        distance = torch.minimum(distance, (colours - centres[-1]).square().sum(dim=1))
    for _ in range(_ROUNDS):
        members = F.one_hot(_nearest(colours, centres), n).double()
        counts = members.sum(dim=0)
        means = members.T @ colours / counts.clamp(min=1)[:, None]
        centres = torch.where(counts[:, None] > 0, means, centres)
    return centres.float()


def _nearest(colours: Tensor, centres: Tensor) -> Tensor:
    """Return the number of the centre nearest to each colour: ``[..., 2]`` and ``[n, 2]`` to int64 ``[...]``."""
    return (colours[..., None, :] - centres).square().sum(dim=-1).argmin(dim=-1)


def copied_colours(target: Tensor, reference: Tensor, colours: Tensor, temperature: float) -> Tensor:
    """Return the colours that each place of the target copies (equations 1 and 2).

    Args:
        target: float ``[B, M, E]``, embeddings.
        reference: float ``[B, N, E]``, embeddings.
        colours: float ``[B, N, K]``, of the references.
        temperature: divides the inner products, above 0.

    Returns:
        float32 ``[B, M, K]``: their mean, weighted by a softmax over the N places.
    """
    with torch.autocast(target.device.type, enabled=False):
        pointing = (target.float() @ reference.float().transpose(1, 2) / temperature).softmax(dim=2)
        return pointing @ colours.float()


class _Maps(NamedTuple):
    """Of each view's cells the embeddings ``[B, V, n, E]`` and colours ``[B, V, n, 2]``; ``grid``: n as (t, h, w)."""

    embedded: Tensor
    colours: Tensor
    grid: tuple[int, int, int]


class Colorization(BaseTask):
    """Colours a grey clip by pointing to where its colours are in earlier ones (Vondrick et al. 2018).

    Networks whose map has a single place are refused at the first step: there is nothing to point at.

    Attributes:
        supervised_by_targets: False: the colours to be found are in the views.
        centres: a and b of the clusters, float32 ``[clusters, 2]``.
    """

    supervised_by_targets = False
    centres: Tensor
    fitted: Tensor

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 1,
        stride: int = 1,
        size: int = 256,
        read_size: int = 0,
        fit: str = "short-side-crop",
        crop_scale: float = 1.0,
        flip: float = 0.0,
        jitter: float = 0.0,
        short_video: str = "error",
        references: int = 3,
        gap: int = 4,
        clusters: int = 16,
        temperature: float = 1.0,
        test_temperature: float = 0.5,
        hidden: int = 256,
        embedding: int = 64,
    ) -> None:
        super().__init__(backbone)
        read = read_size or size
        self._planner = ColorizationPlanner(frames, stride, references, gap, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.temperature = temperature
        self.test_temperature = test_temperature
        self.clusters = clusters
        self.chance = None  # it follows from the clips: metric ``accuracy_chance``
        self.embed = nn.Sequential(
            nn.Conv3d(backbone.embed_dim + 2, hidden, 1), nn.ReLU(), nn.Conv3d(hidden, embedding, 1)
        )
        hue = torch.arange(clusters) * (2 * math.pi / clusters)
        self.register_buffer("centres", _RADIUS * torch.stack([hue.cos(), hue.sin()], dim=1))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))
        # Once they are known to be fitted the buffer is not read again: on a GPU that would wait for it at every step.
        self._settled = False

    def planner(self) -> ColorizationPlanner:
        """Return what draws the references and the target."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Crop, flip and jitter all clips of a video alike; they keep their colours.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1].
        """
        views = tuple(augment_clip(view, batch.seeds, **self._augmentation) for view in batch.views)
        return batch._replace(views=views)

    def forward(self, batch: Batch) -> StepOutput:
        """Cross-entropy of the target's colours, the accuracy, and that of copying from everywhere alike."""
        maps = self._look(batch)
        if self.training:
            self._fit(maps.colours)
        kinds = _nearest(maps.colours, self.centres)
        target = kinds[:, -1]
        colours = F.one_hot(kinds[:, :-1].flatten(1), self.clusters)
        temperature = self.temperature if self.training else self.test_temperature
        copied = copied_colours(maps.embedded[:, -1], maps.embedded[:, :-1].flatten(1, 2), colours, temperature)
        right = copied.gather(2, target[..., None])[..., 0]
        loss = -right.clamp(min=_LEAST).log().mean()
        accuracy = copied.argmax(dim=2) == target
        chance = colours.sum(dim=1).argmax(dim=1, keepdim=True) == target
        metrics = {"accuracy": accuracy.float().mean().detach(), "accuracy_chance": chance.float().mean()}
        return StepOutput(loss, metrics)

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Show the clips in their colours, the grey target, and the colours of all of them at the map's resolution."""
        maps = self._look(batch)
        cells = maps.colours
        centres = self.centres if bool(self.fitted) else colour_clusters(cells.flatten(0, 2), self.clusters)
        kinds = _nearest(cells, centres)
        painted = self._painted(batch, kinds, maps.grid)
        grey = _grey(rgb_to_lab(batch.views[-1]))
        names = [f"reference {number + 1}" for number in range(len(batch.views) - 1)]
        explained = []
        for row in range(len(cells)):
            found = kinds[row, -1].unique().tolist()
            there = sum(bool((kinds[row, :-1] == kind).any()) for kind in found)
            explained.append(
                Explanation(
                    "Which colour has each place of the grey clip? It can be copied from the reference clips.",
                    f"the target has {len(found)} of {self.clusters} colours, {there} of them are in the references",
                    (*names, "target, in its colours"),
                    (
                        ("target, as the network sees it (the references are grey to it too)", grey[row]),
                        ("what is copied and compared: references, then target", painted[row]),
                    ),
                )
            )
        return explained

    def _look(self, batch: Batch) -> _Maps:
        """Embed every view's clip, grey, and average its colours over the cells of its map.

        Raises:
            ConfigError: the map has a single place.
        """
        n_views = len(batch.views)
        lab = rgb_to_lab(torch.cat(batch.views))
        features = self.backbone(_grey(lab)).map
        if math.prod(features.shape[3:]) == 1:
            size = batch.views[0].shape[3]
            raise ConfigError(
                f"colorization points at places, and this network's map of {size} x {size} pixels has one; raise "
                "task.size, or take a network of a smaller stride"
            )
        cells = F.adaptive_avg_pool3d(lab[:, 1:], features.shape[2:])
        embedded = self.embed(torch.cat([features, _places(features)], dim=1))
        frames, height, width = features.shape[2:]
        return _Maps(_by_view(embedded, n_views), _by_view(cells, n_views), (frames, height, width))

    @torch.no_grad()
    def _fit(self, cells: Tensor) -> None:
        """Fit the clusters to the first batch."""
        if self._settled:
            return
        if not bool(self.fitted):
            self.centres.copy_(colour_clusters(cells.flatten(0, 2), self.clusters))
            self.fitted.fill_(True)
        self._settled = True

    def _painted(self, batch: Batch, kinds: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """Return float ``[B, 3, V, H, W]``: of each view the middle, its cells in the mean colour of their cluster."""
        means = _by_view(F.adaptive_avg_pool3d(torch.cat(batch.views), grid), len(batch.views))
        members = F.one_hot(kinds.flatten(), self.clusters).to(means)
        colours = members.T @ means.flatten(0, 2) / members.sum(dim=0).clamp(min=1)[:, None]
        painted = colours[kinds].unflatten(2, grid)[:, :, grid[0] // 2].permute(0, 4, 1, 2, 3)
        return F.interpolate(painted, size=(len(batch.views), *batch.views[0].shape[3:]), mode="nearest")


def _grey(lab: Tensor) -> Tensor:
    """Return the lightness of Lab ``[B, 3, T, H, W]`` as a clip of three equal channels in [0, 1]."""
    return (lab[:, :1] / 100).clamp(0, 1).expand(-1, 3, -1, -1, -1).contiguous()


def _by_view(value: Tensor, n_views: int) -> Tensor:
    """Turn ``[V * B, C, t, h, w]``, view by view, into ``[B, V, t * h * w, C]``."""
    return value.unflatten(0, (n_views, -1)).flatten(3).permute(1, 0, 3, 2)


def _places(features: Tensor) -> Tensor:
    """Return where each cell is, float ``[B, 2, t, h, w]``: -1 to 1 from top to bottom, and from left to right."""
    batch, _, frames, height, width = features.shape
    row = torch.linspace(-1, 1, height, device=features.device, dtype=features.dtype)
    column = torch.linspace(-1, 1, width, device=features.device, dtype=features.dtype)
    grid = torch.stack(torch.meshgrid(row, column, indexing="ij"))
    return grid[None, :, None].expand(batch, -1, frames, -1, -1)
