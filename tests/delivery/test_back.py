"""The way back from failed to the inbox: nothing replaced, nothing lost, no link followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.delivery.world import BYSTANDER, JOB, SPEECH, STRANGER, WAYS, Machine, Stopped
from watcherd.delivery.back import bring_back, reported, stands
from watcherd.delivery.files import sweep
from watcherd.delivery.names import report_name
from watcherd.delivery.result import Changed, Vanished
from watcherd.faults import FaultError
from watcherd.place import Place

REPORT = b'{"kind": "watcherd failure report", "version": 1, "inbox": {"name": "talks"}}'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("inbox", "failed"):
        (tmp_path / name).mkdir()
    failed(tmp_path, "talk.mp3")
    return tmp_path


def failed(home: Path, name: str) -> Path:
    path = home / "failed" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(SPEECH)
    Path(os.fsdecode(report_name(os.fsencode(path)))).write_bytes(REPORT)
    return path


def back(home: Path, found: bytes, path: bytes | None = None) -> bytes | Vanished | Changed:
    places = Place(home / "failed"), Place(home / "inbox")
    return bring_back(places[0], found, places[1], found if path is None else path, job_id=JOB)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_failed_file_goes_back_to_its_former_path_and_its_report_goes(home: Path) -> None:
    failed(home, "sub/talk (2).mp3")
    assert back(home, b"sub/talk (2).mp3", b"sub/deep/talk.mp3") == b"sub/deep/talk.mp3"
    assert tree(home / "inbox") == {"sub/deep/talk.mp3": SPEECH}
    assert tree(home / "failed") == {"talk.mp3": SPEECH, "talk.mp3.error.json": REPORT}


def test_a_name_that_is_taken_is_numbered(home: Path) -> None:
    for name in ("talk.mp3", "talk (2).mp3"):
        (home / "inbox" / name).write_bytes(STRANGER)
    assert back(home, b"talk.mp3") == b"talk (3).mp3"
    assert tree(home / "inbox") == {"talk.mp3": STRANGER, "talk (2).mp3": STRANGER, "talk (3).mp3": SPEECH}
    assert tree(home / "failed") == {}


def test_somebody_elses_file_under_the_reports_name_stays(home: Path) -> None:
    (home / "failed" / "talk.mp3.error.json").write_bytes(BYSTANDER)
    assert back(home, b"talk.mp3") == b"talk.mp3"
    assert tree(home / "failed") == {"talk.mp3.error.json": BYSTANDER}


def test_what_is_no_plain_file_is_not_moved(home: Path) -> None:
    (home / "failed" / "link.mp3").symlink_to(home / "failed" / "talk.mp3")
    (home / "failed" / "folder.mp3").mkdir()
    os.mkfifo(home / "failed" / "pipe.mp3")
    for name in (b"link.mp3", b"folder.mp3", b"pipe.mp3", b"none.mp3"):
        assert back(home, name) == Vanished()
        assert not stands(Place(home / "failed"), name)
    assert tree(home / "inbox") == {}
    assert stands(Place(home / "failed"), b"talk.mp3")
    assert not stands(Place(home / "failed"), b"none/talk.mp3")


def test_a_link_in_the_place_of_a_folder_is_refused_and_the_file_stays(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (home / "inbox" / "sub").symlink_to(elsewhere)
    with pytest.raises(FaultError, match="folder_is_a_link"):
        back(home, b"talk.mp3", b"sub/talk.mp3")
    assert tree(elsewhere) == {}
    assert (home / "failed" / "talk.mp3").read_bytes() == SPEECH


def test_an_inbox_that_is_missing_is_not_made(home: Path) -> None:
    (home / "inbox").rmdir()
    with pytest.raises(FileNotFoundError):
        back(home, b"talk.mp3")
    assert (home / "failed" / "talk.mp3").read_bytes() == SPEECH


def test_the_files_with_a_report_are_found_with_their_inbox(home: Path) -> None:
    failed(home, "sub/other.mp3")
    (home / "failed" / "notes.txt").write_bytes(BYSTANDER)
    (home / "failed" / "alone.mp3.error.json").write_bytes(REPORT)
    (home / "failed" / "mine.mp3").write_bytes(SPEECH)
    (home / "failed" / "mine.mp3.error.json").write_bytes(BYSTANDER)
    assert reported(Place(home / "failed")) == {b"talk.mp3": "talks", b"sub/other.mp3": "talks"}


@pytest.mark.parametrize("way", WAYS)
def test_after_a_stop_anywhere_the_file_is_in_one_place_and_a_second_try_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A stop may leave the report, a hidden second name or copy in failed, or an empty file in the inbox."""
    calls, ended = 0, False
    while not ended:
        calls += 1
        home = tmp_path / str(calls)
        for name in ("inbox", "failed"):
            (home / name).mkdir(parents=True)
        (home / "inbox" / "talk.mp3").write_bytes(STRANGER)
        failed(home, "talk.mp3")
        with monkeypatch.context() as patch:
            Machine(stop_after=calls, **WAYS[way]).install(patch)
            try:
                back(home, b"talk.mp3")
                ended = True
            except Stopped:
                pass
        everything = [path for path in home.rglob("*") if path.is_file() and path.read_bytes() == SPEECH]
        assert everything, f"lost at call {calls}"
        with monkeypatch.context() as patch:
            Machine(**WAYS[way]).install(patch)
            back(home, b"talk.mp3")
        sweep(Place(home / "inbox"), is_over=lambda job_id: job_id == JOB)
        there = {name: content for name, content in tree(home / "inbox").items() if content}
        assert there.pop("talk.mp3") == STRANGER
        assert list(there.values()) == [SPEECH], f"stopped at call {calls}"
        assert set(tree(home / "failed")) <= {"talk.mp3.error.json", f".watcherd-{JOB}.original"}
    assert calls > 20
