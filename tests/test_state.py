"""The state folder: private, and one daemon's at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from watcherd.state import LockedError, StateFolder


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "deep" / "state")
    state.create()
    state.create()
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    assert state.work.is_dir()


def test_the_second_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    lock = state.lock()
    with pytest.raises(LockedError, match=f"process {os.getpid()}"):
        state.lock()
    assert state.holder() == f"process {os.getpid()}"
    os.close(lock)
    assert state.holder() == "none"
    os.close(state.lock())


def test_a_lock_file_left_by_a_dead_daemon_holds_nothing(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    state.lock_file.write_text('{"pid": 1}')
    assert state.holder() == "none"
    os.close(state.lock())
