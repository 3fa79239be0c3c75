"""Files that arrive in a running inbox, by the programs that people use."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.inbox.support import QUICK, FakeDesk, Logged, at_work, eventually, folder_at, never, notes, run
from tests.inbox.test_watch import overflow
from watcherd.clock import SystemClock
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.inbox import arrivals, complaints, intake, pace, settle, warden, watch
from watcherd.inbox.condition import Condition, Reach
from watcherd.inbox.intake import Intake
from watcherd.inbox.reconcile import Listing
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import identity_of
from watcherd.job import Identity, State

SOUND = b"sound" * 1000


def write(path: Path, content: bytes = SOUND) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@asynccontextmanager
async def writer_of(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another program: half a file is written and held open, the rest follows when its input ends."""
    code = (
        "import sys; f = open(sys.argv[1], 'wb'); f.write(b'half'); f.flush();"
        "print('half', flush=True); sys.stdin.read(); f.write(b'rest'); f.close()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"half\n"
    try:
        yield process
    finally:
        await process.communicate(b"")


# What is there at the start, and what comes later.


async def test_files_that_are_there_at_the_start_settle_in_the_order_of_their_names(
    inbox: Path, desk: FakeDesk
) -> None:
    for name in ("c.mp3", "a.mp3", "b.wav", "sub/d.ogg", "notes.txt"):
        write(inbox / name)
    async with at_work(folder_at(inbox), desk) as running:
        await eventually(lambda: len(desk.admitted) == 4)
        assert desk.admitted == [b"a.mp3", b"b.wav", b"c.mp3", b"sub/d.ogg"]
        await eventually(lambda: running.idle)
        assert not running.held
        assert running.state.missed_by_events == 0


async def test_a_file_is_admitted_as_what_it_is(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox), desk):
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted)
        assert desk.job(b"a.mp3").identity == identity_of((inbox / "a.mp3").stat())


async def test_it_settles_no_earlier_than_it_should_and_not_much_later(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox, settle=1), desk):
        write(inbox / "a.mp3")
        began = time.monotonic()
        await eventually(lambda: desk.admitted)
        assert 0.95 <= time.monotonic() - began < 10


async def test_old_time_stamps_do_not_shorten_the_wait(inbox: Path, desk: FakeDesk, tmp_path: Path) -> None:
    write(tmp_path / "old.mp3")
    os.utime(tmp_path / "old.mp3", (0, 0))
    async with at_work(folder_at(inbox, settle=1), desk):
        await run("cp", "-p", tmp_path / "old.mp3", inbox)
        began = time.monotonic()
        await eventually(lambda: desk.admitted)
        assert time.monotonic() - began > 0.8


@pytest.mark.parametrize("command", ["cp", "mv", "rsync", "ln", "install"])
async def test_usual_commands_deliver_exactly_once(
    command: str, inbox: Path, desk: FakeDesk, tmp_path: Path
) -> None:
    write(tmp_path / "talk.mp3")
    async with at_work(folder_at(inbox), desk) as running:
        await run(command, tmp_path / "talk.mp3", inbox / "talk.mp3")
        await eventually(lambda: desk.admitted == [b"talk.mp3"])
        await eventually(lambda: running.idle)
        assert len(desk.admitted) == 1
        assert running.state.missed_by_events == 0


async def test_a_copied_tree_arrives_whole(inbox: Path, desk: FakeDesk, tmp_path: Path) -> None:
    expected = set()
    for folder in range(10):
        for number in range(30):
            write(tmp_path / "tree" / str(folder) / f"{number}.mp3")
            expected.add(b"tree/%d/%d.mp3" % (folder, number))
    async with at_work(folder_at(inbox), desk) as running:
        await run("cp", "-r", tmp_path / "tree", inbox)
        await eventually(lambda: set(desk.admitted) == expected)
        assert len(desk.admitted) == len(expected)
        assert running.state.missed_by_events == 0


async def test_a_moved_tree_arrives_whole_and_so_does_what_follows(
    inbox: Path, desk: FakeDesk, tmp_path: Path
) -> None:
    write(tmp_path / "tree" / "deep" / "a.mp3")
    async with at_work(folder_at(inbox), desk) as running:
        await run("mv", tmp_path / "tree", inbox)
        await eventually(lambda: desk.admitted == [b"tree/deep/a.mp3"])
        write(inbox / "tree" / "deep" / "b.mp3")
        await eventually(lambda: desk.admitted == [b"tree/deep/a.mp3", b"tree/deep/b.mp3"])
        assert running.state.missed_by_events == 0


async def test_a_folder_made_and_filled_at_once_loses_nothing(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox), desk) as running:
        for number in range(30):
            write(inbox / str(number) / "b" / "c" / "a.mp3")
        await eventually(lambda: len(desk.admitted) == 30)
        assert running.state.missed_by_events == 0


async def test_a_rename_from_a_partial_name_is_quick(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox, settle=3600), desk):
        write(inbox / "a.mp3.part")
        (inbox / "a.mp3.part").rename(inbox / "a.mp3")
        write(inbox / "b.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3"])


async def test_rsync_is_quick_for_its_own_renames_say_so(inbox: Path, desk: FakeDesk, tmp_path: Path) -> None:
    write(tmp_path / "a.mp3", SOUND * 100)
    async with at_work(folder_at(inbox, settle=3600), desk):
        await run("rsync", "-t", tmp_path / "a.mp3", inbox)
        await eventually(lambda: desk.admitted == [b"a.mp3"])


async def test_a_rename_between_ordinary_names_settles_as_usual(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox, settle=2), desk) as running:
        write(inbox / "a.mp3")
        (inbox / "a.mp3").rename(inbox / "b.mp3")
        await eventually(lambda: b"b.mp3" in notes(running))
        await never(lambda: desk.admitted, for_=1)
        await eventually(lambda: desk.admitted == [b"b.mp3"])


async def test_a_placeholder_waits_for_the_file_that_is_renamed_over_it(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox), desk) as running:
        (inbox / "a.mp3").touch()
        write(inbox / "a.mp3.part", b"half")
        await eventually(lambda: notes(running).get(b"a.mp3") == settle.Note.HELD)
        write(inbox / "a.mp3.part")
        (inbox / "a.mp3.part").rename(inbox / "a.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3"])
        assert desk.job(b"a.mp3").identity.size == len(SOUND)


# Writers that are not finished.


async def test_a_writer_that_pauses_with_the_file_open_is_waited_for(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox), desk) as running:
        async with writer_of(inbox / "a.mp3"):
            await eventually(lambda: notes(running).get(b"a.mp3") == settle.Note.WRITING)
            await never(lambda: desk.admitted, for_=4 * QUICK)
            assert not running.idle
        await eventually(lambda: desk.admitted == [b"a.mp3"])
        assert desk.job(b"a.mp3").identity.size == len(b"halfrest")


async def test_without_leases_a_file_must_rest_longer(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "LEASELESS", 2.0)
    monkeypatch.setattr("watcherd.inbox.root.reach_of", lambda _: Reach.REMOTE)
    async with at_work(folder_at(inbox, poll_interval=0.2), desk):
        write(inbox / "a.mp3")
        await never(lambda: desk.admitted, for_=4 * QUICK)
        await eventually(lambda: desk.admitted)


async def test_a_file_that_never_rests_is_reported_and_not_sent(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    monkeypatch.setattr(settle, "LONGEST", 0.5)
    async with at_work(folder_at(inbox), desk) as running:
        async with writer_of(inbox / "a.mp3"):
            await eventually(lambda: notes(running).get(b"a.mp3") == settle.Note.GROWING)
            assert running.held
            assert running.idle
            assert desk.admitted == []
        await eventually(lambda: desk.admitted)
    assert logged.times("arrival.growing") == 1


# What is no file, or none to be had.


async def test_what_is_no_plain_file_is_left_alone(inbox: Path, desk: FakeDesk, tmp_path: Path) -> None:
    write(tmp_path / "outside.mp3")
    async with at_work(folder_at(inbox), desk) as running:
        (inbox / "folder.mp3").mkdir()
        (inbox / "link.mp3").symlink_to(tmp_path / "outside.mp3")
        os.mkfifo(inbox / "fifo.mp3")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(inbox / "socket.mp3"))
        write(inbox / "real.mp3")
        await eventually(lambda: desk.admitted == [b"real.mp3"])
        running.rescan()
        await eventually(lambda: running.idle)
        assert notes(running) == {}
        listener.close()
    assert desk.admitted == [b"real.mp3"]


@pytest.mark.parametrize(
    "name",
    [b"a\nb.mp3", b"-rf.mp3", b"'\"$(x).mp3", b"caf\xe9\xff.mp3", b"x" * 251 + b".mp3", b"a\x1b[31m.mp3"],
)
async def test_awkward_names_are_only_names(name: bytes, inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox), desk):
        write(inbox / os.fsdecode(name))
        await eventually(lambda: desk.admitted == [name])


async def test_the_scan_sees_that_a_partial_file_went(inbox: Path, desk: FakeDesk) -> None:
    write(inbox / "a.mp3")
    write(inbox / "a.mp3.part")
    async with at_work(folder_at(inbox, settle=3600), desk) as running:
        await eventually(lambda: notes(running) == {b"a.mp3": settle.Note.HELD})
        (inbox / "a.mp3.part").unlink()
        running.rescan()
        await eventually(lambda: notes(running) == {b"a.mp3": settle.Note.SETTLING})


async def test_an_empty_file_is_not_reported_before_its_time(
    inbox: Path, desk: FakeDesk, logged: Logged
) -> None:
    async with at_work(folder_at(inbox, settle=0.1), desk) as running:
        (inbox / "a.mp3").touch()
        await eventually(lambda: notes(running).get(b"a.mp3") == settle.Note.EMPTY)
        await never(lambda: logged.times("arrival.empty"), for_=0.5)


async def test_an_empty_file_stays_and_is_reported_once(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    monkeypatch.setattr(complaints, "EMPTY_FOR", 0.5)
    async with at_work(folder_at(inbox, settle=0.1), desk) as running:
        (inbox / "a.mp3").touch()
        await eventually(lambda: notes(running).get(b"a.mp3") == settle.Note.EMPTY)
        assert running.idle
        assert running.held
        await eventually(lambda: logged.times("arrival.empty"))
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3"])
    assert logged.times("arrival.empty") == 1


async def test_a_file_that_vanishes_while_it_settles_is_forgotten(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox), desk) as running:
        write(inbox / "a.mp3")
        await eventually(lambda: b"a.mp3" in notes(running))
        (inbox / "a.mp3").unlink()
        await eventually(lambda: notes(running) == {})
        assert running.idle
    assert desk.admitted == []


async def test_ignored_names_cause_no_look_at_all(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox, exclude=("drafts/",), recursive=True), desk) as running:
        for name in ("a.txt", ".b.mp3", "drafts/c.mp3", "done/d.mp3", "failed/e.mp3", "f.mp3"):
            write(inbox / name)
        await eventually(lambda: desk.admitted == [b"f.mp3"])
        running.rescan()
        await eventually(lambda: running.idle)
    assert desk.admitted == [b"f.mp3"]


async def test_without_recursion_folders_are_not_looked_into(inbox: Path, desk: FakeDesk) -> None:
    write(inbox / "sub" / "a.mp3")
    async with at_work(folder_at(inbox, recursive=False), desk):
        write(inbox / "sub" / "b.mp3")
        write(inbox / "c.mp3")
        await eventually(lambda: desk.admitted == [b"c.mp3"])


# Jobs whose files are known.


async def test_a_file_with_an_open_job_is_not_admitted_again(inbox: Path, desk: FakeDesk) -> None:
    write(inbox / "a.mp3")
    desk.put(b"a.mp3", identity_of((inbox / "a.mp3").stat()), State.TRANSLATING)
    async with at_work(folder_at(inbox), desk) as running:
        write(inbox / "b.mp3")
        await eventually(lambda: desk.admitted == [b"b.mp3"])
        running.rescan()
        await eventually(lambda: running.idle)
    assert desk.admitted == [b"b.mp3"]
    assert desk.withdrawn == []


@pytest.mark.parametrize("state", [State.QUEUED, State.TRANSLATING, State.DELIVERING])
async def test_an_event_that_changes_nothing_disturbs_no_job(
    state: State, inbox: Path, desk: FakeDesk
) -> None:
    write(inbox / "a.mp3")
    desk.put(b"a.mp3", identity_of((inbox / "a.mp3").stat()), state)
    async with at_work(folder_at(inbox), desk) as running:
        desk.asked.clear()
        with (inbox / "a.mp3").open("ab"):
            pass
        await eventually(lambda: desk.asked)
        await eventually(lambda: notes(running) == {})
        await never(lambda: desk.withdrawn or desk.admitted, for_=2 * QUICK)


@pytest.mark.parametrize("slow", [False, True])
async def test_a_queued_file_that_changes_is_withdrawn_and_settles_anew(inbox: Path, slow: bool) -> None:
    desk = FakeDesk(slow=slow)
    async with at_work(folder_at(inbox), desk):
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted)
        first = desk.job(b"a.mp3")
        write(inbox / "a.mp3", b"another")
        await eventually(lambda: (first.id, "changed") in desk.withdrawn)
        desk.jobs.pop(first.id, None)
        await eventually(lambda: desk.admitted == [b"a.mp3", b"a.mp3"])
        assert desk.job(b"a.mp3").identity.size == len(b"another")


async def test_a_file_that_changes_under_its_job_waits_until_the_job_is_over(inbox: Path) -> None:
    write(inbox / "a.mp3")
    desk = FakeDesk()
    job = desk.put(b"a.mp3", Identity(1, 1, 1, 1, 1), State.TRANSLATING)
    async with at_work(folder_at(inbox), desk) as running:
        write(inbox / "a.mp3", b"another")
        await eventually(lambda: notes(running).get(b"a.mp3") == settle.Note.TAKEN)
        assert not running.idle
        assert not desk.admitted
        assert not desk.withdrawn
        del desk.jobs[job.id]
        await eventually(lambda: desk.admitted == [b"a.mp3"])


async def test_a_queued_file_that_is_renamed_becomes_a_job_under_its_new_name(
    inbox: Path, desk: FakeDesk
) -> None:
    async with at_work(folder_at(inbox), desk):
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted)
        first = desk.job(b"a.mp3")
        (inbox / "a.mp3").rename(inbox / "b.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3", b"b.mp3"])
        assert desk.withdrawn == [(first.id, "vanished")]


async def test_the_scan_withdraws_what_went_without_a_word(inbox: Path, desk: FakeDesk) -> None:
    for name in ("a.mp3", "sub/b.mp3", "sub/c.mp3", "d.mp3"):
        write(inbox / name)
    async with at_work(folder_at(inbox), desk) as running:
        await eventually(lambda: len(desk.admitted) == 4)
        ids = {job.path: job.id for job in desk.jobs.values()}
        desk.put(b"e.mp3", Identity(1, 1, 1, 1, 1), State.DELIVERING)
        (inbox / "a.mp3").unlink()
        await run("rm", "-r", inbox / "sub")
        running.rescan()
        await eventually(lambda: len(desk.withdrawn) == 3)
        expected = {ids[b"a.mp3"], ids[b"sub/b.mp3"], ids[b"sub/c.mp3"]}
        assert {job_id for job_id, why in desk.withdrawn if why == "vanished"} == expected


async def test_a_listing_that_lacks_a_name_does_not_withdraw_a_file_that_is_there(
    inbox: Path, desk: FakeDesk
) -> None:
    write(inbox / "a.mp3")
    async with at_work(folder_at(inbox), desk) as running:
        await eventually(lambda: desk.admitted)
        ground = running._warden.ground
        assert ground is not None
        await running._compare(ground, Listing(folder=b""))
        assert desk.withdrawn == []


async def test_folders_where_no_job_can_be_are_not_asked_about(inbox: Path, desk: FakeDesk) -> None:
    for number in range(20):
        write(inbox / str(number) / "notes.txt")
    write(inbox / "sub" / "a.mp3")
    async with at_work(folder_at(inbox), desk) as running:
        await eventually(lambda: desk.admitted)
        assert set(desk.asked) == {b"sub"}
        desk.asked.clear()
        before = running.state.scanned_at
        running.rescan()
        await eventually(lambda: running.state.scanned_at != before)
        assert set(desk.asked) == {b"sub"}


async def test_a_fault_of_the_desk_loses_nothing(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    monkeypatch.setattr(intake, "RETRY", 0.2)
    monkeypatch.setattr(arrivals, "UNHANDLED", 0.2)
    async with at_work(folder_at(inbox), desk) as running:
        desk.fault = FaultError(
            Fault(scope=Scope.MACHINE, code="disk_full", message="no", hint="space", remedy=Remedy.PAUSE)
        )
        write(inbox / "a.mp3")
        await eventually(lambda: logged.times("arrivals.postponed"))
        assert notes(running).keys() == {b"a.mp3"}
        desk.fault = None
        await eventually(lambda: desk.admitted == [b"a.mp3"])
        assert running.state.standing.condition is Condition.WATCHING


# Events that do not come.


async def test_after_an_overflow_the_scan_finds_what_was_lost(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox), desk) as running:
        ground = running._warden.ground
        assert ground is not None
        assert ground._watch is not None
        overflow(ground._watch, inbox)
        write(inbox / "lost.mp3")
        await eventually(lambda: desk.admitted == [b"lost.mp3"])
        assert running.state.missed_by_events == 0


async def test_a_flood_of_hints_ends_in_a_scan(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "FLOOD", 10)
    async with at_work(folder_at(inbox), desk) as running:
        write(inbox / "a.mp3")
        before = running.state.scanned_at
        for number in range(50):
            running._hints.put_nowait(watch.Noticed(b"ghost %d.mp3" % number))
        await eventually(lambda: running.state.scanned_at != before)
        await eventually(lambda: desk.admitted == [b"a.mp3"])


async def test_files_that_no_event_tells_of_are_found_and_counted_and_the_watch_is_replaced(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    async with at_work(folder_at(inbox, rescan=0.2), desk) as running:
        ground = running._warden.ground
        assert ground is not None
        first = ground._watch
        with monkeypatch.context() as deaf:
            deaf.setattr(watch._Handler, "dispatch", lambda *_: None)
            for number in range(warden.MISSES):
                write(inbox / f"{number}.mp3")
            await eventually(lambda: running.state.missed_by_events == warden.MISSES)
        await eventually(lambda: ground._watch is not first and ground.watching)
        write(inbox / "heard.mp3")
        await eventually(lambda: b"heard.mp3" in desk.admitted)
        assert running.state.missed_by_events == warden.MISSES
    assert logged.times("watch.rebuilt") == 1


async def test_polling_finds_everything_without_any_event(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox, watch="poll", poll_interval=0.2), desk) as running:
        assert not running.state.live
        write(inbox / "sub" / "a.mp3")
        await eventually(lambda: desk.admitted == [b"sub/a.mp3"])
        assert running.state.missed_by_events == 0


async def test_a_network_file_system_is_scanned_often_beside_the_events(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcherd.inbox.root.reach_of", lambda _: Reach.REMOTE)
    monkeypatch.setattr(settle, "LEASELESS", 0.1)
    monkeypatch.setattr(watch._Handler, "dispatch", lambda *_: None)
    async with at_work(folder_at(inbox, poll_interval=0.2), desk) as running:
        assert running.state.live
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted == [b"a.mp3"])
        assert running.state.missed_by_events == 0


async def test_asking_for_a_scan_makes_one(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox, watch="poll"), desk) as running:
        write(inbox / "a.mp3")
        await never(lambda: notes(running), for_=0.3)
        running.rescan()
        await eventually(lambda: desk.admitted == [b"a.mp3"])


async def test_the_state_is_a_snapshot_for_the_status(inbox: Path, desk: FakeDesk) -> None:
    write(inbox / "sub" / "a.mp3")
    async with at_work(folder_at(inbox, settle=3600), desk) as running:
        await eventually(lambda: notes(running))
        state = running.state
        assert state.name == "inbox"
        assert state.standing.condition is Condition.WATCHING
        assert state.standing.text == state.standing.hint == state.limited == ""
        assert state.live
        (waiting,) = state.arrivals
        assert (waiting.path, waiting.note) == (b"sub/a.mp3", "settling")
        assert abs(waiting.since - time.time()) < 60
        assert state.scanned is not None
        assert (state.scanned.files, state.scanned.folders) == (1, 2)
        assert state.scanned_at is not None
        assert abs(state.scanned_at - time.time()) < 60


async def test_what_was_noticed_is_logged_once(inbox: Path, desk: FakeDesk, logged: Logged) -> None:
    async with at_work(folder_at(inbox), desk):
        write(inbox / "a.mp3")
        await eventually(lambda: desk.admitted)
    assert logged.times("arrival.noticed") == 1
    assert logged.times("inbox.watching") == 1


@pytest.mark.parametrize("turns", range(5))
async def test_an_inbox_that_is_told_to_end_as_a_hint_comes_ends(
    inbox: Path, desk: FakeDesk, turns: int
) -> None:
    storage = Storage("test", idle=0.5)
    running = Intake(folder_at(inbox), storage=storage, desk=desk, clock=SystemClock())
    task = asyncio.create_task(running.run())
    await eventually(lambda: running.state.scanned is not None)
    await asyncio.sleep(0.05)  # it rests by now, in most cases
    running.rescan()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    ended, _ = await asyncio.wait({task}, timeout=10)
    task.cancel()
    storage.close()
    assert ended


async def test_nobody_waits_for_the_first_scan_of_an_inbox_that_is_missing(
    tmp_path: Path, desk: FakeDesk
) -> None:
    async with at_work(folder_at(tmp_path / "away"), desk, wait=False) as intake:
        await eventually(intake.surveyed.is_set)
        assert intake.state.scanned is None


async def test_nobody_waits_for_the_first_scan_of_an_inbox_whose_desk_is_in_trouble(
    inbox: Path, desk: FakeDesk
) -> None:
    desk.fault = FaultError(
        Fault(scope=Scope.MACHINE, code="disk_full", message="no", hint="space", remedy=Remedy.PAUSE)
    )
    async with at_work(folder_at(inbox), desk, wait=False) as intake:
        await eventually(intake.surveyed.is_set)
        assert intake.state.scanned is None


async def test_an_inbox_is_surveyed_once_it_is_scanned(inbox: Path, desk: FakeDesk) -> None:
    async with at_work(folder_at(inbox), desk, wait=False) as intake:
        assert not intake.surveyed.is_set()
        await intake.surveyed.wait()
        assert intake.state.scanned is not None


@pytest.mark.parametrize("plenty", [True, False])
async def test_arrivals_rest_while_plenty_of_jobs_are_queued(
    inbox: Path, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, *, plenty: bool
) -> None:
    monkeypatch.setattr(pace, "REST", 1e9)
    monkeypatch.setattr(pace, "LONGEST", 3600.0)
    desk.plenty = plenty
    (inbox / "a.mp3").write_bytes(b"sound")
    async with at_work(folder_at(inbox, settle=0.1), desk) as running:
        if plenty:
            await eventually(lambda: notes(running))
            await never(lambda: desk.admitted, for_=1)
            assert running.held, "it is shown as an arrival meanwhile"
        else:
            await eventually(lambda: desk.admitted)
