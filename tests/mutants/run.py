"""Mutation testing by hand-picked mutants: is every one of them noticed by a test?

``tests/mutants/TASK.yaml`` names tests, and changes to the source that they must notice::

    task: rotation
    tests: [tests/golden/test_tasks_rotation.py]
    mutants:
      - {name: two classes swapped, file: plugins/vssl_spatial/rotation.py, find: "source text", replace: "other text"}

The source tree (what git tracks, and what is new and not ignored) is copied to a temporary folder. There the tests must
pass as they are; then one mutant at a time is applied and its tests run again. A mutant that no test fails for has
survived, and the exit status is 1; a text that is missing, or there more than once, is an error, as is a mutant that
keeps the tests from being collected, and the exit status is 2.

    python tests/mutants/run.py [--task NAME]... [--jobs N]
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Mutant", "MutantFile", "MutationError", "Outcome", "copy_tree", "main", "read_mutants", "run_mutants"]

ROOT = Path(__file__).resolve().parents[2]
#: where packages lie; each is put on PYTHONPATH of the copy, before whatever is installed
SOURCE_ROOTS = (".", "plugins", "benchmarks", "tests")
#: seconds; a mutant that makes its tests hang is noticed
LIMIT_S = 900.0

_STYLES = {"killed": "green", "survived": "bold red", "error": "bold yellow"}
_PASSED, _FAILED = 0, 1  # of pytest's exit statuses, those that say something about the mutant


class MutationError(Exception):
    """A file of mutants is wrong, or the tests do not pass without any."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: ``find`` stands once in ``file`` (a path in the tree) and is replaced."""

    name: str
    file: str
    find: str
    replace: str


@dataclass(frozen=True, slots=True)
class MutantFile:
    """The mutants of one task and the tests that must notice each of them."""

    task: str
    tests: tuple[str, ...]
    mutants: tuple[Mutant, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant, ``"killed"``, ``"survived"`` or ``"error"``; by which test, or why; seconds it took."""

    task: str
    mutant: str
    status: str
    detail: str
    seconds: float


# ------------------------------------------------------------------------------------------------------------- files


def read_mutants(folder: Path, root: Path, tasks: Sequence[str] = ()) -> list[MutantFile]:
    """Read and check the files of mutants in a folder.

    Args:
        folder: holds ``TASK.yaml``.
        root: the source tree that they are about.
        tasks: only these; empty: all.

    Raises:
        MutationError: a file is malformed, or names tests or sources that do not exist, or a text that does not stand
            exactly once in its source; or a task has no file.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    unknown = sorted(set(tasks) - set(paths))
    if unknown or not paths:
        raise MutationError(f"no mutants of {', '.join(unknown) or 'any task'} in {folder}; there are {sorted(paths)}")
    return [_read(path, root) for task, path in paths.items() if not tasks or task in tasks]


def _read(path: Path, root: Path) -> MutantFile:
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise MutationError(f"{path.name}: no valid YAML: {error}") from error
    plain = _keys(plain, {"task", "tests", "mutants"}, path.name)
    if plain["task"] != path.stem:
        raise MutationError(f"{path.name}: task is {plain['task']!r}; expected {path.stem!r}, as the file is called")
    tests, listed = plain["tests"], plain["mutants"]
    if not isinstance(tests, list) or not tests or not isinstance(listed, list) or not listed:
        raise MutationError(f"{path.name}: expected lists of tests and of mutants, none of them empty")
    for test in tests:
        if not (root / str(test).partition("::")[0]).is_file():
            raise MutationError(f"{path.name}: there is no test {test}")
    names = {field.name for field in fields(Mutant)}
    mutants = [Mutant(**_keys(item, names, f"{path.name}: mutants[{i}]")) for i, item in enumerate(listed)]
    for mutant in mutants:
        if [other.name for other in mutants].count(mutant.name) > 1:
            raise MutationError(f"{path.name}: two mutants are called {mutant.name!r}")
        mutated_source(mutant, root)
    return MutantFile(path.stem, tuple(map(str, tests)), tuple(mutants))


def _keys(plain: Any, expected: set[str], where: str) -> dict[str, Any]:
    if not isinstance(plain, Mapping) or set(plain) != expected:
        found = sorted(map(str, plain)) if isinstance(plain, Mapping) else plain
        raise MutationError(f"{where}: found {found}; expected exactly {sorted(expected)}")
    return {str(key): value for key, value in plain.items()}


def mutated_source(mutant: Mutant, root: Path) -> str:
    """Return the source with the mutant in it.

    Raises:
        MutationError: the source does not exist, its text does not stand there exactly once, or nothing is changed.
    """
    path = root / mutant.file
    if not path.is_file():
        raise MutationError(f"mutant {mutant.name!r}: there is no file {mutant.file}")
    source = path.read_text(encoding="utf-8")
    times = source.count(str(mutant.find))
    if times != 1:
        raise MutationError(f"mutant {mutant.name!r}: its text stands {times} times in {mutant.file}; expected once")
    mutated = source.replace(str(mutant.find), str(mutant.replace))
    if mutated == source:
        raise MutationError(f"mutant {mutant.name!r} changes nothing")
    return mutated


def copy_tree(root: Path, target: Path) -> None:
    """Copy what git tracks, and what is new and not ignored, as it is in the working tree.

    Raises:
        MutationError: ``root`` is no git repository.
    """
    asked = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if asked.returncode:
        raise MutationError(f"git cannot list the files of {root}: {asked.stderr.decode(errors='replace').strip()}")
    for name in filter(None, asked.stdout.decode().split("\0")):
        if (root / name).is_file():  # deleted files are still tracked
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)


# ------------------------------------------------------------------------------------------------------------ running


def run_mutants(
    files: Sequence[MutantFile], root: Path, jobs: int, report: Callable[[Outcome], None] = lambda outcome: None
) -> list[Outcome]:
    """Run every mutant, in copies of the tree, and return what became of them in the order of the files.

    Args:
        files: as ``read_mutants`` returns them.
        root: the tree; it is not touched.
        jobs: copies that run at a time.
        report: told of every outcome as it comes.

    Raises:
        MutationError: the tests fail without any mutant, or would not test the copy.
    """
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        trees: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(jobs):
            tree = Path(scratch).resolve() / str(number)
            copy_tree(root, tree)
            trees.put(tree)
        first = trees.get()
        _check_imports(first, [mutant.file for file in files for mutant in file.mutants])
        _check_baseline(first, sorted({test for file in files for test in file.tests}))
        trees.put(first)

        def attempt(file: MutantFile, mutant: Mutant) -> Outcome:
            tree = trees.get()
            try:
                return _attempt(file, mutant, tree)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(jobs) as pool:
            planned = [(file, mutant) for file in files for mutant in file.mutants]
            futures = [pool.submit(attempt, file, mutant) for file, mutant in planned]
            for future in as_completed(futures):
                report(future.result())
            return [future.result() for future in futures]


def _attempt(file: MutantFile, mutant: Mutant, tree: Path) -> Outcome:
    path = tree / mutant.file
    original = path.read_bytes()
    started = time.perf_counter()
    try:
        path.write_text(mutated_source(mutant, tree), encoding="utf-8")
        status, output = _pytest(file.tests, tree)
    finally:
        path.write_bytes(original)
    seconds = time.perf_counter() - started
    word, detail = _judged(status, output)
    return Outcome(file.task, mutant.name, word, detail, seconds)


def _judged(status: int | None, output: str) -> tuple[str, str]:
    if status is None:
        return "killed", f"tests still ran after {LIMIT_S:.0f} s"
    if status == _PASSED:
        return "survived", "every test passed"
    if status == _FAILED:
        return "killed", _failed_test(output)
    return "error", f"pytest ended with {status}: {_last_words(output)}"


def _pytest(tests: Iterable[str], tree: Path) -> tuple[int | None, str]:
    """Run tests in a copy; returns pytest's exit status (None: it took too long) and what it wrote."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rf", "--tb=line", *tests]
    try:
        done = subprocess.run(
            command, cwd=tree, env=_environment(tree), capture_output=True, text=True, check=False, timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout + done.stderr


def _environment(tree: Path) -> dict[str, str]:
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    return {
        **os.environ,
        **threads,
        "PYTHONPATH": os.pathsep.join(str(tree / place) for place in SOURCE_ROOTS),
        # A cached byte code is taken for current by seconds and size, which a mutant may leave as they are.
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _check_imports(tree: Path, sources: Iterable[str]) -> None:
    """Make sure that what is mutated is what the tests import, and not an installed copy."""
    packages: set[str] = set()
    for source in sources:
        parts = Path(source).parts
        inside = parts[1:] if parts[0] in SOURCE_ROOTS else parts
        packages.add(inside[0].removesuffix(".py"))
    code = (
        "import importlib.util, json, sys\n"
        "found = {name: importlib.util.find_spec(name) for name in json.loads(sys.argv[1])}\n"
        "print(json.dumps({name: spec.origin if spec else '' for name, spec in found.items()}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(sorted(packages))],
        cwd=tree, env=_environment(tree), capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name, origin in json.loads(done.stdout).items():
        if not origin or tree not in Path(origin).resolve().parents:
            raise MutationError(f"package {name} is imported from {origin or 'nowhere'}, not from the copy {tree}")


def _check_baseline(tree: Path, tests: Sequence[str]) -> None:
    status, output = _pytest(tests, tree)
    if status != _PASSED:
        reason = f"{_failed_test(output)}; {_last_words(output)}" if status is not None else "they take too long"
        raise MutationError(f"the tests do not pass without any mutant, so they tell nothing: {reason}")


def _failed_test(output: str) -> str:
    found = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, flags=re.MULTILINE)
    return str(found[0]) if found else "a test failed"


def _last_words(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


# -------------------------------------------------------------------------------------------------------------- words


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """Return a line a mutant: its task, its name, what became of it, by which test, in how many seconds."""
    table = Table("task", "mutant", "", "by", box=None, pad_edge=False, header_style="bold")
    table.add_column("s", justify="right")
    for outcome in outcomes:
        word = Text(outcome.status, style=_STYLES[outcome.status])
        by = Text(outcome.detail, overflow="fold", style="dim" if outcome.status == "killed" else "")
        table.add_row(Text(outcome.task), Text(outcome.mutant), word, by, f"{outcome.seconds:.1f}")
    return table


def exit_status(outcomes: Sequence[Outcome]) -> int:
    """Return 2 where a mutant could not be tried, else 1 where one survived, else 0."""
    found = {outcome.status for outcome in outcomes}
    return 2 if "error" in found else 1 if "survived" in found else 0


@click.command()
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Only the mutants of this task [all].")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Mutants at a time.")
@click.option("--root", type=click.Path(path_type=Path, exists=True), default=ROOT, help="The source tree.")
def main(tasks: tuple[str, ...], jobs: int, root: Path) -> None:
    """Change the source in ways that a test must notice, one at a time, and say which changes nobody noticed."""
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    remarks = Console(stderr=True, highlight=False)
    try:
        files = read_mutants(root / "tests" / "mutants", root, tasks)
        total = sum(len(file.mutants) for file in files)
        remarks.print(f"{total} mutants of {len(files)} tasks; first the tests without any ...", markup=False)
        outcomes = run_mutants(
            files,
            root,
            jobs,
            lambda outcome: remarks.print(f"{outcome.status:<8} {outcome.task}: {outcome.mutant}", markup=False),
        )
    except MutationError as error:
        remarks.print(f"error: {error}", style="red", markup=False)
        raise SystemExit(2) from error
    console.print(outcome_table(outcomes))
    counts = [sum(outcome.status == status for outcome in outcomes) for status in _STYLES]
    console.print(f"{total} mutants: {counts[0]} killed, {counts[1]} survived, {counts[2]} could not be tried")
    raise SystemExit(exit_status(outcomes))


if __name__ == "__main__":
    main()
