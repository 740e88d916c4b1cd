"""The context of protocols: which videos they see, and the test split read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vssl_core.config.schema import LoaderConfig
from vssl_core.contracts import ClipRecipe, FeatureSet
from vssl_core.data.splits import fit_val
from vssl_core.errors import ConfigError, DataError, PluginError
from vssl_core.plugins import Registry
from vssl_core.testing.fakes import FakeBackbone, FakeDataset
from vssl_core.transfer.context import Context
from vssl_core.transfer.features import FeatureStore
from vssl_core.transfer.metrics import top1

RECIPE = ClipRecipe(frames=4, stride=2, clips=2, size=16)


def make_context(
    folder: Path, dataset: Any = None, *, label: str = "kind", max_bad: float = 0.5, source: str = "", **options: Any
) -> Context:
    torch.manual_seed(0)
    return Context(
        options.pop("encoder", None) or FakeBackbone(),
        "0" * 64,
        dataset or FakeDataset(n_train=20, n_test=8),
        label,
        device=torch.device("cpu"),
        seed=0,
        batch_size=16,
        loader=LoaderConfig(workers=0, cache="never", max_bad=max_bad),
        work_dir=folder,
        store=FeatureStore(folder / "features"),
        source=source,
    )


def _score(predictions: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    return {"top1": top1(predictions, labels)}


def test_encoders_of_equal_weights_share_no_features(tmp_path: Path) -> None:
    """An input mode has no weights, so two encoders may have one hash."""
    for source in ("run-a", "run-b", "run-a"):
        make_context(tmp_path, source=source).features("val", RECIPE)
    assert len(list((tmp_path / "features").glob("*.safetensors"))) == 2


def test_train_is_fit_and_val_in_one_order(tmp_path: Path) -> None:
    dataset = FakeDataset(n_train=20, n_test=8)
    context = make_context(tmp_path, dataset)
    parts = {name: context.features(name, RECIPE) for name in ("fit", "val", "train")}
    joined = np.concatenate([parts["fit"].values, parts["val"].values])
    assert np.array_equal(parts["train"].values, joined)
    assert parts["train"].rows.tolist() == list(range(20))
    videos = fit_val(dataset)
    assert list(context.groups("train")) == [video.video_id for part in ("fit", "val") for video in videos[part]]
    assert context.targets("train").values.tolist() == [
        video.index % 3 for part in ("fit", "val") for video in videos[part]
    ]
    assert context.n_videos == {"train": 20, "test": 8}


@pytest.mark.parametrize("split", ["test", "all"])
def test_the_test_split_cannot_be_asked_for(tmp_path: Path, split: str) -> None:
    context = make_context(tmp_path)
    for ask in (lambda: context.features(split, RECIPE), lambda: context.targets(split), lambda: context.groups(split)):
        with pytest.raises(PluginError, match="evaluate_once"):
            ask()


def test_the_test_split_is_read_once_per_name(tmp_path: Path) -> None:
    context = make_context(tmp_path)

    def guess(features: FeatureSet) -> np.ndarray:
        return np.zeros(len(features.rows))

    context.evaluate_once("test", RECIPE, guess, _score)
    context.evaluate_once("other", RECIPE, guess, _score)
    with pytest.raises(PluginError, match="second time"):
        context.evaluate_once("test", RECIPE, guess, _score)


def test_an_unreadable_test_video_is_a_wrong_answer(tmp_path: Path) -> None:
    context = make_context(tmp_path, FakeDataset(n_train=20, n_test=8, unreadable=2))
    answers: list[FeatureSet] = []

    def right(features: FeatureSet) -> np.ndarray:
        answers.append(features)
        return (features.rows + 20) % 3  # the label of test video i is (20 + i) % 3

    def score(predictions: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        assert predictions[:2].tolist() == [-1, -1]
        return {"top1": top1(predictions, labels), "always": np.ones(len(labels))}

    found = context.evaluate_once("test", RECIPE, right, score)
    assert answers[0].n_videos == 8
    assert len(answers[0].values) == 6
    assert found["top1"].values.tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    assert found["always"].values.sum() == 6
    assert found["top1"].n_unreadable == 2
    assert [(bad["video_id"], bad["split"]) for bad in context.unreadable] == [("fake-20", "test"), ("fake-21", "test")]


def test_too_many_unreadable_videos_stop_it(tmp_path: Path) -> None:
    context = make_context(tmp_path, FakeDataset(n_train=20, n_test=8, unreadable=2), max_bad=0.2)
    with pytest.raises(DataError, match=r"loader\.max_bad"):
        context.evaluate_once("test", RECIPE, lambda features: np.zeros(len(features.rows)), _score)


@pytest.mark.parametrize(
    ("predict", "score"),
    [
        (lambda features: np.zeros(3), _score),
        (lambda features: np.zeros(8), lambda p, y: {"top1": np.zeros(3)}),
        (lambda features: np.zeros(8), lambda p, y: {"top1": np.full(8, np.nan)}),
    ],
)
def test_wrong_lengths_and_nan_are_refused(tmp_path: Path, predict: Any, score: Any) -> None:
    with pytest.raises(PluginError, match="evaluation 'test'"):
        make_context(tmp_path).evaluate_once("test", RECIPE, predict, score)


def test_features_are_shared_by_contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_context(tmp_path)
    values = first.features("train", RECIPE).values
    second = make_context(tmp_path)
    monkeypatch.setattr("vssl_core.transfer.context.extract", lambda *args, **options: pytest.fail("extracted again"))
    assert np.array_equal(second.features("train", RECIPE).values, values)
    assert second.cost == first.cost
    assert second.cost.clips == 40
    assert second.cost.frames_decoded == 160


def test_the_encoder_s_own_sampling_is_read_and_recorded(tmp_path: Path) -> None:
    encoder = FakeBackbone(patch_size=(1, 4, 4))
    encoder.sampling = {"frames": 1, "clips": 1}
    context = make_context(tmp_path, encoder=encoder)
    assert context.features("fit", RECIPE).values.shape[1] == 1
    assert [(recipe["split"], recipe["frames"], recipe["clips"]) for recipe in context.recipes] == [("fit", 1, 1)]


def test_a_set_without_test_videos_is_refused(tmp_path: Path) -> None:
    class TrainOnly(FakeDataset):
        def splits(self) -> tuple[str, ...]:
            return ("train",)

    with pytest.raises(DataError, match="no 'test'"):
        make_context(tmp_path, TrainOnly(n_train=20, n_test=8))


def _classifier(n_classes: int = 3) -> torch.nn.Module:
    from vssl_backbones.r2plus1d import R2Plus1D
    from vssl_baselines.supervised import Supervised
    from vssl_heads import plugin

    build = Registry.discover(plugins={"heads": plugin}, entry_points=False).build
    torch.manual_seed(0)
    backbone = R2Plus1D(widths=[8, 16], input_mode="raw")
    return Supervised(
        backbone, build=build, n_classes=n_classes, frames=4, stride=2, size=16, crop_scale=1.0, jitter=0.0
    )


def test_fit_trains_on_fit_and_validates_on_val(tmp_path: Path) -> None:
    context = make_context(tmp_path, FakeDataset(n_train=60, n_test=8))
    result = context.fit(_classifier(), steps=25, batch_size=12, optim={"lr": 1e-2})
    assert result.steps == 25
    assert result.clips == 300
    assert result.val_accuracy > 0.6
    assert context.cost.steps == 25
    with pytest.raises(ConfigError, match="rate"):
        context.fit(_classifier(), steps=1, batch_size=12, optim={"learning_rate": 1e-2})


def test_fit_refuses_numbers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="number"):
        make_context(tmp_path, label="speed").fit(_classifier(), steps=1, batch_size=4, optim={})
