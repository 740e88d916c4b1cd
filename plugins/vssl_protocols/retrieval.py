"""``retrieval`` version 1: is one of the k nearest training videos of the query's class?

Protocol of Xu et al., Self-Supervised Spatiotemporal Learning via Video Clip Order Prediction (CVPR 2019): queries are
the test videos, the gallery is train; 10 clips of 16 successive frames a video, features averaged over clips, cosine
distance; a hit if any of the k nearest shares the class. Followed is the official code,
xudejing/video-clip-order-prediction, ``retrieve_clips.py``. Deviations:

- clip c of C starts at (c + 1/2) / C of the room that the video leaves; the official code spaces the clips from the
  very first to the very last one (``linspace(T/2, L - T/2, 10)``);
- frames are scaled by their short side to the network's size; the official code stretches them to 128x171 and crops
  112;
- the encoder's pooled features are compared; the official networks return features of their last convolution;
- every video counts: the official code drops the last partial batch of queries and of gallery, and an unreadable query
  is a miss here.

Published numbers therefore do not stand beside these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vssl_core.contracts import ClipRecipe, FeatureSet, Metric, TransferContext
from vssl_core.errors import ConfigError
from vssl_core.transfer.metrics import random_recall_at, recall_at
from vssl_protocols.cosine import nearest, unit
from vssl_protocols.frozen import Standardiser, class_names, labelled, video_features

__all__ = ["Retrieval"]


class Retrieval:
    """The protocol ``retrieval``; the options are those of ``RetrievalConfig``."""

    def __init__(
        self,
        *,
        frames: int = 16,
        stride: int = 1,
        clips: int = 10,
        size: int = 112,
        whole: bool = False,
        settle_batches: int = 0,
        standardise: bool = False,
        ranks: Sequence[int] = (1, 5, 10, 20, 50),
    ) -> None:
        self.recipe = ClipRecipe(
            frames=frames, stride=stride, clips=clips, size=size, whole=whole, settle_batches=settle_batches
        )
        if not ranks or min(ranks) < 1 or len(set(ranks)) != len(ranks):
            raise ConfigError(f"protocol.ranks={list(ranks)}; expected different numbers >= 1, such as [1,5,10,20,50]")
        self.standardise = standardise
        self.ranks = tuple(ranks)

    def run(self, context: TransferContext) -> Sequence[Metric]:
        """Return ``recall@k`` for every k, the first one primary; chance is that of a gallery in random order.

        Raises:
            ConfigError: the label has no single class a video.
        """
        class_names(context, "retrieval")
        train_x, train_y = labelled(context, "train", context.features("train", self.recipe))
        scale = Standardiser(train_x, active=self.standardise)
        gallery = unit(scale(train_x))

        def predict(features: FeatureSet) -> np.ndarray:
            rows, _ = nearest(unit(scale(video_features(features))), gallery, max(self.ranks))
            retrieved: np.ndarray = train_y[rows]
            return retrieved

        def score(retrieved: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
            hits = {f"recall@{k}": recall_at(retrieved, labels, k) for k in self.ranks}
            return hits | {f"chance@{k}": random_recall_at(train_y, labels, k) for k in self.ranks}

        found = context.evaluate_once("test", self.recipe, predict, score)
        return [
            Metric(
                name=f"recall@{k}",
                value=found[f"recall@{k}"].values.mean(),
                n=len(found[f"recall@{k}"].values),
                chance=found[f"chance@{k}"].values.mean(),
                primary=k == self.ranks[0],
            )
            for k in self.ranks
        ]
