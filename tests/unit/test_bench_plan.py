"""Suites and the plans made from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.bench_fakes import fake_registry
from support.first_party import first_party_registry

from vssl_bench.jobs import Plan, parse_filters
from vssl_bench.plan import make_plan
from vssl_bench.suite import load_suite, parse_suite
from vssl_core.errors import ConfigError

OUT = Path("runs/test")


def _suite(**changes: Any) -> dict[str, Any]:
    suite = {
        "name": "test",
        "defaults": {"backbone": "r2plus1d-tiny", "steps": 10},
        "data": [{"data": "fake-set", "labels": ["motion"]}],
        "pretrain": [{"task": "rtt@tiny"}],
        "transfer": {"protocols": ["linear-probe@tiny", "knn@tiny"]},
    }
    return {**suite, **changes}


def _plan(only: tuple[str, ...] = (), **changes: Any) -> Plan:
    return make_plan(parse_suite(_suite(**changes), "test"), fake_registry(), OUT, parse_filters(only))


def _pretrained(plan: Plan) -> list[tuple[str, int]]:
    return [(job.task, job.seed) for job in plan.jobs if job.kind == "pretrain"]


def test_transfers_follow_their_run_and_seeds_come_round_by_round() -> None:
    plan = _plan(pretrain=[{"task": "random-init", "seeds": 2}, {"task": "rtt@tiny", "seeds": [3, 5, 8]}])
    assert _pretrained(plan) == [
        ("random-init", 0),
        ("rtt@tiny", 3),
        ("random-init", 1),
        ("rtt@tiny", 5),
        ("rtt@tiny", 8),
    ]
    kinds = [job.kind for job in plan.jobs]
    assert kinds == ["pretrain", "transfer", "transfer"] * 5
    for i, job in enumerate(plan.jobs):
        if job.kind == "transfer":
            run = plan.jobs[i - i % 3]
            assert job.needs == (run.run_id,) and job.config["run"] == run.config["out"] == str(OUT / run.run_id)
            assert job.seed == run.seed


def test_planning_twice_gives_the_same_ids_and_other_steps_give_others() -> None:
    ids = [job.run_id for job in _plan().jobs]
    assert ids == [job.run_id for job in _plan().jobs] and len(set(ids)) == len(ids)
    assert not set(ids) & {job.run_id for job in _plan(defaults={"backbone": "r2plus1d-tiny", "steps": 11}).jobs}


def test_a_floor_is_shared_by_data_sets_and_its_transfers_are_not() -> None:
    data = [{"data": {"name": "fake-set", "root": root}, "labels": ["motion"]} for root in ("here", "there")]
    plan = _plan(data=data, pretrain=["random-init", "rtt@tiny"])
    assert _pretrained(plan).count(("random-init", 0)) == 1 and _pretrained(plan).count(("rtt@tiny", 0)) == 2
    assert sum(job.kind == "transfer" for job in plan.jobs) == 8


def test_impossible_pairs_and_missing_labels_are_refused_with_the_reason() -> None:
    data = [{"data": "fake-set", "labels": ["motion", "colour"]}]
    plan = _plan(data=data, pretrain=["videomae@tiny", "rtt@tiny", {"task": "supervised@tiny"}])
    reasons = {refusal.what: refusal.reason for refusal in plan.refused}
    assert "masking" in reasons["videomae@tiny on r2plus1d-tiny"]
    assert "motion, appearance" in reasons["label colour of fake-set"]
    assert _pretrained(plan) == [("rtt@tiny", 0), ("supervised@tiny", 0)]
    assert {job.label for job in plan.jobs if job.kind == "transfer"} == {"motion"}


def test_supervised_is_trained_once_a_label_and_measured_on_that_label_alone() -> None:
    plan = _plan(data=[{"data": "fake-set"}], pretrain=["supervised@tiny"])
    runs = {job.run_id: job.label for job in plan.jobs if job.kind == "pretrain"}
    assert sorted(runs.values()) == ["appearance", "motion"]
    transfers = [job for job in plan.jobs if job.kind == "transfer"]
    assert len(transfers) == 4 and all(job.label == runs[job.needs[0]] for job in transfers)


def test_a_placebo_is_the_same_run_with_permuted_targets() -> None:
    pretrain = [
        {"task": "rtt@tiny", "seeds": 2, "placebo": "own", "steps": 7},
        {"task": "simclr@tiny", "placebo": "pace@tiny"},
        {"task": "random-init", "placebo": "own"},
        {"task": "supervised@tiny", "placebo": "own"},
    ]
    jobs = [job for job in _plan(pretrain=pretrain).jobs if job.kind == "pretrain"]
    assert sorted(job.task for job in jobs) == [
        "random-init", "random-labels of pace@tiny", "random-labels of rtt@tiny", "random-labels of rtt@tiny",
        "rtt@tiny", "rtt@tiny", "simclr@tiny", "supervised@tiny",
    ]  # fmt: skip
    own = next(job for job in jobs if job.task == "random-labels of rtt@tiny")
    assert own.config["task"] == {"name": "random-labels", "of": "rtt@tiny"} and own.steps == 7


def test_entries_can_be_kept_to_labels_protocols_and_data() -> None:
    data = [{"data": "fake-set", "labels": ["motion", "appearance"]}]
    entry = {"task": "rtt@tiny", "labels": ["motion"], "protocols": ["knn"]}
    jobs = _plan(data=data, pretrain=[entry, {"task": "pace@tiny", "data": "another"}]).jobs
    assert [(job.task, job.label, job.protocol) for job in jobs if job.kind == "transfer"] == [
        ("rtt@tiny", "motion", "knn@tiny")
    ]
    assert not any(job.task == "pace@tiny" for job in jobs)


def test_options_beyond_the_recipe_show_in_the_name() -> None:
    backbone = {"name": "r2plus1d-tiny", "input_mode": "raw"}
    job = _plan(pretrain=[{"task": "rtt@tiny", "backbone": backbone}]).jobs[0]
    assert job.backbone == "r2plus1d-tiny(input_mode=raw)"


def test_filters_keep_what_a_transfer_needs() -> None:
    pretrain = [{"task": "rtt@tiny", "seeds": 2}, "pace@tiny"]
    jobs = _plan(("task=rtt", "protocol=knn", "seed=1"), pretrain=pretrain).jobs
    assert [(job.kind, job.task, job.seed) for job in jobs] == [
        ("pretrain", "rtt@tiny", 1),
        ("transfer", "rtt@tiny", 1),
    ]
    with pytest.raises(ConfigError, match="colour=red"):
        parse_filters(("colour=red",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pretrian": []}, "pretrian.*pretrain"),
        ({"pretrain": [{"task": "rtt@tiny", "stepps": 3}]}, r"pretrain\[0\].stepps.*steps"),
        ({"pretrain": [{"task": "rtt@tiny", "seeds": 0}]}, "seeds=0"),
        ({"pretrain": [{"backbone": "r3d-18"}]}, "lacks task"),
        ({"transfer": {}}, "protocol"),
        ({"data": [{"data": "fake-set", "labls": ["x"]}]}, "labls"),
        ({"pretrain": [{"task": "rtt@tiny", "steps": "many"}]}, "steps='many'"),
        ({"defaults": {}}, "neither"),
    ],
)
def test_mistakes_say_where_they_are(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _plan(**changes)


def test_overrides(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "defaults: {steps: 10, batch_size: 8}\n"
        "data: [{data: fake-set, labels: [motion]}]\n"
        "pretrain: [random-init, {task: rtt@tiny, steps: 20}]\n"
        "transfer: {protocols: [knn@tiny]}\n"
    )
    registry = fake_registry()

    def load(*overrides: str) -> Any:
        return load_suite(str(file), overrides, registry)

    plain = load()
    assert plain.name == "mine" and [entry.config["steps"] for entry in plain.pretrain] == [10, 20]
    changed = load("steps=3", "seeds=2", "device=cpu", "data.root=there", "data.labels=[appearance]", "optim.lr=1e-4")
    assert [entry.config["steps"] for entry in changed.pretrain] == [3, 3]
    assert all(entry.seeds == (0, 1) and entry.config["optim"] == {"lr": 1e-4} for entry in changed.pretrain)
    assert changed.transfer == {"device": "cpu"}
    assert changed.data[0].data == {"name": "fake-set", "root": "there"} and changed.data[0].labels == ("appearance",)
    assert [entry.config["steps"] for entry in load("defaults.steps=3").pretrain] == [3, 20]
    assert load("data.root=there", "data=csv").data[0].data == {"name": "csv", "root": "there"}
    assert load("pretrain.1.task.frames=4").pretrain[1].config["task"] == {"name": "rtt@tiny", "frames": 4}
    with pytest.raises(ConfigError, match="no index"):
        load("pretrain.9.task=rtt")
    with pytest.raises(ConfigError, match="no suite is called 'nothing'"):
        load_suite("nothing", (), registry)


def test_an_audit_of_videos_that_are_not_the_run_s_own_is_refused() -> None:
    registry = first_party_registry()
    data = [{"data": {"name": "toy-physics", "n_train": 60}, "labels": ["law"], "pretrain_data": "toy-physics"}]
    suite = _suite(
        data=data, transfer={"protocols": ["shortcut-audit", "knn@tiny"]}, pretrain=["rtt@tiny", "random-init"]
    )
    plan = make_plan(parse_suite(suite, "test"), registry, OUT, rehearsal=False)
    assert [(refusal.what, refusal.reason.partition("; ")[2]) for refusal in plan.refused] == [
        (
            "shortcut-audit of rtt@tiny on toy-physics(n_train=60)",
            "this is another set, or it has changed since: measure on the set that the run was trained on (leave data= "
            "out)",
        ),
        (
            "shortcut-audit of random-init on toy-physics(n_train=60)",
            "random-init is not trained: choose the run of a task that is",
        ),
    ]
    measured = [(job.task, job.protocol) for job in plan.jobs if job.kind == "transfer"]
    assert measured == [("rtt@tiny", "knn@tiny"), ("random-init", "knn@tiny")]


def test_an_audit_of_a_task_without_an_accuracy_is_refused_and_sums_offer_what_their_tasks_do() -> None:
    tasks: list[Any] = [
        "inpainting@tiny",
        "rotation@tiny",
        {"name": "multi", "of": {"inpainting@tiny": 1.0, "pace@tiny": 1.0}},
        {"name": "multi", "of": {"inpainting@tiny": 1.0, "future-frames@tiny": 1.0}},
        {"name": "random-labels", "of": "motion-stats@tiny"},
        {"name": "random-labels", "of": "rtt@tiny"},
    ]
    suite = _suite(
        data=["toy-motion"],
        transfer={"protocols": ["shortcut-audit"]},
        pretrain=[{"task": task} for task in tasks],
    )
    plan = make_plan(parse_suite(suite, "test"), first_party_registry(), OUT, rehearsal=False)
    assert {job.task for job in plan.jobs if job.kind == "transfer"} == {
        "rotation@tiny",
        "multi(of={inpainting@tiny=1.0, pace@tiny=1.0})",
        "random-labels of rtt@tiny",
    }
    assert [refusal.what for refusal in plan.refused] == [
        "shortcut-audit of inpainting@tiny on toy-motion",
        "shortcut-audit of multi(of={future-frames@tiny=1.0, inpainting@tiny=1.0}) on toy-motion",
        "shortcut-audit of random-labels of motion-stats@tiny on toy-motion",
    ]
    assert all("needs one that offers accuracy; " in refusal.reason for refusal in plan.refused)


def test_a_question_of_the_task_s_own_is_put_once_whatever_labels_there_are() -> None:
    suite = _suite(
        data=["toy-motion"],
        transfer={"protocols": ["shortcut-audit", "knn@tiny"]},
        pretrain=["rtt@tiny", "supervised@tiny"],
    )
    plan = make_plan(parse_suite(suite, "test"), first_party_registry(), OUT, rehearsal=False)
    measured = [(job.task, job.protocol, job.label) for job in plan.jobs if job.kind == "transfer"]
    assert measured == [
        ("rtt@tiny", "shortcut-audit", "motion"),
        ("rtt@tiny", "knn@tiny", "motion"),
        ("rtt@tiny", "knn@tiny", "appearance"),
        # What it was trained to tell is the label.
        ("supervised@tiny", "shortcut-audit", "motion"),
        ("supervised@tiny", "knn@tiny", "motion"),
        ("supervised@tiny", "shortcut-audit", "appearance"),
        ("supervised@tiny", "knn@tiny", "appearance"),
    ]
