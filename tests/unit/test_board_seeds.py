"""Seeds that failed or are missing: a plan beside the records says how many there should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.bench_records import placebo, pretrain, row, transfer

from vssl_bench.api import load_board
from vssl_bench.board import Board
from vssl_bench.cells import Cell
from vssl_bench.expected import FILE, planned_rows, read_plan, write_plan
from vssl_bench.jobs import Plan, PlannedJob
from vssl_bench.render import to_markdown
from vssl_core.errors import RecordError

RTT = row("rtt@tiny", [0.68, 0.67, 0.69, 0.66, 0.70])
PLACEBO = placebo("rtt@tiny", [0.35, 0.34, 0.36, 0.35, 0.34])
PACE = row("pace@tiny", [0.55, 0.54, 0.56, 0.55, 0.54])


def _job(record: dict[str, Any]) -> PlannedJob:
    task = record["config"].get("task", "")
    return PlannedJob(
        run_id=record["run_id"], kind=record["kind"], identity=record["identity"], config=record["config"],
        needs=(record["pretrain_run_id"],) if record["kind"] == "transfer" else (),
        task=task if isinstance(task, str) else "random-labels", backbone="r2plus1d-tiny", data="toy-motion",
        pretrain_data="toy-motion", protocol="", label="motion", seed=record["seed"], steps=235, batch_size=48,
    )  # fmt: skip


def _write(folder: Path, planned: list[dict[str, Any]], there: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    jobs = tuple(_job(record) for record in planned)
    rows = planned_rows(jobs, {})
    write_plan(Plan("test", "A title", folder, 0.0, jobs, (), frozenset(job.run_id for job in jobs), rows), folder)
    for record in there:
        (folder / f"{record['run_id']}.json").write_text(json.dumps(record))
    return folder


def _cell(board: Board, name: str) -> Cell:
    return next(cell for cell in board.cells if cell.row == name)


def test_missing_seeds_are_counted_from_the_plan_and_take_best_and_star_away(tmp_path: Path) -> None:
    planned = [*RTT, *PLACEBO, *PACE]
    whole = load_board([_write(tmp_path / "whole", planned, planned)])
    assert whole.title == "A title" and not whole.notes
    rtt = _cell(whole, "rtt@tiny")
    assert rtt.best and rtt.p_holm is not None and rtt.p_holm < 0.05 and (rtt.seeds, rtt.seeds_expected) == (5, 5)

    part = load_board([_write(tmp_path / "part", planned, [*RTT[:4], *PLACEBO, *PACE])])
    rtt = _cell(part, "rtt@tiny")
    assert (rtt.seeds, rtt.seeds_expected, rtt.incomplete) == (2, 5, True)
    assert not rtt.best and rtt.p_holm is None and rtt.gain_over_placebo is not None
    assert _cell(part, "pace@tiny").best, "the best of those that are whole"
    text = to_markdown(part)
    assert "2 of 5 seeds" in text and "**67.5**" not in text and "+32.7*" not in text


def test_without_the_plan_nobody_knows(tmp_path: Path) -> None:
    folder = _write(tmp_path, RTT, RTT[:4])
    (folder / FILE).unlink()
    assert _cell(load_board([folder]), "rtt@tiny").seeds_expected == 2


def test_an_incomplete_placebo_gives_no_star_either(tmp_path: Path) -> None:
    board = load_board([_write(tmp_path, [*RTT, *PLACEBO], [*RTT, *PLACEBO[:4]])])
    rtt = _cell(board, "rtt@tiny")
    assert rtt.best and rtt.p is not None and rtt.p_holm is None


def test_a_measurement_that_failed_and_a_run_that_was_never_measured_count(tmp_path: Path) -> None:
    failed = transfer(pretrain("rtt@tiny", 0), 0.5, status="failed")
    cell = _cell(load_board([_write(tmp_path, RTT, [RTT[0], failed, *RTT[2:4], RTT[4]])]), "rtt@tiny")
    assert (cell.seeds, cell.seeds_expected) == (1, 5) and len(cell.failed) == 1


def test_planned_rows_that_nothing_was_measured_of_are_named(tmp_path: Path) -> None:
    board = load_board([_write(tmp_path, [*RTT, *PACE], RTT)])
    assert board.notes == ["planned and not measured: pace@tiny on r2plus1d-tiny on toy-motion"]


def test_the_plan_of_each_suite_under_a_folder_of_runs_is_found(tmp_path: Path) -> None:
    folder = _write(tmp_path / "runs" / "suite", RTT, [])
    for record in RTT[:4]:
        (folder / record["run_id"]).mkdir()
        (folder / record["run_id"] / "record.json").write_text(json.dumps(record))
    assert _cell(load_board([tmp_path / "runs"]), "rtt@tiny").seeds_expected == 5


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"suite": "x"}', '{"suite": "x", "title": "", "refused": [], "rows": [1]}']
)
def test_a_damaged_plan_is_a_note_and_no_crash(tmp_path: Path, text: str) -> None:
    folder = _write(tmp_path, RTT, RTT)
    (folder / FILE).write_text(text)
    with pytest.raises(RecordError):
        read_plan(folder / FILE)
    board = load_board([folder])
    assert len(board.cells) == 1 and len(board.notes) == 1 and FILE in board.notes[0]


def test_chance_is_what_the_records_say_and_the_highest_of_the_seeds() -> None:
    from vssl_bench.board import make_board
    from vssl_bench.render import heading

    run = pretrain("supervised@tiny", 0, accuracy=0.55, chance=0.5, needs_labels=True)
    other = pretrain("supervised@tiny", 1, accuracy=0.55, chance=0.6, needs_labels=True)
    records = [run, transfer(run, 0.7, chance=0.62), other, transfer(other, 0.7, chance=0.62)]
    board = make_board([*records, transfer(run, 0.6, protocol="retrieval@tiny", chance=0.43)])
    cell = board.cells[0]
    assert cell.chance == 0.62 and cell.pretext_chance == 0.6 and cell.at_chance
    assert "chance 43.0 to 62.0" in heading(board.tables[0])
