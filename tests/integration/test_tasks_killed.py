"""Every task that is trained, killed with SIGKILL and started again: bit-equal to a run that nobody disturbed."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.killed import BATCH, STEPS, TASKS, arguments, result
from support.killing import finish, kill_at_checkpoint, start


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_killed_with_and_without_workers(task: str, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "killed"
    finish(start(arguments(task, undisturbed, 0), log), log)
    expected = result(undisturbed)
    assert expected["status"] == "done"
    assert expected["clips"] and expected["clips"] % (STEPS * BATCH) == 0, "one or more of each sample"
    kept = 0
    for workers in (0, 2):
        before = kept
        # Newer versions of Python have a server start the workers, of which a killed run must leave nothing either.
        method = "forkserver" if task == "pace" else "fork"
        kept = kill_at_checkpoint(start(arguments(task, out, workers), log, method), out, log, kept + 2)
        assert before + 2 <= kept < STEPS
        assert not (out / "record.json").exists()
    finish(start(arguments(task, out, 2), log), log)
    assert result(out) == expected
