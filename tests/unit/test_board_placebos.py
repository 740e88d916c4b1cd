"""Which placebo a task is compared with: its own by what it is, a stand-in by its clips and the suite's word."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from support.bench_fakes import fake_registry
from support.bench_records import placebo, row

from vssl_bench.board import make_board
from vssl_bench.cells import Cell
from vssl_bench.expected import Expected
from vssl_bench.jobs import PlannedRow
from vssl_bench.plan import make_plan
from vssl_bench.rows import row_key
from vssl_bench.suite import parse_suite

_CLIP = {"frames": 8, "stride": 2, "size": 32}


def _task(name: str, version: int = 1, **options: Any) -> dict[str, Any]:
    return {"name": name, "version": version, "options": {"frames": 8, **options}}


def _cell(records: list[dict[str, Any]], name: str, expected: Expected | None = None) -> Cell:
    return next(cell for cell in make_board(records, expected=expected).cells if cell.row == name)


def _key(records: list[dict[str, Any]]) -> str:
    return row_key(records[0]["identity"])


def _planned(task: list[dict[str, Any]], chosen: list[dict[str, Any]]) -> Expected:
    empty: dict[str, tuple[int, ...]] = {}
    key = _key(task)
    return Expected(
        {
            key: PlannedRow(
                key=key, task="", backbone="", pretrain_data="", seeds=(), columns=empty, placebo=_key(chosen)
            )
        }
    )


def test_the_own_placebo_is_the_one_that_resolved_to_the_task_however_it_is_spelled() -> None:
    task = row({"name": "rtt", "speeds": [1, 2]}, [0.6, 0.7], accuracy=0.7, chance=0.2)
    inner = _task("rtt", speeds=[1, 2])
    spelled = placebo({"name": "rtt@other", "speeds": [1, 2]}, [0.4, 0.4], inner=inner)
    cell = _cell([*task, *spelled], "rtt(speeds=[1, 2])")
    assert cell.gain_over_placebo == pytest.approx(0.25)


def test_a_placebo_of_another_version_is_not_the_own_although_it_is_spelled_so() -> None:
    task = row("rtt@tiny", [0.6, 0.7], accuracy=0.7, chance=0.2)
    old = placebo("rtt@tiny", [0.3, 0.3], inner=_task("rtt", version=0))
    assert _cell([*task, *old], "rtt@tiny").placebo is None
    new = placebo("rtt@tiny", [0.4, 0.4], inner=_task("rtt"))
    assert _cell([*task, *old, *new], "rtt@tiny").gain_over_placebo == pytest.approx(0.25)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_the_stand_in_reads_the_clips_that_the_task_reads_in_any_order(order: tuple[int, ...]) -> None:
    task = row({"name": "simclr@tiny", **_CLIP}, [0.5, 0.52])
    shorter = placebo("pace@short", [0.2, 0.2], inner=_task("pace", **{**_CLIP, "frames": 4}))
    alike = placebo("pace@same", [0.3, 0.3], inner=_task("pace", **_CLIP, rates=4))
    groups = [task, shorter, alike]
    cell = _cell([record for i in order for record in groups[i]], "simclr@tiny(frames=8, size=32, stride=2)")
    assert cell.placebo is not None and "pace@same" in cell.placebo


@pytest.mark.parametrize("swap", [False, True])
def test_of_several_alike_the_suites_is_taken_and_without_its_word_none(swap: bool) -> None:
    task = row({"name": "simclr@tiny", **_CLIP}, [0.5, 0.52])
    three = placebo("pace@three", [0.2, 0.2], inner=_task("pace", **_CLIP, rates=3))
    four = placebo("pace@four", [0.3, 0.3], inner=_task("pace", **_CLIP, rates=4))
    records = [*task, *(four + three if swap else three + four)]
    name = "simclr@tiny(frames=8, size=32, stride=2)"
    assert _cell(records, name).placebo is None
    for chosen, mean in ((three, 0.2), (four, 0.3)):
        assert _cell(records, name, _planned(task, chosen)).gain_over_placebo == pytest.approx(0.51 - mean)


def test_the_plan_says_which_placebo_each_row_was_given(tmp_path: Any) -> None:
    suite = {
        "defaults": {"backbone": "r2plus1d-tiny", "steps": 10},
        "data": [{"data": "fake-set", "labels": ["motion"]}],
        "pretrain": [
            "random-init",
            {"task": "rtt@tiny", "placebo": "own", "seeds": 2},
            {"task": "simclr@tiny", "placebo": "pace@tiny"},
        ],
        "transfer": {"protocols": ["knn@tiny"]},
    }
    plan = make_plan(parse_suite(suite, "test"), fake_registry(), tmp_path)
    named = {planned.key: planned.task for planned in plan.rows}
    given = {planned.task: named[planned.placebo] for planned in plan.rows if planned.placebo}
    assert given == {"rtt@tiny": "random-labels of rtt@tiny", "simclr@tiny": "random-labels of pace@tiny"}
    assert [planned.seeds for planned in plan.rows if planned.task == "rtt@tiny"] == [(0, 1)]
