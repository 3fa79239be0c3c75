"""What `check` finds in folders whose files stay."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from watcherd.cli import check
from watcherd.cli.check import Finding, Level
from watcherd.config.model import Folder


def found(inbox: Path, **settings: Any) -> list[Finding]:  # noqa: ANN401 - any key of a folder
    folder = Folder(inbox=inbox, name="films", endpoint="local", after="keep", **settings)
    return list(check._folders([folder]))


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library in which folders named `closed` may not be written."""
    for name in ("old/closed", "new/closed", ".trash/closed", "own", "private/closed"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "private" / ".watcherdignore").touch()
    allowed = os.access

    def access(path: Path | bytes, mode: int) -> bool:
        writes = bool(mode & os.W_OK)
        return not (writes and os.path.basename(os.fsencode(path)) == b"closed") and allowed(path, mode)

    monkeypatch.setattr(os, "access", access)
    return tmp_path


def test_a_library_is_looked_through_for_folders_without_rights(library: Path) -> None:
    inbox, subtitles = found(library)
    assert inbox.level is Level.OK
    assert (subtitles.level, subtitles.what) == (Level.BAD, "subtitles of films")
    first, second = (f"{library}/{name}/closed" for name in ("old", "new"))
    assert subtitles.found in {f"{one} and 1 more cannot be read and written" for one in (first, second)}


@pytest.mark.parametrize("settings", [{}, {"recursive": False}])
def test_only_folders_that_are_watched_need_rights(library: Path, settings: dict[str, bool]) -> None:
    if not settings:
        for name in ("old", "new"):
            (library / name / "closed").rmdir()
    _, subtitles = found(library, **settings)
    assert subtitles == Finding(Level.OK, "subtitles of films", f"written beside the files in {library}")


def test_done_and_failed_of_a_library_need_not_exist(tmp_path: Path) -> None:
    findings = found(tmp_path, done=Path("/nowhere/done"), failed=Path("/nowhere/failed"))
    assert [finding.level for finding in findings] == [Level.OK, Level.OK]


def test_a_library_that_is_not_there_is_one_finding(tmp_path: Path) -> None:
    (missing,) = found(tmp_path / "films")
    assert missing.level is Level.BAD
