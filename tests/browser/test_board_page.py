"""The HTML board in a real browser: it draws, sorts, filters, and runs nothing that a name brought."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.bench_records import row, sample

from vssl_bench.board import make_board
from vssl_bench.html_page import to_html

_CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--virtual-time-budget=3000",
)  # fmt: skip
EVIL = "<img src=x onerror=\"document.title='owned'\"><b>"

pytestmark = pytest.mark.browser  # tests/conftest.py leaves these out where no browser is installed


def _dom(folder: Path, script: str = "", width: int = 1280, fragment: str = "") -> str:
    """Load the page of a board, run a script in it, and return the document as it then is."""
    records = [
        *sample(),
        *row("rtt@tiny", [0.5, 0.52], protocol="knn@tiny"),
        *row("pace@tiny", [0.4, 0.42], data="toy-physics", label="law"),
        *row({"name": "evil", "title": EVIL}, [0.31, 0.30], accuracy=0.1, chance=0.1),
    ]
    text = to_html(make_board(records, title=f"board {EVIL}", notes=[f"note {EVIL}"]))
    assert "</body>" in text
    page = folder / "board.html"
    page.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
    command = [str(_CHROMIUM), *_FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900"]
    done = subprocess.run(
        [*command, "--dump-dom", f"file://{page}{fragment}"], capture_output=True, text=True, timeout=90, check=True
    )
    return done.stdout


def _rows(dom: str) -> list[str]:
    """Names of the table's rows, in order."""
    body = dom.partition('id="board"')[2].partition("</table>")[0]
    found = re.findall(r'<td class="name"><button[^>]*>(.*?)</button>', body)
    return [re.sub(r"<wbr>|<[^>]+>", "", name) for name in found]


def test_it_draws_table_plot_and_verdict(tmp_path: Path) -> None:
    dom = _dom(tmp_path)
    assert _rows(dom)[:3] == ["random-init", "motion-energy", "pixel-baseline@frames"]
    assert _rows(dom)[-1] == "supervised@tiny"
    assert "<svg viewBox" in dom and dom.count('class="point"') == 7 and dom.count('class="floor-line"') == 3
    verdict = re.sub(r"<[^>]+>", "", dom.partition('id="verdict"')[2].partition("</section>")[0])
    assert "rtt@tiny 68.0" in verdict and "not told apart from pace@tiny" in verdict
    assert "Highest floor: motion-energy 45.0; supervised: supervised@tiny 89.0." in verdict
    assert "At chance in their own task: evil" in verdict
    assert dom.count('role="tab"') == 2


def test_names_stay_text(tmp_path: Path) -> None:
    script = "document.body.dataset.images = document.images.length"
    dom = _dom(tmp_path, script)
    assert 'data-images="0"' in dom and "<title>owned" not in dom and "&lt;img src=x" in dom


def test_a_heading_sorts_and_sorts_back(tmp_path: Path) -> None:
    click = "[...document.querySelectorAll('thead button')].find((b) => b.textContent === 'linear-probe@tiny').click();"
    once = _rows(_dom(tmp_path, click))
    assert once[:3] == ["supervised@tiny", "rtt@tiny", "pace@tiny"] and once[-1] == "pixel-baseline@frames"
    assert _rows(_dom(tmp_path, click + click))[0] == "pixel-baseline@frames"
    assert _rows(_dom(tmp_path, click + "document.getElementById('reset').click();"))[0] == "random-init"


def test_filters_tabs_and_details(tmp_path: Path) -> None:
    press = "[...document.querySelectorAll('.chips button')].find((b) => b.textContent === '{}').click();"
    dom = _dom(tmp_path, press.format("floor") + press.format("placebo") + press.format("knn@tiny"))
    assert _rows(dom)[0] == "rtt@tiny" and ">knn@tiny</button></th>" not in dom
    typed = "const s = document.getElementById('search'); s.value = 'rtt labels'; s.oninput({target: s});"
    assert _rows(_dom(tmp_path, typed)) == ["random-labels of rtt@tiny"]
    assert _rows(_dom(tmp_path, "document.querySelectorAll('#tabs button')[1].click();")) == ["pace@tiny"]
    assert _rows(_dom(tmp_path, fragment="#toy-physics%2Flaw")) == ["pace@tiny"]
    opened = _dom(tmp_path, "document.querySelectorAll('td.name button')[0].click();")
    assert "top1 by seed: 0: 22.0, 1: 23.0, 2: 22.5" in opened


def test_cost_can_be_chosen_and_theme_switched(tmp_path: Path) -> None:
    script = "const c = document.getElementById('plot-cost'); c.value = 'seconds'; c.onchange();"
    dom = _dom(tmp_path, script + "document.getElementById('theme').click();")
    assert "wall clock (pretraining, log)" in dom and 'data-theme="dark"' in dom


def test_on_a_phone_nothing_is_wider_than_the_screen(tmp_path: Path) -> None:
    script = "document.body.dataset.wide = document.documentElement.scrollWidth > innerWidth"
    assert 'data-wide="false"' in _dom(tmp_path, script, width=500)
