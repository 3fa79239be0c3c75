"""The state folder: private, and one daemon's at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from watcherd.state import Holder, LockedError, StateFolder


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
    assert str(state.holder()) == f"process {os.getpid()}"
    os.close(lock)
    assert state.holder() is None
    os.close(state.lock())


def test_a_lock_file_left_by_a_dead_daemon_holds_nothing(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    state.lock_file.write_text('{"pid": 1}')
    assert state.holder() is None
    os.close(state.lock())


def test_the_lock_file_says_where_its_holder_can_be_asked(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    lock = state.lock()
    assert state.holder() == Holder(os.getpid())
    socket = tmp_path / os.fsdecode(b"caf\xe9.sock")
    state.announce(control=socket, page="http://127.0.0.1:8484/")
    assert state.holder() == Holder(os.getpid(), socket, "http://127.0.0.1:8484/")
    state.announce(control=Path("/s"))
    assert state.holder() == Holder(os.getpid(), Path("/s"))
    os.close(lock)


def test_a_holder_that_is_just_writing_its_lock_file_is_just_starting(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    lock = state.lock()
    for half in ('{"pid": 4', "", "[]", '{"pid": 1}', '{"pid": "x", "control": null, "page": null}'):
        state.lock_file.write_text(half)
        assert state.holder() == Holder()
        assert str(state.holder()) == "just starting"
    os.close(lock)
