"""Named cells: how suites name them, plans keep them and boards judge them; and how a search's settings are chosen."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.bench_fakes import fake_registry
from support.bench_records import pretrain, transfer
from support.first_party import first_party_registry

from vssl_bench.board import Board, make_board
from vssl_bench.choose import choose
from vssl_bench.expected import Expected, read_plan, write_plan
from vssl_bench.html_page import to_html
from vssl_bench.jobs import Plan, PlannedWin
from vssl_bench.plan import make_plan
from vssl_bench.render import to_json, to_markdown, win_texts
from vssl_bench.rows import column_key, row_key
from vssl_bench.suite import WinEntry, load_suite, parse_suite
from vssl_bench.terminal import print_board
from vssl_bench.words import gain, win_verdict
from vssl_core.errors import ConfigError

SUITE: dict[str, Any] = {
    "name": "small",
    "defaults": {"steps": 10, "optim": {"weight_decay": 0.1}},
    "data": [{"data": "fake-set"}],
    "pretrain": [{"task": "rtt@tiny", "placebo": "own"}, "pace@tiny", "random-init"],
    "transfer": {"protocols": ["knn@tiny"]},
    "wins": [{"task": "rtt", "data": "fake-set", "label": "motion", "protocol": "knn@tiny", "reason": "it moves"}],
}


def _plan(tmp_path: Path, **changes: Any) -> Plan:
    return make_plan(parse_suite({**copy.deepcopy(SUITE), **changes}, "small"), fake_registry(), tmp_path)


def _win(**changes: str) -> list[dict[str, str]]:
    return [{**SUITE["wins"][0], **changes}]


def test_a_plan_knows_the_named_cells_by_their_keys_and_keeps_them(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    (win,) = plan.wins
    job = next(j for j in plan.jobs if j.task == "rtt@tiny" and j.label == "motion" and j.protocol == "knn@tiny")
    run = next(j for j in plan.jobs if j.run_id == job.needs[0])
    assert (win.row, win.column, win.reason) == (row_key(run.identity), column_key(job.identity), "it moves")
    write_plan(plan, tmp_path)
    assert Expected.of([read_plan(tmp_path / "plan.json")]).wins == plan.wins
    plain = json.loads((tmp_path / "plan.json").read_text())
    del plain["wins"]
    (tmp_path / "plan.json").write_text(json.dumps(plain))
    assert read_plan(tmp_path / "plan.json").wins == ()


@pytest.mark.parametrize(
    ("wins", "complaint"),
    [
        (_win(label="colour"), "nothing measures it; its cells: fake-set, appearance, knn@tiny; fake-set, motion"),
        (_win(task="rttt"), "it is no task of the suite; did you mean 'rtt"),
        (_win(reason=""), "lacks reason"),
        (_win(why="x"), "why.*no such option"),
        (_win() * 2, "rtt has a cell already"),
        (["rtt"], "lacks data, label, protocol, reason"),
    ],
)
def test_cells_that_nothing_measures_are_refused(tmp_path: Path, wins: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        _plan(tmp_path, wins=wins)


def test_a_name_that_means_several_rows_is_refused(tmp_path: Path) -> None:
    twice = [{"task": "rtt@tiny"}, {"task": "rtt@tiny", "batch_size": 7}]
    with pytest.raises(ConfigError, match="2 rows measure it"):
        _plan(tmp_path, pretrain=twice)


def test_a_star_stands_for_the_one_set_of_one_s_own(tmp_path: Path) -> None:
    data = [{"data": "fake-set", "labels": ["motion"]}]
    assert len(_plan(tmp_path, wins=_win(data="*", label="*"), data=data).wins) == 1


def test_a_sweep_tries_every_setting_without_placebos(tmp_path: Path) -> None:
    plan = _plan(tmp_path, sweep={"optim": {"lr": [0.1, 0.2]}, "batch_size": [4, 8]})
    runs = [job for job in plan.jobs if job.kind == "pretrain"]
    assert not [job for job in runs if job.task.startswith("random-labels")]
    settings = [(j.config["optim"]["lr"], j.batch_size) for j in runs if j.task == "rtt@tiny"]
    assert settings == [(0.1, 4), (0.1, 8), (0.2, 4), (0.2, 8)]
    assert {job.config["optim"]["weight_decay"] for job in runs} == {0.1}
    assert len([job for job in runs if job.task == "random-init"]) == 1
    assert len(plan.wins) == 4
    with pytest.raises(ConfigError, match=r"sweep\.optim\.lr=0\.1; expected the list"):
        _plan(tmp_path, sweep={"optim": {"lr": 0.1}})


# ------------------------------------------------------------------------------------------------------ boards


def _records(rtt: list[float], placebo: list[float]) -> list[dict[str, Any]]:
    records = []
    inner = pretrain("rtt@tiny")["identity"]["task"]
    for values, task, extra in ((rtt, "rtt@tiny", {}), (placebo, "random-labels", {"inner": inner})):
        for seed, value in enumerate(values):
            config: Any = task if task != "random-labels" else {"name": task, "of": "rtt@tiny"}
            run = pretrain(config, seed, **extra)
            records += [run, transfer(run, value)]
    return records


def _named(records: list[dict[str, Any]]) -> PlannedWin:
    """The cell of the first run and its measurement."""
    run, measured = records[0], records[1]
    return PlannedWin(
        task="rtt", data="toy-motion", label="motion", protocol="linear-probe@tiny", reason="it <moves>",
        row=row_key(run["identity"]), column=column_key(measured["identity"]),
    )  # fmt: skip


def _board(records: list[dict[str, Any]], seeds: int = 3) -> Board:
    return make_board(records, expected=Expected({}, (_named(records),)))


def test_the_verdict_stands_alone() -> None:
    """A star is of the correction over the column; beside a verdict over the named cells it could contradict it."""
    (win,) = _board(_records([0.68, 0.67, 0.69], [0.35, 0.34, 0.36])).wins
    assert win.cell is not None
    assert "*" in gain(win.cell) and "*" not in win_texts(win)[3]


def test_a_clear_gain_wins_and_a_loss_does_not() -> None:
    (win,) = _board(_records([0.80, 0.81, 0.82], [0.30, 0.31, 0.32])).wins
    assert win.won is True and win.p_holm is not None and win.p_holm < 0.05
    (win,) = _board(_records([0.30, 0.31, 0.32], [0.80, 0.81, 0.82])).wins
    assert win.won is False
    (win,) = _board(_records([0.30, 0.40, 0.32], [0.31, 0.30, 0.41])).wins
    assert win.won is False and win.p_holm is not None and win.p_holm > 0.05


def test_one_seed_or_no_placebo_leaves_it_open() -> None:
    (win,) = _board(_records([0.8], [0.3])).wins
    assert win.won is None and win.p_holm is None and win.cell is not None
    (win,) = _board(_records([0.8, 0.8, 0.9], [])).wins
    assert win.won is None
    board = _board(_records([0.8], [0.3]))
    missing = dataclasses.replace(Expected({}, ()), wins=(PlannedWin(
        task="gone", data="d", label="l", protocol="p", reason="r", row="x", column="y"),))  # fmt: skip
    (win,) = make_board(_records([0.8], [0.3]), expected=missing).wins
    assert win.won is None and win.cell is None
    assert "0 of 1 tasks win" in to_markdown(board) and "1 of which are ahead" in to_markdown(board)


def test_p_is_adjusted_over_the_named_cells_alone() -> None:
    records = _records([0.50, 0.53, 0.56], [0.42, 0.45, 0.48])
    (alone,) = _board(records).wins
    one = _named(records)
    both = make_board(records, expected=Expected({}, (one, dataclasses.replace(one, task="other")))).wins
    assert alone.p_holm is not None
    assert [win.p_holm for win in both] == pytest.approx([min(1.0, 2 * alone.p_holm)] * 2)


def test_a_named_cell_that_is_not_measured_makes_the_others_no_easier_to_win() -> None:
    records = _records([0.50, 0.53, 0.56], [0.42, 0.45, 0.48])
    (alone,) = _board(records).wins
    one = _named(records)
    gone = [dataclasses.replace(one, task=f"gone {k}", row="x") for k in range(3)]
    found = make_board(records, expected=Expected({}, (one, *gone))).wins
    assert alone.p_holm is not None
    assert found[0].p_holm == pytest.approx(min(1.0, 4 * alone.p_holm))
    assert [win.p_holm for win in found[1:]] == [None] * 3


def test_a_win_without_the_pretext_learnt_says_so() -> None:
    records = _records([0.80, 0.81, 0.82], [0.30, 0.31, 0.32])
    assert "at chance" not in win_verdict(_board(records).wins[0])
    for record in records:
        if record["kind"] == "pretrain":
            record |= {"heldout": {"accuracy": {"value": 0.2, "n": 200}}, "chance": 0.2}
    assert win_verdict(_board(records).wins[0]).endswith("; pretext at chance")


def test_every_format_shows_the_count_and_the_verdicts() -> None:
    board = _board(_records([0.80, 0.81, 0.82], [0.30, 0.31, 0.32]))
    console = Console(width=200, record=True, file=io.StringIO())
    print_board(console, board)
    texts = {"terminal": console.export_text(), "markdown": to_markdown(board), "html": to_html(board)}
    for text in texts.values():
        assert "1 of 1 tasks win the cell" in text and "wins, p " in text
    assert "it <moves>" in texts["terminal"]
    assert "it &lt;moves&gt;" in texts["markdown"] and "it &lt;moves&gt;" in texts["html"]
    assert json.loads(to_json(board))["wins"][0]["won"] is True
    without = make_board(_records([0.8], [0.3]))
    assert "Named cells" not in to_markdown(without) and 'id="wins"' not in to_html(without)
    # The first lines of the page say it too.
    assert "tasks win the cell" in texts["html"].partition('"about":')[2].partition('"tables":')[0]
    assert "tasks win the cell" not in to_html(without)


# --------------------------------------------------------------------------------------------- choosing, and the suites


def test_the_better_rate_on_validation_videos_is_chosen() -> None:
    records = []
    for rate, value in ((0.001, 0.4), (0.003, 0.6)):
        run = pretrain("rtt@tiny")
        run["identity"] = {**run["identity"], "optim": {"name": "adamw", "lr": rate}}
        run["run_id"] += str(rate)
        measured = transfer(run, 1 - value)
        measured["run_id"] += str(rate)
        measured["metrics"][1]["value"] = value  # val_top1; on the test split the other rate is better
        records += [run, measured]
    win = WinEntry(task="rtt", data="toy-motion", label="motion", protocol="knn", reason="x")
    (found,) = choose(records, [win])
    assert (found.best, found.tried) == (0.003, {0.001: 0.4, 0.003: 0.6})
    (nothing,) = choose(records, [dataclasses.replace(win, task="pace")])
    assert nothing.best is None


def test_every_task_of_the_catalogue_has_one_cell() -> None:
    registry = first_party_registry()
    floors = {"random-init", "pixel-baseline", "motion-energy", "supervised", "multi"}
    for name in ("catalogue-toy", "catalogue-yoga"):
        suite = load_suite(name, (), registry)
        tasks = {str(entry.config["task"]).partition("@")[0] for entry in suite.pretrain} - floors
        assert {win.task for win in suite.wins} == tasks and len(tasks) == 22
    search = load_suite("catalogue-search", (), registry)
    assert search.sweeps and not search.wins
    assert [str(protocol) for protocol in search.protocols] == ["validation-probe@tiny"], "a search reads no test video"
    searched = {seed for entry in search.pretrain for seed in entry.seeds}
    for name in ("catalogue-toy", "catalogue-yoga"):
        for entry in load_suite(name, (), registry).pretrain:
            if str(entry.config["task"]).partition("@")[0] not in floors:
                assert not searched & set(entry.seeds), "what was chosen on one seed is tested on others"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["catalogue-toy", "catalogue-yoga"])
def test_every_placebo_of_the_catalogue_can_be_built(name: str) -> None:
    registry = first_party_registry()
    for entry in load_suite(name, (), registry).pretrain:
        task, backbone = entry.config["task"], entry.config["backbone"]
        spec = registry.resolve("tasks", task).spec
        if spec.trains and not spec.needs_labels:
            of = task if entry.placebo == "own" else entry.placebo
            network = registry.build("backbones", backbone)
            placebo = registry.build("tasks", {"name": "random-labels", "of": of}, network)
            assert network in list(placebo.modules()), "it trains the task's own network"
