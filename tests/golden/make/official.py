"""What the scripts of this directory share: whose code is run, a function cut out of it, a comparison with the tests.

Each script beside this one runs official code on the small tensors of a golden test, prints what comes out, and
compares it with what the test has stored. Official code is not kept in this repository: it is read from a checkout.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

GOLDEN = Path(__file__).resolve().parents[1]

sys.dont_write_bytecode = True  # leave the checkouts as they are
_compared = 0
_failures: list[str] = []


def checkout(argv_path: str, commit: str) -> Path:
    """The checkout at a path, or the end of the script where it is not the commit, unchanged."""
    path = Path(argv_path).resolve()
    head = _git(path, "rev-parse", "HEAD")
    if head != commit:
        sys.exit(f"{path} is at {head}; the stored numbers were made at {commit}")
    changed = _git(path, "status", "--porcelain", "--untracked-files=no")
    if changed:
        sys.exit(f"{path} is at {commit}, but has changes:\n{changed}")
    return path


def _git(path: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(path), *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{path} is no checkout: {done.stderr.strip()}")
    return done.stdout.strip()


def cut(path: Path, *names: str, **given: Any) -> dict[str, Any]:
    """Compile top-level functions, classes and assignments of a file without running the rest of it.

    Args:
        path: The source file.
        names: What to cut out of it.
        given: What the file's own imports would have given.

    Returns:
        The globals of the compiled code: ``given`` and the names.
    """
    source = path.read_text(encoding="utf-8", errors="replace")
    try:
        places = _places(source)
    except SyntaxError:
        places = _places_by_indent(source)
    missing = [name for name in names if name not in places]
    if missing:
        sys.exit(f"{path} has no {', '.join(missing)}")
    found: dict[str, Any] = {"__name__": path.stem, **given}
    lines = source.split("\n")
    for name in names:
        first, last = places[name]
        # Empty lines before it keep the line numbers of the file in tracebacks.
        code = "\n" * (first - 1) + "\n".join(lines[first - 1 : last]) + "\n"
        exec(compile(code, str(path), "exec", dont_inherit=True), found)
    return found


def _places(source: str) -> dict[str, tuple[int, int]]:
    """First and last line of everything that a source defines at its top level, counted from 1."""
    places = {}
    for node in ast.parse(source).body:
        last = node.end_lineno or node.lineno
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            places[node.name] = (first, last)
        elif isinstance(node, ast.Assign):
            places.update({t.id: (node.lineno, last) for t in node.targets if isinstance(t, ast.Name)})
    return places


def _places_by_indent(source: str) -> dict[str, tuple[int, int]]:
    """The same for a source that is not Python 3 as a whole: a definition ends at the next line without indent."""
    lines = source.split("\n")
    starts = [k for k, line in enumerate(lines) if line.strip() and line[0] not in " \t#)]}"]
    places = {}
    for start, after in zip(starts, [*starts[1:], len(lines)], strict=True):
        match = re.match(r"(?:(?:def|class)\s+(\w+)|(\w+)\s*=[^=])", lines[start])
        if match:
            places[match[1] or match[2]] = (start + 1, after)
    return places


def golden_test(name: str) -> ModuleType:
    """The module of a golden test, which holds the stored numbers and the inputs: ``test_tasks_rtt``."""
    tests = str(GOLDEN.parent)
    if tests not in sys.path:
        sys.path.insert(0, tests)
    spec = importlib.util.spec_from_file_location(name, GOLDEN / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def compare(name: str, found: Any, stored: Any, atol: float = 0.0, rtol: float = 0.0) -> None:
    """Print what the official code gave and how far the stored numbers are from it; what is no number must be equal."""
    global _compared
    _compared += 1
    try:
        shown, b = _numbers(found), _numbers(stored).astype(np.float64)
    except (TypeError, ValueError):
        print(f"{name}: {found}")
        good, note = found == stored, "equal" if found == stored else f"NOT EQUAL to what is stored: {stored}"
    else:
        print(f"{name}: {np.array2string(shown, separator=', ', max_line_width=120, threshold=200, precision=9)}")
        a = shown.astype(np.float64)
        if a.shape != b.shape:
            good, note = False, f"shape {a.shape}, but stored is {b.shape}"
        else:
            gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
            good = bool((gap <= atol + rtol * np.abs(b)).all())
            note = f"largest difference {gap.max(initial=0.0):.3g} of {np.abs(b).max(initial=0.0):.3g}"
            note += f" (allowed: {atol:g} + {rtol:g} relative)" if atol or rtol else " (allowed: none)"
    print(f"    {note}" if good else f"    FAILED: {note}")
    if not good:
        _failures.append(name)


def _numbers(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(array.dtype)
    return array


def finish() -> int:
    """The exit status of a script: 1 if something was not what is stored, or nothing was compared."""
    if not _compared:
        print("nothing was compared")
    elif _failures:
        print(f"{len(_failures)} of {_compared} are not what is stored: {', '.join(_failures)}")
    else:
        print(f"{_compared} compared, all as stored")
    return 1 if _failures or not _compared else 0
