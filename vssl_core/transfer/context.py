"""What a protocol may touch: train and validation freely, the test split once."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vssl_core.config.schema import LoaderConfig
from vssl_core.contracts import ClipRecipe, Dataset, Evaluation, FeatureSet, FitResult, Reader, Targets, Video
from vssl_core.contracts.transfer import TrainedPretext
from vssl_core.data.cache import CachedReader, Picture
from vssl_core.data.quarantine import Quarantine
from vssl_core.data.splits import fit_val
from vssl_core.engine.loop import Progress
from vssl_core.engine.source import cached_reader
from vssl_core.errors import ConfigError, DataError, PluginError
from vssl_core.transfer.extract import Extraction, effective_recipe, extract, settle_batch_norm
from vssl_core.transfer.features import FeatureStore
from vssl_core.transfer.fit import fit_module
from vssl_core.transfer.pretext import PretextSource

__all__ = ["Context", "TransferCost"]

# How a frame comes to the size of a recipe, which has a say in the size alone.
_FIT = "short-side-crop"


@dataclasses.dataclass(slots=True)
class TransferCost:
    """What one protocol's features and training took, whoever made the features, and seconds of filling the cache."""

    steps: int = 0
    clips: int = 0
    frames_decoded: int = 0
    cache_s: float = 0.0


class Context:
    """A ``TransferContext`` over one data set and one encoder.

    ``"train"`` is the videos of ``"fit"`` followed by those of ``"val"``. The validation videos are those that
    pretraining on the same set held out, so that a choice made on them is none on videos that the encoder was trained
    on.

    Args:
        encoder: a ``Backbone``; moved to ``device``.
        weights_sha: what identifies its weights.
        dataset: the labelled videos; it needs a ``"test"`` split.
        label: which label.
        device: where the encoder runs.
        seed: for protocols that draw.
        batch_size: clips a forward pass of the extraction.
        loader: how videos are read.
        work_dir: folder for whatever the protocol writes.
        store: where features are kept.
        source: run_id of the pretraining that the encoder is from; features are kept under it.
        open_pretext: opens the whole trained task; None: there is none.
        progress: called as ``progress(phase, done, total, metrics)``.

    Attributes:
        unreadable: videos without an answer: ``video_id``, ``split`` and ``reason`` of each.
        recipes: every recipe that was read, as it was read, by split.
        cost: what it took.

    Raises:
        DataError: the set has no test split, or too few groups to choose on.
    """

    def __init__(
        self,
        encoder: nn.Module,
        weights_sha: str,
        dataset: Dataset,
        label: str,
        *,
        device: torch.device,
        seed: int,
        batch_size: int,
        loader: LoaderConfig,
        work_dir: Path,
        store: FeatureStore,
        source: str = "",
        open_pretext: Callable[[], PretextSource] | None = None,
        progress: Progress | None = None,
    ) -> None:
        if "test" not in dataset.splits():
            raise DataError(
                f"data set {dataset.name!r} has splits {', '.join(dataset.splits())} and no 'test' to measure on"
            )
        self.encoder = encoder.to(device).eval()
        self.weights_sha = weights_sha
        self.device = device
        self.seed = seed
        self.work_dir = work_dir
        self.cost = TransferCost()
        self.unreadable: list[dict[str, str]] = []
        self.recipes: list[dict[str, Any]] = []
        self._dataset = dataset
        self._source = source
        self._open_pretext = open_pretext
        self._pretext: PretextSource | None = None
        self._batch_size, self._loader, self._store, self._progress = batch_size, loader, store, progress
        self._videos = {**fit_val(dataset), "test": list(dataset.videos("test"))}
        self._labels = _labels_by_index(dataset, label)
        self._groups = {
            video.index: group
            for split in dataset.splits()
            for video, group in zip(dataset.videos(split), dataset.groups(split), strict=True)
        }
        self._evaluated: set[str] = set()
        self._settled: dict[ClipRecipe, nn.Module] = {}
        self._readers: dict[tuple[str, tuple[Picture, ...]], Reader] = {}
        self._quarantines: dict[str, Quarantine] = {}
        self._fits = 0

    # -------------------------------------------------------------------------------------- train and validation

    def features(self, split: str, recipe: ClipRecipe) -> FeatureSet:
        """Return features of ``"fit"``, ``"val"`` or ``"train"``, extracted once and shared by every frozen protocol.

        Raises:
            PluginError: another split was asked for; the test split is read through ``evaluate_once`` alone.
        """
        parts = [self._extraction(part, recipe) for part in self._parts(split)]
        offsets = np.cumsum([0, *(len(self._videos[part]) for part in self._parts(split))])
        return FeatureSet(
            values=np.concatenate([part.values for part in parts]),
            rows=np.concatenate([part.rows + offset for part, offset in zip(parts, offsets, strict=False)]),
            n_videos=int(offsets[-1]),
        )

    def targets(self, split: str) -> Targets:
        """Return the labels of ``"fit"``, ``"val"`` or ``"train"``.

        Raises:
            PluginError: another split was asked for.
        """
        return self._targets([video for part in self._parts(split) for video in self._videos[part]])

    def groups(self, split: str) -> Sequence[str]:
        """Return the group of every video of ``"fit"``, ``"val"`` or ``"train"``.

        Raises:
            PluginError: another split was asked for.
        """
        return [self._groups[video.index] for part in self._parts(split) for video in self._videos[part]]

    def fit(self, module: Any, *, steps: int, batch_size: int, optim: Mapping[str, Any]) -> FitResult:
        """Train a task-like module on the labelled ``fit`` videos with the engine's own loop, and validate it on
        ``val``.

        Args:
            module: has the methods of a ``PretextTask``; its batches carry ``targets["label"]``. Trained in place.
            steps: optimiser steps.
            batch_size: videos a batch.
            optim: fields of ``OptimConfig``.

        Raises:
            ConfigError: an unknown field in ``optim``, or labels that are no classes.
            TrainingError: the loss is no longer finite.
        """
        self._fits += 1
        result, frames, bad = fit_module(
            module,
            videos={part: self._videos[part] for part in ("fit", "val")},
            targets={part: self._targets(self._videos[part]) for part in ("fit", "val")},
            open_reader=lambda sizes: self._reader("fit", sizes),
            steps=steps,
            batch_size=batch_size,
            optim=optim,
            loader=self._loader,
            device=self.device,
            seed=self.seed,
            checkpoints=self.work_dir / f"fit-{self._fits:02d}",
            progress=self._progress,
        )
        self.cost.steps += result.steps
        self.cost.clips += result.clips
        self.cost.frames_decoded += frames
        for split, reasons in bad.items():
            self._note(split, reasons)
        return result

    def pretext(self) -> TrainedPretext:
        """Return the whole trained task with the videos that its pretraining held out; opened once.

        Raises:
            ConfigError: the run trained nothing.
            CheckpointError: the run's folder no longer holds the trained task, or not this one.
        """
        if self._pretext is None:
            if self._open_pretext is None:
                raise ConfigError("there is no trained pretext task to audit; give a run that trained one")
            self._pretext = self._open_pretext()
        return self._pretext

    def close(self) -> None:
        """End the loader workers of the pretext task, and count and name what was read for it."""
        if self._pretext is not None:
            self._pretext.close()
            self.cost.clips += self._pretext.clips
            self.cost.frames_decoded += self._pretext.frames_decoded
            self.cost.cache_s += self._pretext.cache_s
            self.unreadable.extend(self._pretext.unreadable())
            self._pretext = None

    # ------------------------------------------------------------------------------------------------------ test

    def evaluate_once(
        self,
        name: str,
        recipe: ClipRecipe,
        predict: Callable[[FeatureSet], np.ndarray],
        score: Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]],
    ) -> Mapping[str, Evaluation]:
        """Read the test split, once per name.

        Args:
            name: of this evaluation; a second one of that name is refused.
            recipe: how the test videos are read.
            predict: features of the readable test videos, without labels -> predictions ``[N, ...]``.
            score: predictions and labels of all test videos -> values per video of each metric. Unreadable videos stand
                there with predictions of -1 (NaN where predictions are floats), and whatever they score counts as 0.

        Returns:
            Per metric float64 ``[n_test]`` in split order.

        Raises:
            PluginError: the name was used before, or ``predict`` or ``score`` returns arrays of a wrong length.
        """
        if name in self._evaluated:
            raise PluginError(
                f"the protocol evaluates {name!r} on the test split a second time; choices are made on 'val', the test "
                "split is read once (give different evaluations different names)"
            )
        self._evaluated.add(name)
        videos = self._videos["test"]
        found = self._extraction("test", recipe)
        predictions = np.asarray(predict(FeatureSet(found.values, found.rows, len(videos))))
        if len(predictions) != len(found.rows):
            raise PluginError(
                f"evaluation {name!r}: predict returned {len(predictions)} predictions for {len(found.rows)} videos"
            )
        filled = _with_wrong_answers(predictions, found.rows, len(videos))
        readable = np.zeros(len(videos), dtype=bool)
        readable[found.rows] = True
        evaluations: dict[str, Evaluation] = {}
        for metric, given in score(filled, self._targets(videos).values).items():
            values = np.where(readable, np.asarray(given, dtype=np.float64), 0.0) if len(given) == len(videos) else None
            if values is None or not np.isfinite(values).all():
                raise PluginError(
                    f"evaluation {name!r}: score returned for {metric!r} not {len(videos)} finite numbers"
                )
            evaluations[metric] = Evaluation(values, int((~readable).sum()))
        return evaluations

    @property
    def n_videos(self) -> Mapping[str, int]:
        """Videos of ``"train"`` and ``"test"``, unreadable ones counted."""
        return {"train": len(self._videos["fit"]) + len(self._videos["val"]), "test": len(self._videos["test"])}

    # ------------------------------------------------------------------------------------------------- internals

    def _parts(self, split: str) -> tuple[str, ...]:
        if split not in ("fit", "val", "train"):
            raise PluginError(
                f"a protocol asked for split {split!r}; it may see 'fit', 'val' and 'train', and the test split "
                "through evaluate_once alone"
            )
        return ("fit", "val") if split == "train" else (split,)

    def _targets(self, videos: Sequence[Video]) -> Targets:
        kind, values, classes = self._labels
        return Targets(kind, np.stack([values[video.index] for video in videos]), classes)

    def _extraction(self, split: str, recipe: ClipRecipe) -> Extraction:
        """Return the features of one stretch of videos, from the store where they lie there."""
        read = effective_recipe(recipe, self.encoder.sampling)  # type: ignore[arg-type]
        videos = self._videos[split]
        key = {
            # Weights alone do not tell encoders apart: an input mode has none, and neither have floors.
            "encoder": self._source,
            "weights": self.weights_sha,
            "data": self._dataset.fingerprint(),
            "split": split,
            "videos": _digest(videos),
            "recipe": dataclasses.asdict(read),
            "settled_on": _digest(self._videos["fit"]) if read.settle_batches else "",
        }
        found = self._store.get(key, lambda: self._extract(split, read))
        entry = {"split": split, **dataclasses.asdict(read)}
        if entry not in self.recipes:
            self.recipes.append(entry)
            self.cost.clips += found.clips
            self.cost.frames_decoded += found.frames
            self._note(split, found.unreadable)
        return found

    def _extract(self, split: str, recipe: ClipRecipe) -> Extraction:
        sizes = [((recipe.size, recipe.size), _FIT)]
        reader = self._reader(split, sizes)
        encoder, settling_clips = self._settled_encoder(recipe)
        found = extract(
            encoder,
            self._videos[split],
            recipe,
            reader,
            device=self.device,
            batch_size=self._batch_size,
            workers=_threads(self._loader, reader),
            report=self._report(f"features of {split}"),
        )
        return dataclasses.replace(
            found, clips=found.clips + settling_clips, frames=found.frames + settling_clips * recipe.frames
        )

    def _settled_encoder(self, recipe: ClipRecipe) -> tuple[nn.Module, int]:
        """Return the encoder with batch norm settled on ``fit``, and the clips that this took now."""
        plain = dataclasses.replace(recipe, perturb="none")
        if plain in self._settled:
            return self._settled[plain], 0
        reader = self._reader("fit", [((recipe.size, recipe.size), _FIT)])
        settled, clips = settle_batch_norm(self.encoder, self._videos["fit"], plain, reader, device=self.device)
        self._settled[plain] = settled
        return settled, clips

    def _reader(self, split: str, sizes: Sequence[Picture]) -> Reader:
        """Return a reader for a split, over the decoded cache where there is one to be."""
        # What is trained and chosen on shares one cache: the one that pretraining on this set made.
        group = "test" if split == "test" else "train"
        opened = (group, tuple(sizes))
        if opened not in self._readers:
            videos = [
                video for part in (("test",) if group == "test" else ("fit", "val")) for video in self._videos[part]
            ]
            self._readers[opened], seconds = cached_reader(self._dataset, videos, sizes, self._loader, self._progress)
            self.cost.cache_s += seconds
        return self._readers[opened]

    def _report(self, phase: str) -> Callable[[int, int], None] | None:
        progress = self._progress
        if progress is None:
            return None
        return lambda done, total: progress(phase, done, total, {})

    def _note(self, split: str, reasons: Mapping[str, str]) -> None:
        """Name unreadable videos for the record, and stop where they are too many to go on."""
        quarantine = self._quarantines.setdefault(split, Quarantine(self._loader.max_bad, len(self._videos[split])))
        for video_id, reason in reasons.items():
            if video_id not in quarantine.reasons:
                quarantine.add(video_id, reason)
                self.unreadable.append({"video_id": video_id, "split": split, "reason": reason})


def _threads(loader: LoaderConfig, reader: Reader) -> int:
    if loader.workers >= 0:
        return loader.workers
    return 0 if isinstance(reader, CachedReader) else 2


def _labels_by_index(dataset: Dataset, label: str) -> tuple[str, dict[int, np.generic | np.ndarray], tuple[str, ...]]:
    """Return kind, values by ``Video.index`` and classes of a label, all splits in one."""
    values: dict[int, np.generic | np.ndarray] = {}
    for split in dataset.splits():
        targets = dataset.targets(split, label)
        for video, value in zip(dataset.videos(split), targets.values, strict=True):
            values[video.index] = value
    return targets.kind, values, targets.classes


def _with_wrong_answers(predictions: np.ndarray, rows: np.ndarray, n_videos: int) -> np.ndarray:
    """Return predictions ``[n_videos, ...]`` in which videos that are not in ``rows`` hold -1, or NaN for floats."""
    if not np.issubdtype(predictions.dtype, np.floating):
        predictions = predictions.astype(np.int64)
    wrong = np.nan if np.issubdtype(predictions.dtype, np.floating) else -1
    filled = np.full((n_videos, *predictions.shape[1:]), wrong, dtype=predictions.dtype)
    filled[rows] = predictions
    return filled


def _digest(videos: Sequence[Video]) -> str:
    """Return a hash of which videos, in which order."""
    return hashlib.sha256("\n".join(video.video_id for video in videos).encode()).hexdigest()[:16]
