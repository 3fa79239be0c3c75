from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from watcherd.config.model import Folder
from watcherd.inbox.condition import (
    Condition,
    LockedByOtherError,
    Reach,
    scan_interval,
    standing_after,
    watch_limit,
)

FOLDER = Folder(inbox=Path("/srv/in"), endpoint="any")


@pytest.mark.parametrize(
    ("number", "condition", "hint"),
    [
        (errno.ENOENT, Condition.MISSING, "mkdir -p /srv/in"),
        (errno.ENOTDIR, Condition.MISSING, "mount"),
        (errno.EACCES, Condition.UNREADABLE, "read and write access"),
        (errno.EIO, Condition.TROUBLED, "disk"),
        (errno.ESTALE, Condition.TROUBLED, "mount"),
    ],
)
def test_an_error_on_the_inbox_becomes_a_condition_with_a_hint(
    number: int, condition: Condition, hint: str
) -> None:
    standing = standing_after(OSError(number, os.strerror(number)), FOLDER)
    assert standing.condition is condition
    assert "/srv/in" in standing.text
    assert hint in standing.hint


def test_another_daemon_is_named() -> None:
    standing = standing_after(LockedByOtherError(4711), FOLDER)
    assert standing.condition is Condition.BUSY
    assert standing.text == "another watcherd watches this inbox (process 4711): /srv/in"
    assert "process" not in standing_after(LockedByOtherError(None), FOLDER).text


def test_each_limit_of_inotify_names_its_own_knob() -> None:
    assert "max_user_watches" in watch_limit(OSError(errno.ENOSPC, "x"))
    assert "max_user_instances" in watch_limit(OSError(errno.EMFILE, "x"))


@pytest.mark.parametrize(
    ("watch", "reach", "complete", "seconds", "expected"),
    [
        ("auto", Reach.LOCAL, True, 0.01, 60),
        ("auto", Reach.LOCAL, True, 0.4, 120),
        ("auto", Reach.LOCAL, False, 0.4, 10),
        ("auto", Reach.REMOTE, True, 0.4, 10),
        ("auto", Reach.LAYERED, True, 0.01, 10),
        ("events", Reach.REMOTE, True, 0.01, 60),
        ("poll", Reach.LOCAL, False, 0.01, 10),
    ],
)
def test_scans_are_as_rare_as_events_allow(
    watch: str, reach: Reach, complete: bool, seconds: float, expected: float
) -> None:
    folder = FOLDER.model_copy(update={"watch": watch})
    interval = scan_interval(folder, reach=reach, complete=complete, seconds=seconds)
    assert interval == pytest.approx(expected)
