"""The runner of mutants, on a tree of its own; and every file of mutants that is there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mutants import run
from mutants.run import ROOT, MutationError, copy_tree, main, read_mutants, run_mutants

SOURCE = "def double(x):\n    return 2 * x\n\n\ndef never_tested(x):\n    return x + 1\n"
TEST = "from fakepkg.double import double\n\n\ndef test_double():\n    assert double(3) == 6\n"
TWO = """
  - {name: tripled, file: plugins/fakepkg/double.py, find: "2 * x", replace: "3 * x"}
  - {name: nobody looks, file: plugins/fakepkg/double.py, find: "x + 1", replace: "x + 2"}
"""


def _tree(root: Path, mutants: str, test: str = TEST) -> Path:
    """Make a repository with one module, one test and one file of mutants; the latter two are not tracked yet."""
    files = {
        "plugins/fakepkg/__init__.py": "",
        "plugins/fakepkg/double.py": SOURCE,
        "tests/test_double.py": test,
        "tests/mutants/double.yaml": f"task: double\ntests: [tests/test_double.py]\nmutants:{mutants}",
        ".gitignore": "ignored.txt\n",
        "ignored.txt": "x",
        "gone.txt": "x",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    subprocess.run(["git", "-C", str(root), "add", "plugins", "gone.txt"], check=True)
    (root / "gone.txt").unlink()
    return root


@pytest.fixture(autouse=True)
def _bare_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # nothing of them is needed here, and they take seconds


def _run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--root", str(root), *arguments])


def _one(find: str, replace: str, name: str = "tripled") -> str:
    return f'\n  - {{name: {name}, file: plugins/fakepkg/double.py, find: "{find}", replace: "{replace}"}}\n'


def test_the_copy_is_the_working_tree_without_what_is_ignored(tmp_path: Path) -> None:
    root = _tree(tmp_path / "tree", TWO)
    (root / "plugins" / "fakepkg" / "double.py").write_text("changed")
    copy_tree(root, tmp_path / "copy")
    copied = sorted(str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*") if p.is_file())
    assert copied == [
        ".gitignore", "plugins/fakepkg/__init__.py", "plugins/fakepkg/double.py", "tests/mutants/double.yaml",
        "tests/test_double.py",
    ]  # fmt: skip
    assert (tmp_path / "copy" / "plugins" / "fakepkg" / "double.py").read_text() == "changed"
    with pytest.raises(MutationError, match="git cannot list"):
        copy_tree(tmp_path / "copy", tmp_path / "other")


def test_what_became_of_each_mutant_is_said_and_the_tree_is_left_alone(tmp_path: Path) -> None:
    root = _tree(tmp_path, TWO + _one("2 * x", "2 *", "cannot be imported"))
    result = _run(root, "--jobs", "2")
    assert result.exit_code == 2
    assert "3 mutants: 1 killed, 1 survived, 1 could not be tried" in result.output
    words = {name: line for line in result.stdout.splitlines() for name in ("tripled", "nobody looks") if name in line}
    assert "killed" in words["tripled"] and "tests/test_double.py::test_double" in words["tripled"]
    assert "survived" in words["nobody looks"]
    assert (root / "plugins" / "fakepkg" / "double.py").read_text() == SOURCE


def test_the_exit_status_tells_what_happened() -> None:
    killed, survived, error = (
        run.Outcome("double", "x", status, "", 0.0) for status in ("killed", "survived", "error")
    )
    assert [run.exit_status(found) for found in ([killed], [killed, survived], [survived, error])] == [0, 1, 2]


def test_a_hang_is_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = _tree(tmp_path, TWO)
    monkeypatch.setattr(run, "LIMIT_S", 0.05)
    assert run._pytest(["tests/test_double.py"], root) == (None, "")
    assert run._judged(None, "")[0] == "killed"


def test_tests_must_pass_first(tmp_path: Path) -> None:
    result = _run(_tree(tmp_path, TWO, TEST.replace("6", "7")))
    assert result.exit_code == 2
    assert "do not pass without any mutant" in result.output and "test_double.py::test_double" in result.output


def test_tests_that_import_something_else_prove_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = _tree(tmp_path / "tree", TWO)
    monkeypatch.setattr(run, "SOURCE_ROOTS", (".", "tests"))
    with pytest.raises(MutationError, match=r"package plugins is imported from nowhere"):
        run_mutants(read_mutants(root / "tests" / "mutants", root), root, 1)


@pytest.mark.parametrize(
    ("mutants", "complaint"),
    [
        (_one("3 * x", "4 * x"), "'tripled': its text stands 0 times"),
        (_one("return", "yield"), "'tripled': its text stands 2 times"),
        (_one("2 * x", "2 * x"), "'tripled' changes nothing"),
        (TWO.replace("nobody looks", "tripled"), "two mutants are called 'tripled'"),
        (TWO.replace("double.py", "triple.py"), r"no file plugins/fakepkg/triple\.py"),
        (TWO.replace("find", "search"), r"mutants\[0\]: found .*'search'"),
        (" []", "none of them empty"),
        (" [", "no valid YAML"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, mutants: str, complaint: str) -> None:
    root = _tree(tmp_path, mutants)
    with pytest.raises(MutationError, match=complaint):
        read_mutants(root / "tests" / "mutants", root)


def test_tests_and_tasks_must_exist(tmp_path: Path) -> None:
    root = _tree(tmp_path, TWO)
    with pytest.raises(MutationError, match=r"no mutants of triple in .*\['double'\]"):
        read_mutants(root / "tests" / "mutants", root, ["triple"])
    (root / "tests" / "test_double.py").unlink()
    with pytest.raises(MutationError, match=r"there is no test tests/test_double\.py"):
        read_mutants(root / "tests" / "mutants", root, ["double"])


FILES = sorted(path.stem for path in (ROOT / "tests" / "mutants").glob("*.yaml"))


@pytest.mark.parametrize("task", FILES)
def test_the_mutants_that_are_there_can_be_applied(task: str) -> None:
    """That their texts still stand there; whether they are killed is for ``tests/mutants/run.py`` to say."""
    (file,) = read_mutants(ROOT / "tests" / "mutants", ROOT, [task])
    assert len(file.mutants) >= 3
