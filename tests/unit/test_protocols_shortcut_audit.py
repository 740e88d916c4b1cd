"""``shortcut-audit``: what its perturbations do to clips, what it counts, and the whole way from a pretraining run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.first_party import first_party_registry
from torch import Tensor

from vssl_core.config.compose import typed
from vssl_core.config.schema import PretrainConfig, TransferConfig
from vssl_core.contracts import Batch, Metric, Spec
from vssl_core.engine.pretrain import run_pretrain
from vssl_core.errors import CheckpointError, ConfigError
from vssl_core.hookspecs import hookimpl
from vssl_core.plugins import Registry
from vssl_core.store.runs import RunFolder
from vssl_core.testing.fakes import FakeDataset
from vssl_core.transfer.evaluate import run_transfer
from vssl_core.transfer.planned import plan_transfer
from vssl_protocols.audit_chart import Bar, draw_chart
from vssl_protocols.perturb import PERTURBATIONS, crop_borders, freeze, grey, reencode, shuffle
from vssl_protocols.shortcut_audit import ShortcutAudit


def batch_of(*shapes: tuple[int, int, int, int], n: int = 3) -> Batch:
    """Views of noise, smooth enough for a video codec to keep."""
    rng = np.random.default_rng(0)
    views = []
    for frames, height, width, channels in shapes:
        coarse = rng.integers(0, 256, (n, frames, 3, 3, channels)).astype(np.float32)
        rows = np.linspace(0, 2, height).round().astype(int)
        columns = np.linspace(0, 2, width).round().astype(int)
        views.append(torch.from_numpy(coarse[:, :, rows][:, :, :, columns].astype(np.uint8)))
    return Batch(tuple(views), {"answer": torch.arange(n)}, torch.arange(n) * 7919 + 5, torch.arange(n))


# ----------------------------------------------------------------------------------------------------- perturbations


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_perturbations_keep_shape_type_targets_and_their_input(name: str) -> None:
    batch = batch_of((5, 32, 32, 3), (4, 33, 47, 3))
    kept = [view.clone() for view in batch.views]
    out = PERTURBATIONS[name](batch, 30, 0.1)
    assert all(a.shape == b.shape and a.dtype == torch.uint8 for a, b in zip(out.views, batch.views, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(kept, batch.views, strict=True))
    assert out.targets is batch.targets and out.seeds is batch.seeds
    assert any(not torch.equal(a, b) for a, b in zip(out.views, batch.views, strict=True))
    again = PERTURBATIONS[name](batch, 30, 0.1)
    assert all(torch.equal(a, b) for a, b in zip(out.views, again.views, strict=True))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_optical_flow_is_no_picture(name: str) -> None:
    """A task takes its answers from it: they stay those of the clip as it was."""
    batch = batch_of((5, 32, 32, 3))
    flow = torch.randn(3, 4, 32, 32, 2, generator=torch.Generator().manual_seed(0)).half()
    seen = PERTURBATIONS[name](batch._replace(views=(*batch.views, flow)), 30, 0.1).views
    assert seen[1] is flow
    assert torch.equal(seen[0], PERTURBATIONS[name](batch, 30, 0.1).views[0])


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_split_batch_is_perturbed_the_same(name: str) -> None:
    batch = batch_of((5, 32, 32, 3))
    tail = batch._replace(views=(batch.views[0][1:],), seeds=batch.seeds[1:])
    assert torch.equal(PERTURBATIONS[name](tail, 30, 0.1).views[0], PERTURBATIONS[name](batch, 30, 0.1).views[0][1:])


def test_frozen_clips_show_their_middle_frame() -> None:
    batch = batch_of((5, 8, 8, 3), (4, 8, 8, 3))
    for before, after in zip(batch.views, freeze(batch).views, strict=True):
        middle = before[:, before.shape[1] // 2]
        assert all(torch.equal(after[:, t], middle) for t in range(after.shape[1]))


def test_frames_in_views_of_their_own_are_frozen_together() -> None:
    batch = batch_of((1, 8, 8, 3), (1, 8, 8, 3), (1, 8, 8, 3))
    assert all(torch.equal(view, batch.views[0]) for view in freeze(batch).views)
    single = batch_of((1, 8, 8, 3))
    assert torch.equal(freeze(single).views[0], single.views[0])
    sizes = batch_of((1, 8, 8, 3), (1, 9, 9, 3))
    assert all(torch.equal(a, b) for a, b in zip(freeze(sizes).views, sizes.views, strict=True))


def _order(before: Tensor, after: Tensor) -> list[int]:
    """Which frame of ``before`` stands where in ``after``; all frames differ."""
    return [next(t for t in range(len(before)) if torch.equal(before[t], frame)) for frame in after]


def test_shuffled_clips_hold_the_same_frames_in_another_order() -> None:
    n, frames = 300, 3
    view = torch.arange(frames, dtype=torch.uint8)[None, :, None, None, None].expand(n, frames, 2, 2, 3).contiguous()
    batch = Batch((view, view), {}, torch.arange(n) * 7919, torch.arange(n))
    first, second = (out[:, :, 0, 0, 0].tolist() for out in shuffle(batch).views)
    counts = {order: [tuple(row) for row in first].count(order) for order in {tuple(row) for row in first}}
    assert all(sorted(order) == [0, 1, 2] for order in counts)
    assert (0, 1, 2) not in counts and len(counts) == 5
    assert first != second, "views of a sample are shuffled alike"


def test_frames_in_views_of_their_own_are_shuffled_among_one_another() -> None:
    batch = batch_of((1, 8, 8, 3), (1, 8, 8, 3), (1, 8, 8, 3))
    before = torch.cat(batch.views, dim=1)
    after = torch.cat(shuffle(batch).views, dim=1)
    for row in range(3):
        order = _order(before[row], after[row])
        assert sorted(order) == [0, 1, 2] and order != [0, 1, 2]


def test_grey_clips_have_the_luma_of_their_colours() -> None:
    view = torch.tensor([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30], dtype=torch.uint8).view(1, 1, 2, 2, 3)
    out = grey(Batch((view,), {}, torch.zeros(1), torch.zeros(1))).views[0]
    assert out.flatten().tolist() == [76] * 3 + [150] * 3 + [29] * 3 + [18] * 3


def test_cropped_clips_lose_their_borders_alone() -> None:
    view = torch.zeros(1, 2, 20, 20, 3, dtype=torch.uint8)
    view[:, :, 2:18, 2:18] = 200
    out = crop_borders(Batch((view,), {}, torch.zeros(1), torch.zeros(1)), 0.1).views[0]
    assert (out == 200).all()
    view[:, :, 2, 2:18] = 90  # what is just inside stays
    assert (crop_borders(Batch((view,), {}, torch.zeros(1), torch.zeros(1)), 0.1).views[0] == 90).any()
    tiny = torch.full((1, 1, 4, 4, 3), 7, dtype=torch.uint8)
    tiny[:, :, 1:3, 1:3] = 9
    assert (crop_borders(Batch((tiny,), {}, torch.zeros(1), torch.zeros(1)), 0.01).views[0] == 9).all()


def test_reencoded_clips_lose_the_more_the_coarser_they_are() -> None:
    batch = batch_of((6, 33, 47, 3))
    errors = [
        float((reencode(batch, crf).views[0].float() - batch.views[0].float()).abs().mean()) for crf in (0, 35, 51)
    ]
    assert errors[0] < errors[1] < errors[2]
    # Chroma is halved also where nothing else is lost.
    assert errors[0] < 12
    swapped = batch._replace(views=(batch.views[0].flip(1),))
    there, back = reencode(batch, 20).views[0], reencode(swapped, 20).views[0].flip(1)
    assert (there.float() - back.float()).abs().mean() < 12, "frames come back in another order"


# ---------------------------------------------------------------------------------------------------------- counting


class Watcher:
    """A task that is right wherever frames of the first view move, and knows 0.25 by guessing."""

    chance: float | None = 0.25

    def augment(self, batch: Batch) -> Batch:
        return batch

    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        moving = (batch.views[0][:, 1:] != batch.views[0][:, :-1]).flatten(1).any(dim=1)
        return {"accuracy": (moving.sum(), len(moving))}


class Pretext:
    name = "watcher@tiny"

    def __init__(self, task: Any, batches: list[Batch]) -> None:
        self.task, self.batches = task, batches

    def heldout(self, n_batches: int = 0) -> Iterator[Batch]:
        yield from self.batches[: n_batches or None]


class Context:
    def __init__(self, folder: Path, task: Any, *batches: Batch) -> None:
        self.work_dir = folder
        self._pretext = Pretext(task, list(batches))

    def pretext(self) -> Any:
        return self._pretext


def _values(metrics: Any) -> dict[str, float]:
    return {metric.name: metric.value for metric in metrics}


def test_every_perturbation_has_its_accuracy_its_drop_and_its_bar(tmp_path: Path) -> None:
    context: Any = Context(tmp_path, Watcher(), batch_of((4, 8, 8, 3)), batch_of((4, 8, 8, 3), n=2))
    metrics = ShortcutAudit(perturbations=["frozen", "shuffled", "cropped"]).run(context)
    assert [metric.name for metric in metrics] == [
        "heldout_accuracy",
        *(f"heldout_accuracy_{name}" for name in ("frozen", "shuffled", "cropped")),
        *(f"heldout_drop_{name}" for name in ("frozen", "shuffled", "cropped")),
    ]
    assert [metric.name for metric in metrics if metric.primary] == ["heldout_accuracy"]
    assert all(metric.n == 5 for metric in metrics)
    assert {metric.chance for metric in metrics if "drop" not in metric.name} == {0.25}
    values = _values(metrics)
    assert (values["heldout_accuracy"], values["heldout_accuracy_frozen"], values["heldout_drop_frozen"]) == (1, 0, 1)
    assert (values["heldout_accuracy_shuffled"], values["heldout_drop_shuffled"]) == (1, 0)
    with Image.open(tmp_path / "shortcut-audit.png") as picture:
        assert picture.width > 400 and picture.height > 4 * 22


def test_frames_are_not_shuffled_where_their_order_is_the_answer(tmp_path: Path) -> None:
    class Sorter(Watcher):
        asks_frame_order = True

    context: Any = Context(tmp_path, Sorter(), batch_of((4, 8, 8, 3)))
    metrics = ShortcutAudit(perturbations=["frozen", "shuffled"]).run(context)
    assert [metric.name for metric in metrics] == ["heldout_accuracy", "heldout_accuracy_frozen", "heldout_drop_frozen"]


def test_a_chance_that_the_task_measured_counts(tmp_path: Path) -> None:
    class Measured(Watcher):
        def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
            return {**super().evaluate(batch), "accuracy_chance": (torch.tensor(2.0), 4)}

    context: Any = Context(tmp_path, Measured(), batch_of((4, 8, 8, 3), n=4))
    assert ShortcutAudit(perturbations=[]).run(context)[0].chance == 0.5


def test_only_so_many_batches(tmp_path: Path) -> None:
    context: Any = Context(tmp_path, Watcher(), *(batch_of((4, 8, 8, 3)) for _ in range(3)))
    assert ShortcutAudit(perturbations=[], batches=2).run(context)[0].n == 6
    assert ShortcutAudit(perturbations=[]).run(context)[0].n == 9


def test_contrasts_are_counted_by_their_nearest_neighbours(tmp_path: Path) -> None:
    class Contrast(Watcher):
        chance = None

        def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
            n = len(batch.index)
            return {"contrast_top1": (torch.tensor(float(n - 1)), n), "contrast_chance": (torch.tensor(0.2 * n), n)}

    context: Any = Context(tmp_path, Contrast(), batch_of((4, 8, 8, 3), n=4))
    first = ShortcutAudit(perturbations=[]).run(context)[0]
    assert first == Metric(name="heldout_accuracy", value=0.75, n=4, chance=pytest.approx(0.2), primary=True)


def test_a_task_without_an_accuracy_is_refused(tmp_path: Path) -> None:
    class Reconstruction(Watcher):
        def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
            return {"loss": (torch.tensor(1.0), 1)}

    context: Any = Context(tmp_path, Reconstruction(), batch_of((4, 8, 8, 3)))
    with pytest.raises(ConfigError, match="measures loss and no accuracy"):
        ShortcutAudit().run(context)


def test_unknown_perturbations_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"perturbations=\['mirrored'\]; expected some of frozen"):
        ShortcutAudit(perturbations=["mirrored"])
    with pytest.raises(ConfigError, match="each once"):
        ShortcutAudit(perturbations=["grey", "grey"])


def test_the_chart_draws_what_it_is_told(tmp_path: Path) -> None:
    def dark(bars: list[Bar]) -> int:
        draw_chart("t", bars, 0.5, tmp_path / "c.png")
        with Image.open(tmp_path / "c.png") as picture:
            return int((np.asarray(picture.convert("RGB")) == (38, 84, 124)).all(axis=2).sum())

    assert dark([Bar("a", 1.0), Bar("b", 1.0)]) > 1.8 * dark([Bar("a", 0.5), Bar("b", 1.0)]) > 0
    assert dark([Bar("a", 0.0)]) == 0


# ----------------------------------------------------------------------------------------------------- the whole way


class Small(FakeDataset):
    """A fake set whose size tests can afford."""

    name = "small"

    def __init__(self) -> None:
        super().__init__(n_train=30, n_test=6)


class Larger(FakeDataset):
    """Another set."""

    name = "larger"

    def __init__(self) -> None:
        super().__init__(n_train=36, n_test=6)


class Fakes:
    @hookimpl
    def vssl_datasets(self) -> list[Spec]:
        return [Spec(name="small", target=f"{__name__}:Small", summary="fake")]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return _joined(first_party_registry(), Fakes())


def _joined(found: Registry, plugin: Any) -> Registry:
    """A registry that offers what a plugin does besides."""
    mine = Registry.discover(plugins={type(plugin).__name__.lower(): plugin}, entry_points=False)
    entries = [entry for kind in found.kinds() for entry in (*found.entries(kind), *mine.entries(kind))]
    return Registry([*found.plugins, *mine.plugins], entries)


def _pretrain(folder: Path, registry: Registry, task: Any, label: str = "") -> Path:
    config = typed(
        PretrainConfig,
        {
            "task": task,
            "backbone": {"name": "r2plus1d-tiny", "widths": [4, 8], "input_mode": "raw"},
            "data": "small",
            "label": label,
            "steps": 3,
            "batch_size": 4,
            "trackers": [],
            "out": str(folder),
            "loader": {"workers": 0, "cache": "never"},
        },
    )
    return run_pretrain(config, registry).folder


def _audit(run: Path, registry: Registry, **options: Any) -> dict[str, Any]:
    value = {
        "run": str(run), "protocol": {"name": "shortcut-audit", **options}, "trackers": [],
        "loader": {"workers": 0, "cache": "never"},
    }  # fmt: skip
    return run_transfer(typed(TransferConfig, value), registry)


@pytest.mark.parametrize("task", ["pace@tiny", {"name": "simclr@tiny", "short_video": "loop"}])
def test_the_audit_as_it_stands_is_what_pretraining_measured(tmp_path: Path, registry: Registry, task: Any) -> None:
    run = _pretrain(tmp_path / "run", registry, task)
    record = _audit(run, registry, perturbations=["frozen", "grey"])
    values = {metric["name"]: metric for metric in record["metrics"]}
    before = RunFolder(run).read_record()
    assert before is not None
    name = "accuracy" if "accuracy" in before["heldout"] else "contrast_top1"
    assert values["heldout_accuracy"]["value"] == pytest.approx(before["heldout"][name]["value"], abs=1e-6)
    assert values["heldout_accuracy"]["n"] == before["heldout"][name]["n"]
    if name == "accuracy":
        assert values["heldout_accuracy"]["chance"] == before["chance"]
        # 6 held-out videos, one clip of 8 frames each
        assert (record["cost"]["clips"], record["cost"]["frames_decoded"]) == (6, 48)
    assert record["status"] == "done" and record["recipes"] == []
    assert (run / "transfer" / record["run_id"] / "work" / "shortcut-audit.png").is_file()


def test_what_cannot_be_audited_is_said(tmp_path: Path, registry: Registry) -> None:
    floor = _pretrain(tmp_path / "floor", registry, "random-init")
    with pytest.raises(ConfigError, match="random-init is not trained"):
        plan_transfer(TransferConfig(run=str(floor), protocol="shortcut-audit"), registry)
    run = _pretrain(tmp_path / "run", registry, "pace@tiny")
    assert not (floor / "task.json").exists()
    (run / "task.json").unlink()
    with pytest.raises(CheckpointError, match=r"holds no task\.json"):
        _audit(run, registry)


def test_what_has_no_right_answers_is_refused_before_anything_is_read(tmp_path: Path, registry: Registry) -> None:
    """Sums and placebos are judged by the tasks inside them, with their options."""
    frames = {"name": "inpainting@tiny", "short_video": "loop"}
    refused = {"alone": frames, "placebo": {"name": "random-labels", "of": "motion-stats@tiny"}}
    audited = {
        "sum": {"name": "multi", "of": {"pace@tiny": 1.0, "inpainting@tiny": 1.0}},
        "placebo of rtt": {"name": "random-labels", "of": "rtt@tiny"},
    }
    run = _pretrain(tmp_path / "run", registry, "pace@tiny")
    record = json.loads((run / "record.json").read_text())
    for name, task in {**refused, **audited}.items():
        resolved = registry.resolve("tasks", task)
        component = {**record["components"]["task"], "name": resolved.name, "options": resolved.options}
        changed = {**record, "components": {**record["components"], "task": component}}
        (run / "record.json").write_text(json.dumps(changed))
        config = TransferConfig(run=str(run), protocol="shortcut-audit")
        if name in refused:
            with pytest.raises(ConfigError, match=r"needs one that offers accuracy; .* offers nothing of the kind"):
                plan_transfer(config, registry)
        else:
            assert plan_transfer(config, registry).protocol.name == "shortcut-audit"


def test_what_labels_trained_is_asked_about_that_label(tmp_path: Path, registry: Registry) -> None:
    run = _pretrain(tmp_path / "run", registry, "supervised@tiny", label="kind")
    # The set's second label is a number, which nobody trains on; that it was the one is all that is asked here.
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps({**record, "config": {**record["config"], "label": "speed"}}))
    with pytest.raises(ConfigError, match="this is another set"):
        plan_transfer(TransferConfig(run=str(run), protocol="shortcut-audit", data="toy-motion"), registry)
    assert plan_transfer(TransferConfig(run=str(run), protocol="shortcut-audit"), registry).config.label == "speed"
    assert plan_transfer(TransferConfig(run=str(run), protocol="knn@tiny"), registry).config.label == "kind"
    with pytest.raises(ConfigError, match="trained on label speed, and protocol shortcut-audit asks it that"):
        plan_transfer(TransferConfig(run=str(run), protocol="shortcut-audit", label="kind"), registry)


def test_a_label_that_nothing_was_trained_on_is_no_label(tmp_path: Path, registry: Registry) -> None:
    run = _pretrain(tmp_path / "run", registry, "pace@tiny", label="left-over")
    assert plan_transfer(TransferConfig(run=str(run), protocol="shortcut-audit"), registry).config.label == "kind"


class Silent(ShortcutAudit):
    """Asks the trained task, and its Spec does not say so."""


def _with_protocol(registry: Registry, name: str, **told: Any) -> Registry:
    spec = Spec(name=name, target=f"{__name__}:Silent", config="vssl_protocols.config:ShortcutAuditConfig", **told)

    class Plugin:
        @hookimpl
        def vssl_protocols(self) -> list[Spec]:
            return [spec]

        @hookimpl
        def vssl_datasets(self) -> list[Spec]:
            return [Spec(name="larger", target=f"{__name__}:Larger", summary="fake")]

    return _joined(registry, Plugin())


def test_a_protocol_may_ask_any_trained_task_and_its_own_set_alone(tmp_path: Path, registry: Registry) -> None:
    both = _with_protocol(registry, "asks", requires=frozenset({"trained"}))
    run = _pretrain(tmp_path / "run", both, {"name": "inpainting@tiny", "short_video": "loop"})
    assert plan_transfer(TransferConfig(run=str(run), protocol="asks"), both).protocol.name == "asks"
    with pytest.raises(ConfigError, match="this is another set"):
        plan_transfer(TransferConfig(run=str(run), protocol="asks", data="larger"), both)
    floor = _pretrain(tmp_path / "floor", both, "random-init")
    with pytest.raises(ConfigError, match="random-init is not trained"):
        plan_transfer(TransferConfig(run=str(floor), protocol="asks"), both)


def test_a_protocol_that_does_not_say_so_cannot_ask_about_another_set(tmp_path: Path, registry: Registry) -> None:
    both = _with_protocol(registry, "silent")
    run = _pretrain(tmp_path / "run", both, "pace@tiny")
    value = {"run": str(run), "protocol": "silent", "trackers": [], "loader": {"workers": 0, "cache": "never"}}
    assert run_transfer(typed(TransferConfig, value), both)["status"] == "done"
    with pytest.raises(ConfigError, match=r"protocol silent asks about the videos .* held out; this is another set"):
        run_transfer(typed(TransferConfig, {**value, "data": "larger"}), both)


def test_a_run_that_would_be_another_one_today_is_refused(tmp_path: Path, registry: Registry) -> None:
    run = _pretrain(tmp_path / "run", registry, "pace@tiny")
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("batch_size: 4", "batch_size: 5"))
    with pytest.raises(CheckpointError, match="changed since"):
        _audit(run, registry)


def test_another_set_than_the_run_s_own_is_refused_before_anything_is_read(tmp_path: Path, registry: Registry) -> None:
    """It would be audited on the run's own held-out videos, under the other set's name."""
    run = _pretrain(tmp_path / "run", registry, "pace@tiny")
    other = TransferConfig(run=str(run), protocol="shortcut-audit", data={"name": "toy-physics", "n_train": 30})
    with pytest.raises(ConfigError, match=r"to the videos that the run held out; this is another set.*leave data= out"):
        plan_transfer(other, registry)
    knn = TransferConfig(run=str(run), protocol="knn@tiny", data={"name": "toy-physics", "n_train": 30})
    assert plan_transfer(knn, registry).data.name == "toy-physics"
