"""An inbox in trouble, and what becomes of it by itself."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from tests.inbox.support import FakeDesk, Logged, at_work, eventually, folder_at, never, notes
from tests.inbox.test_intake import write
from tests.inbox.test_watch import limited_to
from watcherd.inbox import root, scan, warden
from watcherd.inbox.condition import Condition
from watcherd.inbox.ground import Ground
from watcherd.inbox.intake import Intake
from watcherd.inbox.reconcile import Listing
from watcherd.inbox.settle import Note
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import look
from watcherd.inbox.watch import Watch
from watcherd.place import Place

NOBODY = 65534


def condition(running: Intake) -> Condition:
    return running.state.standing.condition


@pytest.fixture
async def nobody() -> AsyncIterator[Storage]:
    """A pool whose one thread touches files as somebody without rights, whoever runs the tests."""
    storage = Storage("nobody", size=1)
    await storage.call(ctypes.CDLL(None).setfsuid, NOBODY)
    yield storage
    storage.close()


def give(path: Path) -> None:
    """Let the pool above, or the user who runs the tests, be the owner."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


# Missing, removed, renamed, replaced.


async def test_an_inbox_that_is_missing_at_the_start_is_a_state_and_heals(
    tmp_path: Path, desk: FakeDesk, logged: Logged
) -> None:
    inbox = tmp_path / "inbox"
    async with at_work(folder_at(inbox), desk, wait=False) as running:
        await eventually(lambda: condition(running) is Condition.MISSING)
        standing = running.state.standing
        assert f"mkdir -p {inbox}" in standing.hint
        assert running.idle
        assert running.held
        await never(lambda: condition(running) is not Condition.MISSING, for_=0.5)
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3"])
        assert condition(running) is Condition.WATCHING
    assert logged.times("inbox.missing") == 1
    assert logged.times("inbox.recovered") == 1


async def test_an_inbox_that_is_removed_and_made_again_is_watched_again(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox), desk) as running:
        inbox.rmdir()
        await eventually(lambda: condition(running) is Condition.MISSING)
        inbox.mkdir()
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3"])
        write(inbox / "b.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3", b"b.mp3"])
        assert running.state.missed_by_events == 0


async def test_an_inbox_that_is_replaced_between_two_ticks_is_noticed(
    inbox: Path, desk: FakeDesk, tmp_path: Path, logged: Logged
) -> None:
    async with at_work(folder_at(inbox), desk):
        inbox.rename(tmp_path / "old")
        inbox.mkdir()
        write(inbox / "new.mp3")
        await eventually(lambda: desk.admitted == [b"new.mp3"])
        write(tmp_path / "old" / "ghost.mp3")
        write(inbox / "newer.mp3")
        await eventually(lambda: b"newer.mp3" in desk.admitted)
        assert desk.admitted == [b"new.mp3", b"newer.mp3"]
    assert logged.times("inbox.replaced") == 1


async def test_arrivals_of_a_replaced_inbox_are_forgotten(
    inbox: Path, desk: FakeDesk, tmp_path: Path
) -> None:
    async with at_work(folder_at(inbox, settle=3600), desk) as running:
        write(inbox / "a.mp3")
        await eventually(lambda: notes(running).keys() == {b"a.mp3"})
        inbox.rename(tmp_path / "old")
        write(inbox / "b.mp3")
        await eventually(lambda: notes(running).keys() == {b"b.mp3"})


async def test_a_missing_inbox_withdraws_no_job(inbox: Path, desk: FakeDesk, tmp_path: Path) -> None:
    async with at_work(folder_at(inbox), desk) as running:
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted)
        inbox.rename(tmp_path / "away")
        await eventually(lambda: condition(running) is Condition.MISSING)
        (tmp_path / "away").rename(inbox)
        await eventually(lambda: condition(running) is Condition.WATCHING and running.idle)
        assert desk.withdrawn == []
        assert desk.admitted == [b"a.mp3"]


async def test_a_file_in_the_inboxs_place_counts_as_missing(tmp_path: Path, desk: FakeDesk) -> None:
    (tmp_path / "inbox").touch()
    async with at_work(folder_at(tmp_path / "inbox"), desk, wait=False) as running:
        await eventually(lambda: condition(running) is Condition.MISSING)


async def test_an_inbox_behind_a_link_works_and_follows_the_link(
    inbox: Path, desk: FakeDesk, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(inbox)
    async with at_work(folder_at(link), desk) as running:
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3"])
        assert running.state.missed_by_events == 0
        write(tmp_path / "other" / "b.mp3")
        link.unlink()
        link.symlink_to(tmp_path / "other")
        await eventually(lambda: b"b.mp3" in desk.admitted)


async def test_an_inbox_that_turned_into_a_link_is_left_alone_until_it_is_a_folder_again(
    inbox: Path, desk: FakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, take = [], root.take

    def counted(place: Place, *, targets: Iterable[Path]) -> root.Root:
        tries.append(place)
        return take(place, targets=targets)

    monkeypatch.setattr(root, "take", counted)
    write(tmp_path / "other" / "b.mp3")
    async with at_work(folder_at(inbox), desk) as running:
        inbox.rename(tmp_path / "kept")
        inbox.symlink_to(tmp_path / "other")
        await eventually(lambda: len(tries) > 3)  # the first was the start
        assert condition(running) is Condition.TROUBLED
        assert "is a link" in running.state.standing.text
        inbox.unlink()
        (tmp_path / "kept").rename(inbox)
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_file_system_mounted_over_the_inbox_is_noticed(inbox: Path) -> None:
    """In a mount namespace of its own, so that nothing is left behind."""
    script = f"""
import asyncio, pathlib, subprocess
from tests.inbox.support import FakeDesk, Logged, at_work, eventually, folder_at
from watcherd.inbox import intake

async def main():
    intake.TICK = 0.1
    inbox, desk = pathlib.Path({str(inbox)!r}), FakeDesk()
    async with at_work(folder_at(inbox), desk):
        subprocess.run(["mount", "-t", "tmpfs", "none", inbox], check=True)
        (inbox / "a.mp3").write_bytes(b"sound")
        await eventually(lambda: desk.admitted == [b"a.mp3"])
        subprocess.run(["umount", "-l", inbox], check=True)
        (inbox / "b.mp3").write_bytes(b"sound")
        await eventually(lambda: b"b.mp3" in desk.admitted)

asyncio.run(main())
"""
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    if "unshare failed" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip("mount namespaces are not to be had here")
    assert done.returncode == 0, done.stdout + done.stderr


# Unreadable.


@pytest.mark.parametrize("mode", [0o000, 0o333, 0o444])
async def test_an_unreadable_inbox_is_a_state_and_heals(
    mode: int, open_place: Path, nobody: Storage, desk: FakeDesk, logged: Logged
) -> None:
    inbox = open_place / "inbox"
    write(inbox / "a.mp3")
    give(inbox)
    async with at_work(folder_at(inbox), desk, storage=nobody) as running:
        await eventually(lambda: desk.admitted == [b"a.mp3"])
        inbox.chmod(mode)
        await eventually(lambda: condition(running) is Condition.UNREADABLE)
        assert "read and write access" in running.state.standing.hint
        assert desk.withdrawn == []
        inbox.chmod(0o755)
        write(inbox / "b.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3", b"b.mp3"])
    assert logged.times("inbox.unreadable") == 1
    assert logged.times("inbox.recovered") == 1


@pytest.mark.parametrize("mode", [0o000, 0o333, 0o444])
async def test_an_inbox_that_cannot_be_listed_or_entered_is_unreadable_and_stays_so(
    mode: int, open_place: Path, nobody: Storage, desk: FakeDesk, logged: Logged
) -> None:
    inbox = open_place / "inbox"
    write(inbox / "a.mp3")
    give(inbox)
    inbox.chmod(mode)
    async with at_work(folder_at(inbox), desk, storage=nobody, wait=False) as running:
        await eventually(lambda: condition(running) is Condition.UNREADABLE)
        await never(lambda: condition(running) is not Condition.UNREADABLE, for_=0.4)
        inbox.chmod(0o755)
        await eventually(lambda: desk.admitted == [b"a.mp3"])
    assert logged.times("inbox.unreadable") == 1


async def test_another_trouble_is_said_at_once(
    open_place: Path, nobody: Storage, desk: FakeDesk, logged: Logged
) -> None:
    inbox = open_place / "inbox"
    async with at_work(folder_at(inbox), desk, storage=nobody, wait=False) as running:
        await eventually(lambda: condition(running) is Condition.MISSING)
        inbox.mkdir(mode=0)
        give(inbox)
        await eventually(lambda: condition(running) is Condition.UNREADABLE)
        inbox.rmdir()
        await eventually(lambda: condition(running) is Condition.MISSING)
    assert [logged.times("inbox.missing"), logged.times("inbox.unreadable")] == [2, 1]


async def test_a_folder_that_cannot_be_read_is_shown_and_its_jobs_stay(
    open_place: Path, nobody: Storage, desk: FakeDesk, logged: Logged
) -> None:
    inbox = open_place / "inbox"
    write(inbox / "closed" / "a.mp3")
    give(inbox / "closed")
    async with at_work(folder_at(inbox, rescan=0.2), desk, storage=nobody) as running:
        await eventually(lambda: desk.admitted == [b"closed/a.mp3"])
        (inbox / "closed").chmod(0)
        await eventually(lambda: running.state.scanned and running.state.scanned.unread)
        assert running.state.scanned is not None
        assert running.state.scanned.unread == ((b"closed", "Permission denied"),)
        assert running.held
        assert condition(running) is Condition.WATCHING
        assert desk.withdrawn == []
        (inbox / "closed").chmod(0o755)
        await eventually(lambda: running.state.scanned and not running.state.scanned.unread)
        assert desk.admitted == [b"closed/a.mp3"]
    assert logged.times("folder.unreadable") == 1


async def test_an_unreadable_file_is_held_reported_once_and_taken_when_it_can_be_read(
    open_place: Path, nobody: Storage, desk: FakeDesk, logged: Logged
) -> None:
    inbox = open_place / "inbox"
    inbox.mkdir()
    give(inbox)
    async with at_work(folder_at(inbox, rescan=0.2), desk, storage=nobody) as running:
        for name in ("a.mp3", "b.mp3"):
            write(inbox / name)
            (inbox / name).chmod(0)
            give(inbox / name)
        await eventually(
            lambda: set(notes(running).values()) == {Note.UNREADABLE} and len(notes(running)) == 2
        )
        assert running.idle
        assert running.held
        await never(lambda: desk.admitted, for_=1)
        assert running._complaints._troubles[Note.UNREADABLE].count == 2, (
            "each file counts once, however often it is seen"
        )
        (inbox / "a.mp3").chmod(0o644)
        await eventually(lambda: desk.admitted == [b"a.mp3"])
        assert notes(running) == {b"b.mp3": Note.UNREADABLE}
    assert logged.times("arrival.unreadable") == 1
    assert logged.all("arrival.unreadable")[0]["error"] == "Permission denied"


# Storage that does not answer.


async def test_storage_that_does_not_answer_stops_its_inbox_alone(
    tmp_path: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    monkeypatch.setattr(warden, "LISTEN", 0.1)
    answering, stuck = threading.Event(), threading.Semaphore(0)

    def dead(descriptor: int, path: bytes, **options: object) -> object:
        if path == b"dead.mp3" and not answering.is_set():
            stuck.release()
            answering.wait()
        return look(descriptor, path, **options)  # type: ignore[arg-type]  # passed on as they come

    monkeypatch.setattr("watcherd.inbox.ground.look", dead)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    other = FakeDesk()
    storage = Storage("dead", patience=0.2)
    try:
        async with (
            at_work(folder_at(tmp_path / "one"), desk, storage=storage) as running,
            at_work(folder_at(tmp_path / "two"), other) as neighbour,
        ):
            write(tmp_path / "one" / "dead.mp3")
            await eventually(lambda: condition(running) is Condition.SILENT)
            assert "does not answer" in running.state.standing.text
            write(tmp_path / "one" / "b.mp3")
            write(tmp_path / "two" / "c.mp3")
            await eventually(lambda: other.admitted == [b"c.mp3"])
            assert condition(neighbour) is Condition.WATCHING
            await never(lambda: condition(running) is not Condition.SILENT, for_=0.5)
            assert stuck.acquire(blocking=False)
            assert not stuck.acquire(blocking=False), "more than one thread waits for a dead mount"
            answering.set()
            await eventually(lambda: set(desk.admitted) == {b"b.mp3", b"dead.mp3"})
            assert condition(running) is Condition.WATCHING
    finally:
        answering.set()
    assert logged.times("inbox.silent") == 1
    assert logged.times("inbox.answered") == 1


async def test_stopping_does_not_wait_for_a_dead_mount(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warden, "FAREWELL", 0.2)
    answering, asked = threading.Event(), threading.Event()

    def dead(*_: object) -> bool:
        asked.set()
        answering.wait()
        return True

    monkeypatch.setattr(root, "is_current", dead)
    try:
        async with at_work(folder_at(inbox), desk):
            await eventually(asked.is_set)
            began = time.monotonic()
        assert time.monotonic() - began < 5
    finally:
        answering.set()


async def test_a_stop_while_the_inbox_is_being_opened_lets_it_go_afterwards(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warden, "FAREWELL", 0.05)
    go_on, asked, opened = threading.Event(), threading.Event(), threading.Event()
    real = Ground._start_watch

    def slow(ground: Ground) -> None:
        asked.set()
        go_on.wait()
        real(ground)
        opened.set()

    monkeypatch.setattr(Ground, "_start_watch", slow)
    async with at_work(folder_at(inbox), desk, wait=False):
        await eventually(asked.is_set)
    assert root.holder_of(inbox) is not None
    go_on.set()
    await eventually(opened.is_set)
    await eventually(lambda: not watching_threads() and root.holder_of(inbox) is None)


def watching_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if type(thread).__module__.startswith("watchdog")]


def open_files() -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return found


async def test_after_a_stop_nothing_is_left_running(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox), desk):
        assert root.holder_of(inbox) is not None
        assert watching_threads()
        assert str(inbox) in open_files()
        assert "anon_inode:inotify" in open_files()
    assert not watching_threads()
    assert root.holder_of(inbox) is None
    assert str(inbox) not in open_files()
    assert "anon_inode:inotify" not in open_files()


# The disk, the lock, the watch.


async def test_an_error_of_the_disk_is_a_state_and_heals_without_flapping(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    async with at_work(folder_at(inbox), desk) as running:
        with monkeypatch.context() as broken:

            def failing(_: scan.Walk) -> list[Listing]:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

            broken.setattr(scan.Walk, "step", failing)
            running.rescan()
            await eventually(lambda: condition(running) is Condition.TROUBLED)
            assert "Input/output error" in running.state.standing.text
            await never(lambda: condition(running) is not Condition.TROUBLED, for_=0.5)
        await eventually(lambda: condition(running) is Condition.WATCHING)
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3"])
    assert logged.times("inbox.troubled") == 1
    assert logged.times("inbox.recovered") == 1


async def test_an_inbox_that_another_daemon_watches_is_left_to_it_until_it_goes(
    inbox: Path, desk: FakeDesk, logged: Logged
) -> None:
    write(inbox / "a.mp3")
    taken = root.take(Place(inbox), targets=())
    try:
        async with at_work(folder_at(inbox), desk, wait=False) as running:
            await eventually(lambda: condition(running) is Condition.BUSY)
            assert f"process {os.getpid()}" in running.state.standing.text
            await never(lambda: notes(running), for_=0.3)
            taken.close()
            await eventually(lambda: desk.admitted == [b"a.mp3"])
    finally:
        assert desk.admitted
    assert logged.times("inbox.busy") == 1


async def test_a_dead_watch_is_replaced_and_what_it_missed_is_found(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox), desk) as running:
        ground = running._warden.ground
        assert ground is not None
        assert ground._watch is not None
        assert ground._watch._observer is not None
        (emitter,) = ground._watch._observer.emitters
        emitter.stop()
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3"])
        assert running._warden.ground is ground
        write(inbox / "b.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3", b"b.mp3"])
        assert running.state.missed_by_events == 0


@pytest.mark.parametrize("silent", [False, True], ids=["well", "hanging"])
async def test_a_dead_watch_shows_until_it_is_replaced_unless_its_storage_hangs(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, *, silent: bool
) -> None:
    monkeypatch.setattr(warden, "LISTEN", 0.05)
    answering = threading.Event()
    storage = Storage("test", idle=0.5, patience=0.2)
    async with at_work(folder_at(inbox), desk, storage=storage) as running:
        try:
            assert not running.state.blind
            if silent:
                storage.submit(answering.wait)
                await eventually(lambda: condition(running) is Condition.SILENT)
            ground = running._warden.ground
            assert ground is not None
            assert ground._watch is not None
            assert ground._watch._observer is not None
            ground._watch._observer.stop()
            ground._watch._observer.join()
            assert running.state.blind is not silent
        finally:
            answering.set()
        await eventually(lambda: running._warden.ground is ground and ground.alive)
        assert not running.state.blind


async def test_without_a_single_watch_the_inbox_is_scanned_and_says_so(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    monkeypatch.setattr(warden, "REBUILD", 0.5)
    lift = limited_to(0, monkeypatch)
    async with at_work(folder_at(inbox, poll_interval=0.2), desk) as running:
        assert not running.state.live
        assert "max_user_watches" in running.state.limited
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3"])
        lift()
        await eventually(lambda: running.state.live and not running.state.limited)
        assert running.state.missed_by_events == 0
    assert logged.times("watch.limited") == 1
    assert logged.times("watch.recovered") == 1


async def test_folders_over_the_watch_limit_are_scanned_and_it_says_so(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    for number in range(6):
        (inbox / str(number)).mkdir()
    monkeypatch.setattr(warden, "REBUILD", 0.5)
    lift = limited_to(3, monkeypatch)
    async with at_work(folder_at(inbox, poll_interval=0.1), desk) as running:
        await eventually(lambda: running.state.limited)
        assert "max_user_watches" in running.state.limited
        for number in range(6):
            write(inbox / str(number) / "a.mp3")
        await eventually(lambda: len(desk.admitted) == 6)
        lift()
        await eventually(lambda: not running.state.limited)
    assert logged.times("watch.limited") == 1


async def test_a_folder_that_could_not_be_watched_is_watched_when_it_can_be(
    open_place: Path, nobody: Storage, desk: FakeDesk
) -> None:
    inbox = open_place / "inbox"
    (inbox / "closed").mkdir(parents=True)
    give(inbox / "closed")
    (inbox / "closed").chmod(0)
    async with at_work(folder_at(inbox, rescan=0.2), desk, storage=nobody) as running:
        ground = running._warden.ground
        assert ground is not None
        assert ground._watch is not None
        assert ground._watch.folders == [b""]
        (inbox / "closed").chmod(0o755)
        await eventually(lambda: ground._watch and set(ground._watch.folders) == {b"", b"closed"})
        await eventually(lambda: not running.state.limited)


async def test_watches_in_done_do_not_hide_that_the_inbox_lacks_some(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("1", "2", "done/1", "done/2", "done/3"):
        (inbox / folder).mkdir(parents=True)
    watched = [b"", b"1", b"done", b"done/1", b"done/2", b"done/3"]
    monkeypatch.setattr(Watch, "folders", property(lambda _: watched))
    async with at_work(folder_at(inbox, poll_interval=0.1), desk) as running:
        await eventually(lambda: running.state.limited)
        watched.append(b"2")
        await eventually(lambda: not running.state.limited)


async def test_an_inbox_that_cannot_be_locked_is_watched_with_a_warning(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    monkeypatch.setattr(root, "_lock", lambda _: False)
    async with at_work(folder_at(inbox), desk):
        pass
    assert logged.times("inbox.unlockable") == 1


async def test_closing_a_ground_twice_or_before_it_opens_is_harmless(inbox: Path) -> None:
    ground = Ground(folder_at(inbox), asyncio.Queue(), inbox=Place(inbox))
    ground.close()
    ground.open()
    assert root.holder_of(inbox) is None
    ground.close()
