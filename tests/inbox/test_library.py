"""Files that stay where they are: whole libraries, in which most is done; and markers, in every mode."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.inbox.support import FakeDesk, Logged, at_work, eventually, folder_at, notes
from tests.inbox.test_intake import SOUND, write
from watcherd.config.model import Folder
from watcherd.inbox import rounds
from watcherd.inbox.accept import MARKER
from watcherd.inbox.intake import Intake
from watcherd.inbox.touch import identity_of
from watcherd.inbox.watch import Noticed, Watch
from watcherd.job import Identity, State

MARK = MARKER.decode()
ANY = Identity(1, 1, 1, 1, 1)


def library(inbox: Path, **settings: object) -> Folder:
    return folder_at(inbox, **{"after": "keep", "formats": ["srt", "vtt"], "settle": 0.05, **settings})


async def scanned_again(running: Intake) -> None:
    """A whole scan from now on, and every look that it leads to."""
    before = running.state.scanned_at
    running.rescan()
    await eventually(lambda: running.state.scanned_at != before)
    await eventually(lambda: not notes(running))


async def heard_of(running: Intake, path: bytes) -> None:
    """An event for a path, and every look that it leads to."""
    running._hints.put_nowait(Noticed(path))
    await eventually(running._hints.empty)
    await eventually(lambda: not notes(running))


def age(path: Path) -> None:
    os.utime(path, ns=(10**18, 10**18))


# Markers.


@pytest.mark.parametrize("after", ["move", "keep"])
async def test_a_marker_withdraws_what_waits_below_it_at_once(
    inbox: Path, desk: FakeDesk, after: str
) -> None:
    for name in ("tree/a.mkv", "tree/deep/b.mkv", "tree/deep/c.mkv", "other/d.mkv"):
        write(inbox / name)
    async with at_work(library(inbox, after=after), desk):
        await eventually(lambda: len(desk.admitted) == 4)
        ids = {job.path: job.id for job in desk.jobs.values()}
        desk.put(b"tree/deep/e.mkv", ANY, State.TRANSLATING)
        (inbox / "tree" / MARK).touch()
        await eventually(lambda: len(desk.withdrawn) == 3)
        below = (b"tree/a.mkv", b"tree/deep/b.mkv", b"tree/deep/c.mkv")
        assert set(desk.withdrawn) == {(ids[path], "ignored") for path in below}


async def test_jobs_below_a_marker_that_came_while_nobody_watched_are_withdrawn(
    inbox: Path, desk: FakeDesk
) -> None:
    write(inbox / "tree" / "deep" / "a.mkv")
    job = desk.put(b"tree/deep/a.mkv", identity_of((inbox / "tree/deep/a.mkv").stat()))
    (inbox / "tree" / MARK).touch()
    async with at_work(library(inbox), desk):
        assert desk.withdrawn == [(job.id, "ignored")]


async def test_files_below_a_marker_arrive_when_it_goes_and_no_event_was_missed(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        rounds, "LAG", 0.0
    )  # else the first scan would have to come much later than the files
    write(inbox / "tree" / "deep" / "a.mkv")
    (inbox / "tree" / MARK).touch()
    async with at_work(library(inbox, rescan=0.3), desk) as running:
        await heard_of(running, b"tree/deep/a.mkv")
        assert desk.admitted == []
        assert running.idle
        assert not running.held
        (inbox / "tree" / MARK).unlink()
        await eventually(lambda: desk.admitted == [b"tree/deep/a.mkv"])
        assert running.state.missed_by_events == 0


async def test_a_marker_in_the_inbox_itself_stops_it(inbox: Path, desk: FakeDesk) -> None:
    (inbox / MARK).touch()
    write(inbox / "a.mkv")
    async with at_work(library(inbox), desk) as running:
        await heard_of(running, b"a.mkv")
        assert running.idle
        assert desk.admitted == []


async def test_a_marker_beside_a_file_that_settles_ends_that(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(library(inbox, settle=3600), desk) as running:
        write(inbox / "sub" / "a.mkv")
        await eventually(lambda: notes(running))
        (inbox / "sub" / MARK).touch()
        await heard_of(running, b"sub/a.mkv")
        assert desk.admitted == []


async def test_watches_below_a_marker_do_not_hide_that_the_inbox_lacks_some(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("1", "2", "tree/1", "tree/2"):
        (inbox / folder).mkdir(parents=True)
    (inbox / "tree" / MARK).touch()
    watched = [b"", b"1", b"tree", b"tree/1", b"tree/2"]
    monkeypatch.setattr(Watch, "folders", property(lambda _: watched))
    async with at_work(library(inbox, poll_interval=0.1), desk) as running:
        await eventually(lambda: running.state.limited)
        watched.append(b"2")
        await eventually(lambda: not running.state.limited)


# Rules.


async def test_in_a_library_done_and_failed_are_folders_like_any_other(inbox: Path, desk: FakeDesk) -> None:
    for name in ("done/a.mkv", "failed/b.mkv"):
        write(inbox / name)
    async with at_work(library(inbox), desk):
        await eventually(lambda: desk.admitted == [b"done/a.mkv", b"failed/b.mkv"])


# What its sidecars cover.


async def test_a_file_with_all_its_sidecars_is_no_arrival_until_one_goes(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        rounds, "LAG", 0.0
    )  # else the first scan would have to come much later than the files
    for name in ("a.mkv", "a.srt", "a.vtt", "b.mkv", "b.srt"):
        write(inbox / name)
    async with at_work(library(inbox, rescan=0.3), desk) as running:
        await eventually(lambda: desk.admitted == [b"b.mkv"])
        await heard_of(running, b"a.mkv")
        assert running.idle
        assert desk.admitted == [b"b.mkv"]
        (inbox / "a.vtt").unlink()
        await eventually(lambda: desk.admitted == [b"b.mkv", b"a.mkv"])
        assert running.state.missed_by_events == 0


@pytest.mark.parametrize("see", [scanned_again, lambda running: heard_of(running, b"sub/a.mkv")])
async def test_a_job_whose_file_is_covered_meanwhile_is_withdrawn(
    inbox: Path, desk: FakeDesk, see: Callable[[Intake], Awaitable[None]]
) -> None:
    write(inbox / "sub" / "a.mkv")
    async with at_work(library(inbox), desk) as running:
        await eventually(lambda: desk.admitted)
        job = desk.job(b"sub/a.mkv")
        write(inbox / "sub" / "a.srt")
        await see(running)
        assert desk.withdrawn == []
        write(inbox / "sub" / "a.vtt")
        await see(running)
        assert desk.withdrawn == [(job.id, "covered")]


async def test_a_job_in_hand_goes_on_though_its_file_is_covered(inbox: Path, desk: FakeDesk) -> None:
    write(inbox / "a.mkv")
    async with at_work(library(inbox), desk) as running:
        await eventually(lambda: desk.admitted)
        job = desk.job(b"a.mkv")
        desk.jobs[job.id] = replace(job, state=State.TRANSLATING)
        for name in ("a.srt", "a.vtt"):
            write(inbox / name)
        await scanned_again(running)
        await heard_of(running, b"a.mkv")
        assert desk.withdrawn == []


async def test_sidecars_cover_nothing_where_they_may_be_overwritten(inbox: Path, desk: FakeDesk) -> None:
    for name in ("a.mkv", "a.srt", "a.vtt"):
        write(inbox / name)
    async with at_work(library(inbox, existing="overwrite"), desk):
        await eventually(lambda: desk.admitted == [b"a.mkv"])


# What is kept.


async def test_a_kept_file_is_left_alone_as_long_as_it_is_the_same(inbox: Path, desk: FakeDesk) -> None:
    write(inbox / "sub" / "a.mkv")
    async with at_work(library(inbox), desk) as running:
        await eventually(lambda: desk.admitted)
        desk.keep(b"sub/a.mkv")
        desk.admitted.clear()
        (inbox / "sub" / "a.mkv").chmod(0o600)  # another ctime says nothing
        await scanned_again(running)
        await heard_of(running, b"sub/a.mkv")
        assert desk.admitted == []
        assert running.idle
        write(inbox / "sub" / "a.mkv", SOUND + b"more")
        await eventually(lambda: desk.admitted == [b"sub/a.mkv"])


async def test_a_kept_file_that_was_changed_without_a_word_is_found_by_the_scan(
    inbox: Path, desk: FakeDesk
) -> None:
    write(inbox / "a.mkv")
    desk.known[b"a.mkv"] = (len(SOUND), (inbox / "a.mkv").stat().st_mtime_ns)
    async with at_work(library(inbox, rescan=0.3), desk) as running:
        age(inbox / "a.mkv")
        await eventually(lambda: desk.admitted == [b"a.mkv"])
        assert running.state.missed_by_events == 0


async def test_a_copy_that_brings_the_old_time_in_the_end_is_the_kept_file(
    inbox: Path, desk: FakeDesk
) -> None:
    write(inbox / "a.mkv")
    desk.known[b"a.mkv"] = (len(SOUND), 10**18)
    async with at_work(library(inbox, settle=0.5), desk) as running:
        await eventually(lambda: notes(running))
        age(inbox / "a.mkv")
        await eventually(lambda: not notes(running))
        assert desk.admitted == []


async def test_a_kept_file_that_an_event_tells_of_does_not_even_begin_to_settle(
    inbox: Path, desk: FakeDesk, logged: Logged
) -> None:
    async with at_work(library(inbox, settle=3600), desk) as running:
        write(inbox / "a.mkv")
        desk.known[b"a.mkv"] = (len(SOUND), (inbox / "a.mkv").stat().st_mtime_ns)
        await heard_of(running, b"a.mkv")
        assert logged.times("arrival.noticed") == 0


async def test_a_file_that_settles_is_compared_with_kept_ones_at_first_and_at_last(
    inbox: Path, desk: FakeDesk
) -> None:
    async with at_work(library(inbox, settle=0.4), desk):
        write(inbox / "a.mkv")
        await eventually(lambda: desk.admitted)
        assert desk.asked_for_kept == [b"", b""]


async def test_kept_files_are_asked_for_once_a_folder_and_only_where_they_may_matter(
    inbox: Path, desk: FakeDesk
) -> None:
    for number in range(20):
        for folder in ("one", "two"):
            path = b"%s/%d.mkv" % (folder.encode(), number)
            write(inbox / os.fsdecode(path))
            desk.known[path] = (len(SOUND), (inbox / os.fsdecode(path)).stat().st_mtime_ns)
    (inbox / "empty").mkdir()
    async with at_work(library(inbox), desk) as running:
        assert sorted(desk.asked_for_kept) == [b"one", b"two"]
        write(inbox / "three" / "a.mkv")
        await eventually(lambda: desk.admitted == [b"three/a.mkv"])
        desk.asked_for_kept.clear()
        await scanned_again(running)
        assert sorted(desk.asked_for_kept) == [b"one", b"two"]
        desk.asked_for_kept.clear()
        for path in desk.known:
            running._hints.put_nowait(Noticed(path))
        await eventually(running._hints.empty)
        await eventually(lambda: not notes(running))
        assert sorted(desk.asked_for_kept) == [b"one", b"two"]


async def test_where_files_are_moved_nobody_asks_for_kept_ones(inbox: Path, desk: FakeDesk) -> None:
    write(inbox / "a.mkv")
    async with at_work(library(inbox, after="move"), desk):
        await eventually(lambda: desk.admitted)
        assert desk.asked_for_kept == []
