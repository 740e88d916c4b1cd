"""The protocols on frozen features: what they compute, and what they choose by."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from vssl_core.contracts import ClipRecipe, Evaluation, FeatureSet, FitResult, Metric, Targets
from vssl_core.errors import ConfigError
from vssl_core.plugins import Registry
from vssl_core.testing.protocols import check_protocol
from vssl_protocols import plugin
from vssl_protocols.cosine import nearest, unit
from vssl_protocols.frozen import Standardiser
from vssl_protocols.knn import NearestNeighbours, vote
from vssl_protocols.linear_probe import LinearProbe
from vssl_protocols.logistic import fit_probe
from vssl_protocols.retrieval import Retrieval
from vssl_protocols.temporal_sensitivity import TemporalSensitivity
from vssl_protocols.validation_probe import ValidationProbe

ALL = [LinearProbe, NearestNeighbours, Retrieval, TemporalSensitivity, ValidationProbe]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover(plugins={"protocols": plugin}, entry_points=False)


@dataclasses.dataclass
class Given:
    """A context over features that a test makes up: ``make(split, perturb)`` -> float ``[N, clips, D]``."""

    make: Callable[[str, str], np.ndarray]
    labels: Mapping[str, np.ndarray]
    classes: tuple[str, ...]
    kind: str = "class"
    seed: int = 0
    device: Any = "cpu"
    work_dir: Path = Path("/nonexistent")
    encoder: Any = None
    weights_sha: str = ""
    evaluated: list[str] = dataclasses.field(default_factory=list)

    def features(self, split: str, recipe: ClipRecipe) -> FeatureSet:
        assert split in ("fit", "val", "train")
        parts = [self.make(part, recipe.perturb) for part in (("fit", "val") if split == "train" else (split,))]
        values = np.concatenate(parts).astype(np.float32)
        return FeatureSet(values, np.arange(len(values)), len(values))

    def targets(self, split: str) -> Targets:
        parts = ("fit", "val") if split == "train" else (split,)
        return Targets(self.kind, np.concatenate([self.labels[part] for part in parts]), self.classes)

    def groups(self, split: str) -> Sequence[str]:
        return [str(row) for row in range(len(self.targets(split).values))]

    def evaluate_once(self, name: str, recipe: ClipRecipe, predict: Any, score: Any) -> Mapping[str, Evaluation]:
        self.evaluated.append(name)
        values = self.make("test", recipe.perturb).astype(np.float32)
        predictions = predict(FeatureSet(values, np.arange(len(values)), len(values)))
        return {metric: Evaluation(found, 0) for metric, found in score(predictions, self.labels["test"]).items()}

    def fit(self, module: Any, *, steps: int, batch_size: int, optim: Mapping[str, Any]) -> FitResult:
        raise AssertionError("no frozen protocol trains a network")


def _given(
    signal: float, *, n_classes: int = 4, dim: int = 12, seed: int = 0, sizes: Sequence[int] = (120, 40, 200)
) -> Given:
    """Gaussian classes whose centres are ``signal`` deviations from 0; columns of very different scale and offset."""
    rng = np.random.default_rng(seed)
    centres = np.eye(n_classes, dim) * signal * 2
    scale, offset = 10.0 ** rng.uniform(-2, 2, dim), rng.normal(size=dim) * 50
    labels, values = {}, {}
    for split, size in zip(("fit", "val", "test"), sizes, strict=True):
        labels[split] = rng.permutation(np.arange(size) % n_classes)
        noise = rng.normal(size=(size, 2, dim))
        values[split] = (centres[labels[split]][:, None] + noise) * scale + offset
    return Given(lambda split, perturb: values[split], labels, tuple(f"class-{c}" for c in range(n_classes)))


def _values(metrics: Sequence[Metric]) -> dict[str, float]:
    return {metric.name: metric.value for metric in metrics}


@pytest.mark.parametrize("name", ["linear-probe", "knn", "retrieval", "temporal-sensitivity", "validation-probe"])
def test_protocols_keep_their_contract(registry: Registry, name: str) -> None:
    check_protocol(registry.entry("protocols", name), registry)


@pytest.mark.parametrize("protocol", ALL)
def test_labels_that_are_no_classes_are_refused(protocol: Any) -> None:
    given = dataclasses.replace(_given(1.0), kind="number")
    with pytest.raises(ConfigError, match="number"):
        protocol().run(given)


@pytest.mark.parametrize(("protocol", "metric"), [(LinearProbe, "top1"), (NearestNeighbours, "top1")])
def test_separable_features_are_read_and_noise_is_not(protocol: Any, metric: str) -> None:
    assert _values(protocol().run(_given(4.0)))[metric] > 0.97
    # 200 test videos at chance 1/4: 0.12 is four standard deviations.
    assert abs(_values(protocol().run(_given(0.0)))[metric] - 0.25) < 0.12


@pytest.mark.parametrize("protocol", ALL)
def test_the_same_features_give_the_same_numbers(protocol: Any) -> None:
    assert protocol().run(_given(0.7)) == protocol().run(_given(0.7))


@pytest.mark.parametrize("protocol", [LinearProbe, NearestNeighbours])
def test_choices_do_not_look_at_test_labels(protocol: Any) -> None:
    honest, poisoned = _given(0.4), _given(0.4)
    poisoned.labels = {**poisoned.labels, "test": (poisoned.labels["test"] + 1) % 4}
    first, second = _values(protocol().run(honest)), _values(protocol().run(poisoned))
    assert {name: first[name] for name in first if name.startswith("val_")} == {
        name: second[name] for name in second if name.startswith("val_")
    }
    assert second["top1"] < first["top1"]


def test_the_probe_of_a_search_says_what_the_linear_probe_does_and_reads_no_test_video() -> None:
    given = _given(0.4)
    metrics = ValidationProbe().run(given)
    assert given.evaluated == [] and [metric.name for metric in metrics if metric.primary] == ["val_top1"]
    whole = {metric.name: (metric.value, metric.n, metric.chance) for metric in LinearProbe().run(_given(0.4))}
    assert {metric.name: (metric.value, metric.n, metric.chance) for metric in metrics} == {
        name: whole[name] for name in ("val_top1", "val_strength")
    }


def test_the_strength_is_that_of_the_best_validation_accuracy() -> None:
    """Against scikit-learn by itself, at every strength."""
    given, strengths = _given(0.5, dim=40), (1e-3, 1e-2, 0.1, 1.0)
    recipe = ClipRecipe(frames=1, stride=1, clips=2, size=8)
    probe = fit_probe(given, recipe, strengths, standardise=True)
    x = {
        split: given.make(split, "none").astype(np.float32).astype(np.float64).mean(1)
        for split in ("fit", "val", "test")
    }

    def fitted(names: Sequence[str], strength: float) -> Callable[[np.ndarray], np.ndarray]:
        train = np.concatenate([x[name] for name in names])
        mean, std = train.mean(0), train.std(0)
        model = LogisticRegression(C=strength, tol=1e-8, max_iter=5000)
        model.fit((train - mean) / std, np.concatenate([given.labels[name] for name in names]))
        return lambda values: model.predict((values - mean) / std)

    accuracies = [float((fitted(["fit"], c)(x["val"]) == given.labels["val"]).mean()) for c in strengths]
    assert probe.choice.accuracy == pytest.approx(max(accuracies))
    assert probe.choice.strength == strengths[int(np.argmax(accuracies))]
    expected = fitted(["fit", "val"], probe.choice.strength)(x["test"])
    values = given.make("test", "none").astype(np.float32)
    assert (probe(FeatureSet(values, np.arange(200), 200)) == expected).mean() > 0.99


def test_two_classes_and_one() -> None:
    assert _values(LinearProbe().run(_given(3.0, n_classes=2)))["top1"] > 0.97
    single = _given(1.0, n_classes=2)
    single.labels = {**single.labels, "fit": single.labels["fit"] * 0, "val": single.labels["val"] * 0}
    assert _values(LinearProbe().run(single))["top1"] == pytest.approx(0.5)


@pytest.mark.parametrize("protocol", [LinearProbe, NearestNeighbours, TemporalSensitivity])
def test_chance_is_what_a_constant_answer_reaches(protocol: Any) -> None:
    given = _given(1.0, n_classes=3, sizes=(120, 42, 198))
    levels = [metric.chance for metric in protocol().run(given) if metric.name.startswith("top1")]
    assert levels == pytest.approx([1 / 3] * len(levels))
    # Class 1 is the most frequent one in training (in fit alone it is class 0), and not in the test split.
    given.labels = {
        "fit": np.repeat([0, 1, 2], [55, 50, 15]),
        "val": np.repeat([0, 1, 2], [8, 26, 8]),
        "test": np.repeat([0, 1, 2], [98, 60, 40]),
    }
    chance = {metric.name: metric.chance for metric in protocol().run(given)}
    levels = [value for name, value in chance.items() if name.startswith("top1")]
    assert levels == pytest.approx([60 / 198] * len(levels))
    if protocol is TemporalSensitivity:
        assert chance["drop_shuffled"] == 0.0
    else:
        assert chance["mean_class_accuracy"] == pytest.approx(1 / 3)
        assert chance["val_top1"] == pytest.approx(8 / 42)


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="strengths"):
        LinearProbe(strengths=[0.0]).run(_given(1.0))
    with pytest.raises(ConfigError, match="neighbours"):
        NearestNeighbours(neighbours=[])
    with pytest.raises(ConfigError, match="ranks"):
        Retrieval(ranks=[5, 5])


def test_standardising_leaves_out_constant_features() -> None:
    features = np.random.default_rng(0).normal(size=(50, 3))
    features[:, 1] = 1e6 * (1 + 1e-16 * np.arange(50))
    scaled = Standardiser(features, active=True)(features)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 0, 1], atol=1e-9)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    assert np.array_equal(Standardiser(features, active=False)(features), features)


def test_the_vote_is_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    gallery, queries = unit(rng.normal(size=(60, 5))), unit(rng.normal(size=(30, 5)))
    labels = rng.integers(0, 3, 60)
    rows, cosines = nearest(queries, gallery, 7)
    model = KNeighborsClassifier(7, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07)).fit(gallery, labels)
    assert (vote(labels[rows], cosines, 3, 0.07) == model.predict(queries)).all()


def test_small_temperatures_do_not_overflow() -> None:
    assert vote(np.array([[0, 1, 1]]), np.array([[1.0, 0.2, 0.1]]), 2, 1e-3).tolist() == [0]


def test_nearest_breaks_ties_by_gallery_order() -> None:
    gallery = unit(np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [1.0, 0.0]]))
    rows, cosines = nearest(unit(np.array([[3.0, 0.0]])), gallery, 9)
    assert rows.tolist() == [[1, 2, 3, 0]]
    np.testing.assert_allclose(cosines, [[1, 1, 1, 0]])


def test_retrieval_is_what_a_naive_loop_finds() -> None:
    given = _given(0.6)
    metrics = {metric.name: metric for metric in Retrieval(ranks=[1, 5, 500]).run(given)}
    train = np.concatenate([given.make(split, "none") for split in ("fit", "val")]).astype(np.float32).mean(1)
    labels = np.concatenate([given.labels[split] for split in ("fit", "val")])
    hits = {1: 0, 5: 0}
    for query, label in zip(given.make("test", "none").astype(np.float32).mean(1), given.labels["test"], strict=True):
        cosines = [q @ query / np.linalg.norm(q) / np.linalg.norm(query) for q in train.astype(np.float64)]
        order = sorted(range(len(train)), key=lambda row: -cosines[row])
        for k in hits:
            hits[k] += any(labels[row] == label for row in order[:k])
    assert {k: round(metrics[f"recall@{k}"].value * 200) for k in hits} == hits
    assert metrics["recall@500"].value == 1.0
    assert metrics["recall@1"].primary
    assert metrics["recall@1"].chance == pytest.approx(0.25)
    assert 0.25 < (metrics["recall@5"].chance or 0) < 1


def test_temporal_sensitivity_sees_what_order_carries() -> None:
    """Features in which class is told by order alone: shuffling takes it all, reversing turns it round."""
    rng = np.random.default_rng(0)
    labels = {split: rng.permutation(np.arange(200) % 2) for split in ("fit", "val", "test")}
    sign = {"none": 1.0, "reverse": -1.0, "shuffle": 0.0, "freeze": 0.0}

    def make(split: str, perturb: str) -> np.ndarray:
        noise = np.random.default_rng(1).normal(size=(200, 1, 3)) * 0.2
        noise[:, 0, 0] += (2 * labels[split] - 1) * sign[perturb]
        return noise

    given = Given(make, labels, ("a", "b"))
    metrics = TemporalSensitivity().run(given)
    values = _values(metrics)
    assert [metric.name for metric in metrics if metric.primary] == ["drop_shuffled"]
    assert given.evaluated == ["normal", "reversed", "shuffled", "frozen"]
    assert values["top1"] > 0.98
    assert values["top1_reversed"] < 0.02
    assert abs(values["top1_shuffled"] - 0.5) < 0.15
    assert values["drop_shuffled"] == pytest.approx(values["top1"] - values["top1_shuffled"])
    assert values["drop_reversed"] == pytest.approx(values["top1"] - values["top1_reversed"])
    # Of 200 differences in {-1, 0, 1}: the error of their mean, and none where every video is lost.
    (shuffled,) = (metric for metric in metrics if metric.name == "drop_shuffled")
    drop, lost = values["drop_shuffled"], 200 * values["drop_shuffled"]
    gained = 200 * values["top1"] - 200 * values["top1_shuffled"] - lost
    assert shuffled.standard_error is not None and gained == pytest.approx(0)
    assert 0.8 < shuffled.standard_error / math.sqrt(drop * (1 - drop) / 199) < 1.2
    assert all(metric.standard_error is None for metric in metrics if not metric.name.startswith("drop_"))


def test_an_encoder_blind_to_time_loses_nothing() -> None:
    values = _values(TemporalSensitivity().run(_given(0.8)))
    assert values["drop_shuffled"] == values["drop_reversed"] == values["drop_frozen"] == 0.0


def test_tiny_recipes_share_their_features(registry: Registry) -> None:
    recipes = {registry.build("protocols", f"{name}@tiny").recipe for name in ("linear-probe", "knn", "retrieval")}
    assert recipes == {ClipRecipe(frames=8, stride=2, clips=3, size=32, settle_batches=10)}
