"""A test that is skipped without agreement fails the session; an agreed one does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

UNLISTED = {
    "in the test": "import pytest\n\ndef test_a():\n    pytest.skip('felt like it')\n\ndef test_b():\n    pass\n",
    "by a mark": "import pytest\n\n@pytest.mark.skip(reason='later')\ndef test_a():\n    pass\n",
    "a whole module": "import pytest\n\npytest.importorskip('no_such_module')\n\ndef test_a():\n    pass\n",
}


def session(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(CONFTEST, folder / "conftest.py")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    realdata: footage\n")
    (folder / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-ra", str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("where", UNLISTED)
def test_an_unlisted_skip_fails(tmp_path: Path, where: str) -> None:
    done = session(tmp_path, UNLISTED[where])
    assert done.returncode == 1, done.stdout
    assert "skips that are not allowed" in done.stdout
    assert "test_it.py" in done.stdout


def test_a_listed_skip_passes_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VSSL_REALDATA", raising=False)
    test = "import pytest\n\n@pytest.mark.realdata\ndef test_a():\n    assert 0\n\ndef test_b():\n    pass\n"
    done = session(tmp_path, test)
    assert done.returncode == 0, done.stdout
    assert "VSSL_REALDATA is not set" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout
