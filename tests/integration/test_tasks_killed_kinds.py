"""Every task, killed and started again on the kinds of network that ``test_tasks_killed`` leaves out.

A file of its own, since tests of one file run one after another.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.killed import OTHERS, arguments, result
from support.killing import finish, kill_at_checkpoint, start

FEW = 6  # steps


@pytest.mark.slow
@pytest.mark.parametrize(("task", "backbone"), OTHERS)
def test_killed_on_every_other_kind_of_backbone(task: str, backbone: str, tmp_path: Path) -> None:
    """Killed with two workers, gone on with none."""
    log = tmp_path / "log.txt"
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "killed"
    few = [f"steps={FEW}"]
    finish(start([*arguments(task, undisturbed, 0, backbone), *few], log), log)
    expected = result(undisturbed)
    assert expected["status"] == "done"
    kept = kill_at_checkpoint(start([*arguments(task, out, 2, backbone), *few], log), out, log, 2)
    assert 2 <= kept < FEW
    assert not (out / "record.json").exists()
    finish(start([*arguments(task, out, 0, backbone), *few], log), log)
    assert result(out) == expected
