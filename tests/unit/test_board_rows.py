"""The board as a function of records: what is compared with what, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.bench_records import placebo, pretrain, row, sample, transfer

from vssl_bench.board import Board, make_board
from vssl_bench.cells import Cell
from vssl_bench.render import heading
from vssl_bench.why import explain
from vssl_bench.words import chance_mark, pretext_words
from vssl_core.errors import RecordError


def _cell(board: Board, name: str, **wanted: Any) -> Cell:
    found = [cell for cell in board.cells if cell.row == name and all(getattr(cell, k) == v for k, v in wanted.items())]
    assert len(found) == 1, (name, [cell.row for cell in board.cells])
    return found[0]


def test_floors_come_first_then_placebos_tasks_and_supervised() -> None:
    rows = [
        (next(iter(line.values())).role, next(iter(line.values())).row) for line in make_board(sample()).tables[0].rows
    ]
    assert rows == [
        ("floor", "random-init"), ("floor", "motion-energy"), ("floor", "pixel-baseline@frames"),
        ("placebo", "random-labels of rtt@tiny"), ("placebo", "random-labels of pace@tiny"),
        ("task", "rtt@tiny"), ("task", "pace@tiny"), ("task", "simclr@tiny"),
        ("supervised", "supervised@tiny"),
    ]  # fmt: skip


def test_the_order_of_the_records_does_not_matter() -> None:
    records = sample()
    assert make_board(records).plain() == make_board(list(reversed(records))).plain()


def test_gains_are_taken_against_the_tasks_own_placebo() -> None:
    board = make_board(sample())
    rtt = _cell(board, "rtt@tiny")
    assert rtt.placebo == "random-labels of rtt@tiny" and rtt.gain_over_placebo == pytest.approx(0.33)
    assert rtt.gain_over_random == pytest.approx(0.68 - 0.225)
    assert rtt.p_holm is not None and rtt.p is not None and rtt.p <= rtt.p_holm < 0.05
    assert _cell(board, "pace@tiny").placebo == "random-labels of pace@tiny"
    assert _cell(board, "supervised@tiny").gain_over_placebo is None
    assert _cell(board, "random-init").gain_over_random is None


def test_a_task_without_classes_takes_paces_placebo_and_one_with_classes_takes_nobody_elses() -> None:
    records = [*sample(), *row("clip-order@tiny", [0.3, 0.31, 0.29], accuracy=0.2, chance=1 / 6)]
    board = make_board(records)
    assert _cell(board, "simclr@tiny").placebo == "random-labels of pace@tiny"
    order = _cell(board, "clip-order@tiny")
    assert order.placebo is None and order.gain_over_placebo is None and order.p_holm is None


def test_a_placebo_at_other_steps_or_on_another_network_is_none() -> None:
    records = [
        *row("rtt@tiny", [0.6, 0.7]),
        *placebo("rtt@tiny", [0.3, 0.3], steps=470),
        *placebo("rtt@tiny", [0.3, 0.3], backbone="r3d-18"),
    ]
    assert _cell(make_board(records), "rtt@tiny").gain_over_placebo is None


def test_a_task_with_options_takes_the_placebo_with_the_same_options() -> None:
    task = {"name": "rtt@tiny", "speeds": [1, 2]}
    records = [*row(task, [0.6, 0.7]), *placebo("rtt@tiny", [0.3, 0.3]), *placebo(task, [0.4, 0.4])]
    cell = _cell(make_board(records), "rtt@tiny(speeds=[1, 2])")
    assert cell.placebo == "random-labels of rtt@tiny(speeds=[1, 2])" and cell.gain_over_placebo == pytest.approx(0.25)


def test_gains_and_ties_know_the_test_sample() -> None:
    def board(n: int) -> Board:
        return make_board(
            [
                *row("rtt@tiny", [0.60, 0.601, 0.599], n=n),
                *row("pace@tiny", [0.57, 0.571, 0.569], n=n),
                *placebo("rtt@tiny", [0.57, 0.571, 0.569], n=n),
                *row("random-init", [0.57, 0.571, 0.569], n=n, trains=False),
            ]
        )

    few, many = _cell(board(200), "rtt@tiny"), _cell(board(1_000_000), "rtt@tiny")
    assert few.p is not None and few.p > 0.05 and few.gain_over_random_low is not None and few.gain_over_random_low < 0
    assert many.p is not None and many.p < 0.001 and many.gain_over_random_low is not None
    assert many.gain_over_random_low > 0
    assert _cell(board(200), "pace@tiny").tied and not _cell(board(1_000_000), "pace@tiny").tied


def test_holm_is_over_the_tasks_of_one_column() -> None:
    noisy = [0.33, 0.38, 0.31]
    one = [*row("rtt@tiny", noisy), *placebo("rtt@tiny", [0.3, 0.31, 0.29])]
    two = [*row("pace@tiny", [0.31, 0.36, 0.29]), *placebo("pace@tiny", [0.3, 0.31, 0.29])]
    alone, both = _cell(make_board(one), "rtt@tiny"), _cell(make_board(one + two), "rtt@tiny")
    assert alone.p == both.p and alone.p_holm == alone.p
    assert both.p is not None and both.p_holm == pytest.approx(2 * both.p)
    elsewhere = [
        *one,
        *row("pace@tiny", [0.3, 0.4, 0.5], protocol="knn@tiny"),
        *placebo("pace@tiny", [0.3, 0.3, 0.2], protocol="knn@tiny"),
    ]
    assert _cell(make_board(elsewhere), "rtt@tiny").p_holm == alone.p


def test_ties_are_shown_and_floors_are_never_the_best() -> None:
    records = [*sample(), *row("pixel-baseline@differences", [0.95], backbone="", trains=False)]
    board = make_board(records)
    marked = {cell.row: (cell.best, cell.tied) for cell in board.cells if cell.best or cell.tied}
    assert marked == {"rtt@tiny": (True, False), "pace@tiny": (False, True)}


def test_with_one_seed_ties_are_overlaps_and_the_interval_says_so() -> None:
    records = [*row("rtt@tiny", [0.60]), *row("pace@tiny", [0.58]), *row("simclr@tiny", [0.40])]
    board = make_board(records)
    assert _cell(board, "pace@tiny").tied and not _cell(board, "simclr@tiny").tied
    assert not any(cell.seed_error for cell in board.cells)


def test_tasks_that_are_each_asked_their_own_question_have_no_best() -> None:
    """An audit's figures are of held-out samples, and every task has its own chance."""
    audit = {"protocol": "shortcut-audit", "metric": "heldout_accuracy", "n": 120}
    board = make_board([*row("rtt@tiny", [0.6, 0.7], **audit), *row("pace@tiny", [0.5, 0.6], **audit)])
    assert not any(cell.best or cell.tied for cell in board.cells)
    assert heading(board.tables[0]) == "toy-motion · motion (120 held-out samples, chance 12.5)"


def test_a_failed_measurement_that_did_not_know_its_components_is_no_crash() -> None:
    run = pretrain("rtt@tiny", 0)
    failed = {**transfer(run, 0.0, status="failed"), "components": {"protocol": None, "data": None}}
    (cell,) = make_board([run, failed]).cells
    assert cell.mean is None and cell.failed


def test_a_pretext_task_that_stayed_at_chance_is_marked() -> None:
    records = [
        *row("rtt@tiny", [0.4, 0.4], accuracy=0.74, chance=0.2),
        *row("clip-order@tiny", [0.4, 0.4], accuracy=0.18, chance=1 / 6),
        *row("videomae@tiny", [0.4, 0.4]),
        *row(
            "simclr@tiny",
            [0.4, 0.4],
            heldout={"contrast_top1": {"value": 0.9, "n": 384}, "contrast_chance": {"value": 0.02, "n": 384}},
        ),
    ]
    board = make_board(records)
    flags = {cell.row: cell.at_chance for cell in board.cells}
    assert flags == {"rtt@tiny": False, "clip-order@tiny": True, "videomae@tiny": None, "simclr@tiny": False}
    assert _cell(board, "simclr@tiny").pretext_chance == 0.02
    assert _cell(board, "videomae@tiny").pretext_accuracy is None


@pytest.mark.parametrize(
    ("accuracies", "stuck", "mark"),
    [
        ((0.345, 0.37, 0.535), 0, ""),  # each far above, and Student's interval over seeds reaches chance
        ((0.22, 0.9, 0.21), 2, "2 of 3 at chance"),  # the mean is far above, two runs are not
        ((0.2, 0.23, 0.22), 3, "at chance"),
    ],
)
def test_each_run_is_asked_by_itself_whether_it_learnt(accuracies: tuple[float, ...], stuck: int, mark: str) -> None:
    records = []
    for seed, accuracy in enumerate(accuracies):
        run = pretrain("cloze@tiny", seed, accuracy=accuracy, chance=0.2)
        records += [run, transfer(run, 0.5)]
    (cell,) = make_board(records).cells
    assert (cell.runs_at_chance, cell.at_chance, chance_mark(cell)) == (stuck, stuck == 3, mark)
    assert pretext_words(cell).endswith(mark or "/ 20.0")


def test_a_task_may_measure_what_guessing_gives() -> None:
    heldout = {"accuracy": {"value": 0.66, "n": 300}, "accuracy_chance": {"value": 0.65, "n": 300}}
    (cell,) = make_board(row("colorization@tiny", [0.4, 0.4], heldout=heldout, chance=1 / 16)).cells
    assert cell.pretext_chance == 0.65 and cell.at_chance


def test_drops_are_tested_with_the_error_of_their_videos() -> None:
    """Three seeds that happen to agree are no proof: the test sample may be what they agree on."""
    drops = {"unit": "difference of fractions", "metric": "drop_shuffled"}
    found = {}
    for error in (None, 0.03):
        records = [*row("rtt@tiny", [0.42, 0.44, 0.43], **drops), *placebo("rtt@tiny", [0.37, 0.385, 0.38], **drops)]
        for record in records:
            for metric in record.get("metrics", []):
                if metric["primary"] and error is not None:
                    metric["standard_error"] = error
        found[error] = _cell(make_board(records), "rtt@tiny")
    assert found[None].standard_error is None and found[None].p is not None and found[None].p < 0.01
    assert found[0.03].standard_error == pytest.approx(0.03) and found[0.03].p is not None and found[0.03].p > 0.2
    assert found[0.03].low is not None and found[None].low is not None and found[0.03].low < found[None].low


def test_failed_and_missing_seeds_are_counted() -> None:
    records = row("rtt@tiny", [0.6, 0.62])
    failed = pretrain("rtt@tiny", 2, status="failed")
    unmeasured = pretrain("rtt@tiny", 3)
    cell = _cell(make_board([*records, failed, unmeasured]), "rtt@tiny")
    assert (cell.seeds, cell.seeds_expected) == (2, 4) and cell.failed == ["pretrain seed 2: loss not finite at step 3"]
    assert cell.mean == pytest.approx(0.61)


def test_a_row_whose_every_run_failed_is_named() -> None:
    board = make_board([pretrain("rtt@tiny", seed, status="failed") for seed in range(3)])
    assert not board.cells
    assert board.notes == ["rtt@tiny r2plus1d-tiny: no run of 3 is done; loss not finite at step 3"]


def test_a_run_counts_once_however_often_it_is_measured() -> None:
    records = []
    for seed in range(3):
        run = pretrain("rtt@tiny", seed)
        for measuring_seed, value in ((0, 0.5 + 0.1 * seed), (7, 0.9)):
            record = transfer({**run, "seed": measuring_seed}, value)
            records += [run, record]
    cell = _cell(make_board(records), "rtt@tiny")
    assert list(cell.values.values()) == pytest.approx([0.5, 0.6, 0.7])
    assert (cell.seeds, cell.seeds_expected) == (3, 3)


def test_a_cell_whose_every_measurement_failed_stays_empty() -> None:
    run = pretrain("rtt@tiny", 0)
    cell = _cell(make_board([run, transfer(run, 0.5, status="failed")]), "rtt@tiny")
    assert cell.mean is None and cell.low is None and cell.seeds == 0 and cell.failed
    assert not cell.best and cell.gain_over_random is None


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"protocol": {"name": "linear-probe@tiny", "clips": 5}}], ids=["version", "options"]
)
def test_other_versions_and_options_of_a_protocol_are_other_columns(change: dict[str, Any]) -> None:
    board = make_board([*row("rtt@tiny", [0.6]), *row("pace@tiny", [0.7], **change)])
    assert len(board.tables) == 1 and len(board.tables[0].protocols) == 2
    assert all(cell.best for cell in board.cells), "each is alone in its column"


def test_another_fingerprint_is_another_table_and_another_label_too() -> None:
    run = pretrain("rtt@tiny")
    records = [
        run,
        transfer(run, 0.6),
        transfer(run, 0.5, fingerprint="changed"),
        transfer(run, 0.4, label="appearance"),
    ]
    assert len(make_board(records).tables) == 3


def test_budgets_are_rows_of_their_own_and_named_by_what_differs() -> None:
    board = make_board([*row("rtt@tiny", [0.6]), *row("rtt@tiny", [0.7], steps=1175), *row("pace@tiny", [0.5])])
    assert sorted(cell.row for cell in board.cells) == ["pace@tiny", "rtt@tiny [steps=1175]", "rtt@tiny [steps=235]"]


def test_backbones_differ_by_their_options() -> None:
    raw = {"name": "r2plus1d-tiny", "input_mode": "raw"}
    board = make_board(
        [*row("random-init", [0.2], trains=False), *row("random-init", [0.3], backbone=raw, trains=False)]
    )
    assert {cell.backbone for cell in board.cells} == {"r2plus1d-tiny", "r2plus1d-tiny(input_mode=raw)"}


def test_floors_know_no_training_data_and_serve_every_set() -> None:
    run = pretrain("random-init", trains=False)
    board = make_board([run, transfer(run, 0.2), transfer(run, 0.3, data="toy-physics", label="law")])
    assert [table.data for table in board.tables] == ["toy-motion", "toy-physics"]
    assert all(cell.pretrain_data == "" and cell.steps == 0 for cell in board.cells)


def test_numbers_that_are_no_fractions_get_no_binomial_interval() -> None:
    records = row(
        "rtt@tiny",
        [-0.01, 0.02],
        protocol="temporal-sensitivity@tiny",
        unit="difference of fractions",
        metric="drop_shuffled",
    )
    cell = _cell(make_board(records), "rtt@tiny")
    assert cell.low is not None and cell.low < 0 and cell.metric == "drop_shuffled"
    single = row("rtt@tiny", [-0.01], protocol="temporal-sensitivity@tiny", unit="difference of fractions")
    assert _cell(make_board(single), "rtt@tiny").low is None


def test_unreadable_test_videos_are_counted() -> None:
    run = pretrain("rtt@tiny")
    assert _cell(make_board([run, transfer(run, 0.6, unreadable=["a.mp4", "b.mp4"])]), "rtt@tiny").unreadable == 2


def test_records_without_their_run_are_named_not_shown() -> None:
    run = pretrain("rtt@tiny")
    board = make_board([transfer(run, 0.6)])
    assert not board.cells and "whose record is not here" in board.notes[0]


def test_filters_leave_gains_as_they_are() -> None:
    records = [
        *sample(),
        *row("rtt@tiny", [0.5], data="toy-physics", label="law"),
        *row("rtt@tiny", [0.6], protocol="knn@tiny"),
    ]
    whole = _cell(make_board(records), "rtt@tiny", data="toy-motion", protocol="linear-probe@tiny")
    part = make_board(records, data="toy-motion", label="motion", protocol="linear-probe")
    assert len(part.tables) == 1 and part.tables[0].protocols == ["linear-probe@tiny"]
    assert _cell(part, "rtt@tiny").plain() == whole.plain()


def test_the_named_keys_are_there() -> None:
    named = [
        "task",
        "backbone",
        "pretrain_data",
        "data",
        "protocol",
        "protocol_version",
        "label",
        "metric",
        "mean",
        "low",
        "high",
        "seeds",
        "n_test",
        "chance",
        "pretext_accuracy",
        "pretext_chance",
        "gain_over_placebo",
        "gain_over_random",
        "steps",
        "clips",
        "seconds",
    ]
    for cell in make_board(sample()).plain()["cells"]:
        assert set(named) <= set(cell)


def test_why_says_what_differs() -> None:
    records = [*sample(), *row("rtt@tiny", [0.7], steps=1175), *row("random-init", [0.1], version=2, trains=False)]
    rtt = [r["run_id"] for r in records if r["kind"] == "pretrain" and r["config"]["task"] == "rtt@tiny"]
    seeds = explain(records, rtt[0], rtt[1])
    assert seeds.decisive == [] and "only the seed differs" in seeds.verdict
    steps = explain(records, rtt[0], "rtt@tiny [steps=1175]")
    assert ("steps", 235, 1175) in steps.decisive and "different rows" in steps.verdict
    measured = [r["run_id"] for r in records if r["kind"] == "transfer"]
    versions = explain(records, measured[0], measured[-1])
    assert ("protocol.version", 1, 2) in versions.decisive and "not compared" in versions.verdict
    assert explain(records, measured[0], measured[-2]).pretraining
    with pytest.raises(RecordError, match="no record or row"):
        explain(records, "nothing", rtt[0])
    with pytest.raises(RecordError, match="fits"):
        explain(records, "pretrain-", rtt[0])


def test_leaderboard_is_a_data_frame(tmp_path: Path) -> None:
    from vssl_bench.api import leaderboard

    for record in sample():
        (tmp_path / f"{record['run_id']}.json").write_text(json.dumps(record))
    frame = leaderboard(tmp_path)
    assert len(frame) == 9 and list(frame.columns[:3]) == ["task", "backbone", "pretrain_data"]
    tasks = frame.query("role == 'task'").set_index("row")
    assert tasks.loc["rtt@tiny", "mean"] == pytest.approx(0.68)
    assert frame.set_index("row").gain_over_placebo.isna()["random-init"]
    with pytest.raises(RecordError, match="does not exist"):
        leaderboard(tmp_path / "nowhere")
