"""The board in every format; names are a stranger's and must never become markup."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console
from support.bench_records import placebo, pretrain, row, sample, transfer

from vssl_bench.audits import audit_tables
from vssl_bench.board import make_board
from vssl_bench.cli_board import leaderboard
from vssl_bench.html_page import to_html
from vssl_bench.render import NAMED, heading, to_csv, to_json, to_markdown
from vssl_bench.terminal import print_board

EVIL = "<script>alert('{{data}}')</script>|[bold]&"


def _text(records: list[dict[str, Any]], width: int = 220) -> str:
    out = io.StringIO()
    print_board(Console(file=out, width=width, color_system=None), make_board(records))
    return out.getvalue()


def test_terminal_says_what_matters() -> None:
    failing = [
        *row("clip-order@tiny", [0.3, 0.3], accuracy=0.15, chance=1 / 6),
        pretrain("clip-order@tiny", 2, status="failed"),
    ]
    text = _text([*sample(), *failing])
    assert "toy-motion · motion (1000 test videos, chance 12.5)" in text
    line = next(line for line in text.splitlines() if line.strip().startswith("rtt@tiny"))
    assert "74.0 / 20.0" in line and "68.0 [" in line and "235" in line and "11.3 k" in line
    assert "+33.0* vs placebo best" in text and "uses labels" in text
    assert "15.0 / 16.7" in text and "at chance" in text and "2 of 3 seeds" in text
    assert text.index("random-init") < text.index("random-labels of rtt@tiny") < text.index("rtt@tiny   ")


def test_a_narrow_terminal_gets_more_tables_not_narrower_ones() -> None:
    records = [*sample(), *row("rtt@tiny", [0.5, 0.52], protocol="knn@tiny")]
    wide, narrow = _text(records, 200), _text(records, 90)
    assert wide.count("toy-motion · motion") == 1 and narrow.count("toy-motion · motion") == 2
    assert "68.0 [" in narrow and "51.0 [" in narrow and max(map(len, narrow.splitlines())) <= 90


def test_one_seed_is_marked_and_an_empty_board_says_so() -> None:
    assert "]~" in _text(row("rtt@tiny", [0.6]))
    assert "nothing to show yet" in _text([pretrain("rtt@tiny")])


def test_names_do_not_become_markup_in_the_terminal() -> None:
    assert "[bold]&" in _text(row({"name": "rtt", "title": EVIL}, [0.6]))


def test_markdown_is_a_table_and_escapes() -> None:
    text = to_markdown(make_board([*sample(), *row({"name": "rtt", "title": EVIL}, [0.1])]))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", line)) for line in rows} == {len(re.split(r"(?<!\\)\|", rows[0]))}
    assert "<script>" not in text and "&lt;script&gt;" in text
    assert "**68.0** [" in text and "vs placebo +33.0*" in text and "supervised@tiny (uses labels)" in text


def test_csv_and_json_hold_every_cell() -> None:
    board = make_board([*sample(), *row({"name": "rtt", "title": EVIL}, [0.1])])
    lines = list(csv.DictReader(io.StringIO(to_csv(board))))
    assert len(lines) == len(board.cells) and list(lines[0])[: len(NAMED)] == list(NAMED)
    cells = json.loads(to_json(board))["cells"]
    assert list(cells[0])[: len(NAMED)] == list(NAMED) and len(cells) == len(board.cells)
    for line, cell in zip(lines, cells, strict=True):
        assert line["task"] == cell["task"]
        assert (line["gain_over_placebo"] == "") == (cell["gain_over_placebo"] is None)
        assert float(line["mean"]) == cell["mean"]


class _Page(HTMLParser):
    """Collects what a browser would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.outside: list[str] = []
        self.handlers: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        if tag == "script":
            self.scripts.append("")
        for name, value in attrs:
            if name in ("src", "href", "action", "data"):
                self.outside.append(f"{tag} {value}")
            if name.startswith("on"):
                self.handlers.append(f"{tag} {name}")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def test_the_page_stands_alone_and_holds_names_as_text_only() -> None:
    records = [*sample(), *row({"name": "rtt", "title": EVIL}, [0.1])]
    run = pretrain("pace@tiny", 7, status="failed")
    run["error"]["message"] = "</script><img src=x onerror=alert(1)>"
    board = make_board([*records, run], title=f"board {EVIL}", notes=["</script><script>alert(2)</script>"])
    text = to_html(board)
    page = _Page()
    page.feed(text)
    assert page.outside == [] and page.handlers == []
    assert len(page.scripts) == 2, "the data and the page's own script, and nothing that a name brought"
    data = json.loads(page.scripts[0])
    names = {cell["row"] for table in data["tables"] for line in table["rows"] for cell in line.values()}
    assert f"rtt(title={EVIL})" in names, "the name arrives whole"
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
    assert "url(" not in text and "@import" not in text


def _versions(*sets: tuple[str, Any]) -> list[str]:
    """Headings of a board of sets of one name: their fingerprints, and what configurations say of them."""
    records = []
    for task, (fingerprint, data) in zip(("rtt@tiny", "pace@tiny", "simclr@tiny"), sets, strict=False):
        run = row(task, [0.5], fingerprint=fingerprint)
        for record in run:
            if record["kind"] == "transfer":
                record["config"]["data"] = data
        records += run
    board = make_board(records)
    page = _Page()
    page.feed(to_html(board))
    shown = json.loads(page.scripts[0])["tables"]
    assert [heading(table) for table in board.tables] == [f"{one['name']} ({one['about']})" for one in shown]
    assert {one["about"] for one in shown} == {"1000 test videos, chance 12.5"}
    assert [f"{one['called']} · {one['label']}" for one in shown] == [one["name"] for one in shown]
    return [one["called"] for one in shown]


def test_versions_of_a_set_are_told_apart_in_headings() -> None:
    """By the numbers that were said of them, never by a path, in whatever it stands; else by their content."""
    toy = {"name": "toy-motion"}
    assert _versions(("a", {**toy, "n_train": 60}), ("b", "toy-motion")) == ["toy-motion(n_train=60)", "toy-motion"]
    assert _versions(("a", {**toy, "n_train": 60})) == ["toy-motion(n_train=60)"]
    by_content = ["toy-motion [fingerprint=00000000]", "toy-motion [fingerprint=11111111]"]
    assert _versions(("0" * 64, "toy-motion"), ("1" * 64, "toy-motion")) == by_content
    for a, b in (("/home/me/a", "secret"), (["/home/me/a"], {"a": "C:videos"})):
        assert _versions(("0" * 64, {**toy, "root": a}), ("1" * 64, {**toy, "root": b})) == by_content
    named = ["toy-motion [fingerprint=toy-motion v1]", "toy-motion [fingerprint=toy-motion v2]"]
    assert _versions(("toy-motion v1", toy), ("toy-motion v2", toy)) == named
    # One set that was said in two ways is called after what both say, whichever is met first.
    spelled = [("a", toy), ("a", {**toy, "n_train": 600}), ("b", {**toy, "n_train": 60})]
    assert _versions(*spelled) == _versions(*reversed(spelled)) == ["toy-motion", "toy-motion(n_train=60)"]


def test_two_audits_of_one_set_under_two_labels_are_two_tables_of_different_names() -> None:
    records = [*_audited("supervised@tiny", {"frozen": 0.25})]
    other = [{**record, "run_id": record["run_id"] + "x"} for record in _audited("pace@tiny", {"frozen": 0.5})]
    for record in other:
        if record["kind"] == "transfer":
            record["identity"] = {**record["identity"], "label": "appearance"}
            record["pretrain_run_id"] += "x"
    titles = [audit.title for audit in audit_tables(make_board([*records, *other]))]
    assert titles == [
        f"shortcut-audit on toy-motion · {label}: what is left of it, per cent right"
        for label in ("appearance", "motion")
    ]


def test_the_page_without_script_still_shows_the_numbers() -> None:
    static = to_html(make_board(sample())).partition("<noscript>")[2].partition("</noscript>")[0]
    assert (
        "rtt@tiny" in static and "68.0 [" in static and "+33.0*" in static and "supervised@tiny (uses labels)" in static
    )


def _audited(task: Any, left: dict[str, float]) -> list[dict[str, Any]]:
    records = row(task, [0.7, 0.6], "shortcut-audit", metric="heldout_accuracy", n=120)
    for measured in (record for record in records if record["kind"] == "transfer"):
        measured["metrics"] += [
            {"name": f"heldout_accuracy_{name}", "value": value, "n": 120, "primary": False, "unit": "fraction"}
            for name, value in left.items()
        ]
    return records


def test_an_audit_shows_what_is_left_in_every_format() -> None:
    """Shuffled frames are not asked of a task whose answer is their order: an empty cell, not a missing column."""
    board = make_board(
        [
            *_audited("pace@tiny", {"frozen": 0.25, "shuffled": 0.5}),
            *_audited({"name": "opn", "title": EVIL}, {"frozen": 0.125}),
        ]
    )
    (audit,) = audit_tables(board)
    assert audit.heads == ["", "as clips are", "frozen", "shuffled", "chance"]
    assert {row[0][:4]: row[1:] for row in audit.rows} == {
        "pace": ["65.0", "25.0", "50.0", "12.5"],
        "opn(": ["65.0", "12.5", "", "12.5"],
    }
    assert "| pace@tiny | 65.0 | 25.0 | 50.0 | 12.5 |" in to_markdown(board)
    page = to_html(board).partition("</noscript>")[2]
    assert "<td>pace@tiny</td><td>65.0</td><td>25.0</td><td>50.0</td><td>12.5</td>" in page
    assert EVIL not in to_markdown(board) and EVIL not in page
    out = io.StringIO()
    print_board(Console(file=out, width=160, color_system=None), board)
    assert "what is left of it" in out.getvalue() and "[bold]&" in out.getvalue()


def test_a_board_without_an_audit_has_no_such_table() -> None:
    assert audit_tables(make_board(sample())) == [] and "what is left" not in _text(sample())


def test_an_empty_board_is_a_page_too() -> None:
    assert "no measurement is done yet" in to_html(make_board([]))


@pytest.fixture
def records_folder(tmp_path: Path) -> Path:
    for record in [
        *sample(),
        *row("rtt@tiny", [0.5], protocol="knn@tiny"),
        *placebo("rtt@tiny", [0.3], protocol="knn@tiny"),
    ]:
        (tmp_path / f"{record['run_id']}.json").write_text(json.dumps(record))
    return tmp_path


@pytest.mark.parametrize(
    ("flag", "start"), [("--md", "# vssl leaderboard"), ("--csv", "task,backbone"), ("--json", "{")]
)
def test_command_writes_each_form(records_folder: Path, flag: str, start: str) -> None:
    result = CliRunner().invoke(leaderboard, [str(records_folder), flag, "--protocol", "knn"])
    assert result.exit_code == 0 and result.output.startswith(start) and "linear-probe" not in result.output


def test_command_shows_the_board_writes_a_page_and_answers_why(
    records_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CliRunner()
    shown = runner.invoke(leaderboard, [str(records_folder)])
    assert shown.exit_code == 0 and "rtt@tiny" in shown.output and "knn@tiny" in shown.output
    page = records_folder / "out" / "board.html"
    page.parent.mkdir()
    assert runner.invoke(leaderboard, [str(records_folder), "--html", str(page), "--title", "Mine"]).exit_code == 0
    assert "<h1>Mine</h1>" in page.read_text()
    answer = runner.invoke(leaderboard, ["why", "rtt@tiny", "pace@tiny", str(records_folder)])
    assert answer.exit_code == 0 and "different rows" in answer.output and "task.name" in answer.output
    monkeypatch.chdir(records_folder.parent)
    (records_folder.parent / "runs").mkdir()
    records_folder.rename(records_folder.parent / "runs" / "mine")
    assert "rtt@tiny" in runner.invoke(leaderboard, ["mine"]).output


def test_failed_measurements_stay_empty_everywhere() -> None:
    run = pretrain("rtt@tiny")
    board = make_board([run, transfer(run, 0.5, status="failed")])
    assert json.loads(to_json(board))["cells"][0]["mean"] is None
    assert "failed" in to_markdown(board) and "failed" in to_html(board)
