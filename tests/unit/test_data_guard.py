"""Files that hang or crash their reader cost themselves alone."""

from __future__ import annotations

import os
import signal
import time

import pytest

from vssl_core.data.guard import guarded_map
from vssl_core.errors import VsslError


def _work(item: int) -> int:
    if item == 3:
        time.sleep(60)
    if item == 5:
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == 7:
        raise ValueError("seven")
    if item == 11:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def test_the_others_are_not_harmed() -> None:
    items = [0, 1, 2, 3, 4, 5, 6]
    began = time.monotonic()
    found = list(guarded_map(_work, items, limits_s=[1.0] * len(items), workers=2))
    assert time.monotonic() - began < 30
    assert [outcome.value for outcome in found] == [0, 1, 4, None, 16, None, 36]
    assert found[3].failure == "reading it did not end within 1 s"
    assert found[5].failure == "reading it crashed the decoder (SIGSEGV)"
    assert {outcome.failure for at, outcome in enumerate(found) if at not in (3, 5)} == {""}


def test_what_is_raised_is_raised_here() -> None:
    with pytest.raises(ValueError, match="seven"):
        list(guarded_map(_work, [1, 7], limits_s=[9.0, 9.0], workers=1))


def test_a_process_that_is_killed_from_outside_blames_no_file() -> None:
    with pytest.raises(VsslError, match="run out of memory"):
        list(guarded_map(_work, [11], limits_s=[9.0], workers=1))


def test_nothing_to_do_starts_nothing() -> None:
    assert list(guarded_map(_work, [], limits_s=[], workers=2)) == []
