"""Sidecars beside a file that stays: stopped after any system call, or tampered with before any."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.delivery.library import NEW, OLD, Library, library_of
from tests.delivery.world import JOB, NEVER, SPEECH, STRANGER, WAYS, Machine, Stopped
from watcherd.delivery import beside, publish, room
from watcherd.delivery.files import Changed, Delivered, NameTaken, Result, Vanished, sweep
from watcherd.faults import FaultError
from watcherd.place import Place

NEAR = [way for way in WAYS if "copy" not in way]  # nothing crosses devices here
ways = pytest.mark.parametrize("way", NEAR)


def calls_of(way: str) -> int:
    """How many system calls an undisturbed delivery makes."""
    with library_of(way) as (library, machine):
        assert library.deliver() == Delivered()
        library.assert_delivered()
        return machine.calls


def replayed(library: Library, machine: Machine, stops: list[int]) -> Result:
    """Deliver with a stop after so many calls, again with the next, and at last without one."""
    for stop in stops:
        machine.calls, machine.stop_after = 0, stop
        try:
            return library.deliver()
        except Stopped:
            found = library.files()
            assert found["talk.srt"] in {OLD, NEW}
            assert found.get("talk.txt") in {None, b"", b"text"}  # an empty one is a placeholder
            assert library.original.read_bytes() == SPEECH
    machine.calls, machine.stop_after = 0, NEVER
    return library.deliver()


@ways
def test_a_stop_after_any_call_is_made_good(way: str) -> None:
    for stop in range(1, calls_of(way) + 1):
        with library_of(way) as (library, machine):
            assert replayed(library, machine, [stop]) == Delivered(), stop
            library.assert_delivered()


@given(st.sampled_from(NEAR), st.lists(st.integers(1, 100), min_size=2, max_size=6))
def test_stop_upon_stop_is_made_good(way: str, stops: list[int]) -> None:
    with library_of(way) as (library, machine):
        assert replayed(library, machine, stops) == Delivered()
        library.assert_delivered()


@ways
def test_delivering_again_what_was_delivered_changes_nothing(way: str) -> None:
    with library_of(way) as (library, _):
        assert library.deliver() == Delivered()
        before = library["talk.srt"].stat()
        assert library.deliver() == Delivered()
        library.assert_delivered()
        assert os.path.samestat(library["talk.srt"].stat(), before)


@ways
def test_a_full_disk_leaves_no_temporary_file_and_is_made_good(way: str) -> None:
    for at in range(1, calls_of(way) + 1):
        with library_of(way, fail_at=at) as (library, machine):
            with suppress(OSError):
                library.deliver()
            assert not [name for name in library.files() if name.startswith(".")]
            assert library.files()["talk.srt"] in {OLD, NEW}
            machine.fail_at = NEVER
            assert library.deliver() == Delivered()
            library.assert_delivered()


def test_everything_is_on_the_disk_before_it_gets_its_name() -> None:
    with library_of("rename") as (library, machine):
        library.deliver()
    names = [name for name in machine.log if name in {"write", "fsync", "rename", "renameat2"}]
    # The old subtitle is exchanged for a whole one; an empty subtitle; a new one; the folder, twice.
    assert names == [
        *("write", "fsync", "renameat2", "rename", "renameat2"),
        *("fsync", "renameat2"),
        *("write", "fsync", "renameat2"),
        *("fsync", "fsync"),
    ]


def test_the_sweep_removes_what_a_dead_job_left() -> None:
    with library_of("rename") as (library, machine):
        machine.stop_after = machine.calls + 12
        while not [name for name in library.files() if name.endswith(".tmp")]:
            machine.calls = 0
            machine.stop_after += 1
            with pytest.raises(Stopped):
                library.deliver()
        machine.stop_after = NEVER
        assert sweep(Place(library.inbox), is_over=lambda job: job == JOB) == 1
        assert library.files() == {"talk.srt": OLD}


# Somebody else's hand ------------------------------------------------------------------------------


def tampered(way: str, hand: Callable[[Library], None], check: Callable[[Library, Result], None]) -> None:
    """Run the hand before each call in turn, then again with a stop some calls later and a replay."""
    for at in range(1, calls_of(way) + 1):
        for later in (NEVER, at % 7):
            with library_of(way, tamper_before=at, stop_after=at + later) as (library, machine):
                machine.tamper = partial(hand, library)
                try:
                    result = library.deliver()
                except Stopped:
                    machine.stop_after = machine.tamper_before = NEVER
                    result = library.deliver()
                machine.stop_after = machine.tamper_before = NEVER
                try:
                    check(library, result)
                except AssertionError as error:
                    when = f"before call {at}, stopped {later} later"
                    raise AssertionError(f"{when}: {result}, {library.files()}") from error


def _written(library: Library) -> None:
    library["talk.srt"].write_bytes(STRANGER)


def _renamed(library: Library) -> None:
    library["edit"].write_bytes(STRANGER)
    library["edit"].rename(library["talk.srt"])


@pytest.mark.parametrize("hand", [_written, _renamed])
def test_an_edit_of_our_subtitle_is_never_lost(hand: Callable[[Library], None]) -> None:
    def check(library: Library, result: Result) -> None:
        found = library.files()
        assert found["talk.srt"] == STRANGER
        if result == NameTaken(b"talk.srt"):
            assert found == {"talk.srt": STRANGER}
            library.plan_anew(without=b"talk.srt")
            assert library.deliver() == Delivered()
        else:
            assert result == Delivered()
        assert library.files() == {"talk.srt": STRANGER, "talk.vtt": b"", "talk.txt": b"text"}

    tampered("rename", hand, check)


@pytest.mark.parametrize("way", ["rename", "link"])
def test_a_name_that_somebody_takes_is_left_alone(way: str) -> None:
    taken: list[bool] = []

    def hand(library: Library) -> None:
        taken.append(not library["talk.txt"].exists())
        if taken[-1]:
            library["talk.txt"].write_bytes(STRANGER)

    def check(library: Library, result: Result) -> None:
        if not taken[-1]:
            assert result == Delivered()
            library.assert_delivered()
            return
        assert result == NameTaken(b"talk.txt")
        assert library.files() in (
            {"talk.txt": STRANGER},  # ours was replaced by then, and cannot come back
            {"talk.txt": STRANGER, "talk.srt": OLD},
        )
        library.plan_anew()
        assert library.deliver() == Delivered()
        assert library.files() == {"talk.srt": NEW, "talk.vtt": b"", "talk.txt": STRANGER}

    tampered(way, hand, check)


@ways
def test_a_subtitle_of_ours_that_somebody_removes_is_no_harm(way: str) -> None:
    def hand(library: Library) -> None:
        library["talk.srt"].unlink(missing_ok=True)

    def check(library: Library, result: Result) -> None:
        if result == NameTaken(b"talk.srt"):
            library.plan_anew()
            result = library.deliver()
        assert result == Delivered()
        assert {"talk.srt": NEW} | library.files() == {"talk.srt": NEW, "talk.vtt": b"", "talk.txt": b"text"}

    tampered(way, hand, check)


@ways
def test_beside_an_original_that_changes_nothing_is_left(way: str) -> None:
    def hand(library: Library) -> None:
        library.original.write_bytes(STRANGER)

    def check(library: Library, result: Result) -> None:
        found = library.files()
        assert found.pop("talk.mkv") == STRANGER
        if result == Changed():
            assert found in ({}, {"talk.srt": OLD})
        else:
            assert result == Delivered()
            assert found == {"talk.srt": NEW, "talk.vtt": b"", "talk.txt": b"text"}

    tampered(way, hand, check)


def test_beside_an_original_that_goes_nothing_is_left() -> None:
    def hand(library: Library) -> None:
        library.original.unlink(missing_ok=True)

    def check(library: Library, result: Result) -> None:
        if result == Vanished():
            assert library.files() in ({}, {"talk.srt": OLD})
        else:
            assert result == Delivered()
            assert library.files() == {"talk.srt": NEW, "talk.vtt": b"", "talk.txt": b"text"}

    tampered("rename", hand, check)


# What stands in the way ----------------------------------------------------------------------------


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


@pytest.mark.parametrize("refused", [0, errno.EINVAL, errno.ENOSYS, errno.EPERM])
def test_an_edited_subtitle_keeps_its_name_all_the_time(refused: int) -> None:
    with library_of("rename", refuse_flag=refused) as (library, machine):
        library["talk.srt"].write_bytes(STRANGER)
        assert library.deliver() == NameTaken(b"talk.srt")
        assert library.files() == {"talk.srt": STRANGER}
        assert "rename" not in machine.log


@pytest.mark.parametrize("known", [True, False])
def test_an_edit_at_the_last_moment_is_seen(
    library: Library, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    real = publish.exchange

    def exchange(folder_fd: int, one: bytes, other: bytes) -> bool:
        _written(library)
        monkeypatch.setattr(publish, "exchange", real)
        return known and real(folder_fd, one, other)

    monkeypatch.setattr(publish, "exchange", exchange)
    assert library.deliver() == NameTaken(b"talk.srt")
    assert library.files() == {"talk.srt": STRANGER}


def test_beside_an_original_that_has_changed_nothing_is_replaced(library: Library) -> None:
    library.original.write_bytes(STRANGER)
    assert library.deliver() == Changed()
    assert library.files() == {"talk.mkv": STRANGER, "talk.srt": OLD}


def test_an_original_that_changes_meanwhile_takes_with_it_what_nobody_wrote_to(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = publish.move

    def move(from_fd: int, name: bytes, to_fd: int, new: bytes) -> bool:
        if new == b"talk.txt":
            _written(library)
            library.original.write_bytes(STRANGER)
        return real(from_fd, name, to_fd, new)

    monkeypatch.setattr(publish, "move", move)
    assert library.deliver() == Changed()
    assert library.files() == {"talk.mkv": STRANGER, "talk.srt": STRANGER}


def test_a_link_to_what_we_wrote_is_not_ours(library: Library) -> None:
    library["talk.srt"].rename(library.root / "elsewhere")
    library["talk.srt"].symlink_to(library.root / "elsewhere")
    assert library.deliver() == NameTaken(b"talk.srt")
    assert library["talk.srt"].is_symlink()
    assert library.files() == {"talk.srt": OLD}


@pytest.mark.parametrize("linked", [False, True])
def test_a_folder_that_is_gone_or_a_link_gets_nothing(library: Library, *, linked: bool) -> None:
    (library.inbox / "sub").rename(library.root / "elsewhere")
    if linked:
        (library.inbox / "sub").symlink_to(library.root / "elsewhere")
    assert library.deliver() == Vanished()
    assert (library.root / "elsewhere" / "talk.srt").read_bytes() == OLD
    assert len(list((library.root / "elsewhere").iterdir())) == 3


def test_an_edit_that_a_stop_left_aside_gets_a_name_of_its_own(library: Library) -> None:
    library["talk.srt"].write_bytes(b"a later edit")
    library[f".watcherd-{JOB}-2.replaced"].write_bytes(STRANGER)
    assert library.deliver() == NameTaken(b"talk.srt")
    assert library.files() == {"talk.srt": b"a later edit", "talk (2).srt": STRANGER}


def test_nothing_is_written_where_there_is_no_room(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []

    def check(_: int, sizes: list[int]) -> None:
        asked.append(list(sizes))
        raise FaultError(room._full(_, 1, missing=1))

    monkeypatch.setattr(room, "check", check)
    with pytest.raises(FaultError):
        library.deliver()
    assert asked == [[len(NEW), 0, len(b"text")]]
    assert library.files() == {"talk.srt": OLD}


def test_sidecars_have_the_modes_and_the_group_of_a_shared_folder(library: Library) -> None:
    (library.inbox / "sub").chmod(0o2775)
    if os.getuid() == 0:
        os.chown(library.inbox / "sub", -1, 54321)
    before = os.umask(0o027)
    try:
        assert library.deliver() == Delivered()
    finally:
        os.umask(before)
    for name in ("talk.srt", "talk.txt"):
        status = library[name].stat()
        assert status.st_mode & 0o7777 == 0o640
        assert status.st_gid == (library.inbox / "sub").stat().st_gid


def test_without_anything_to_write_it_is_delivered_if_it_is_the_file_that_settled(library: Library) -> None:
    library["talk.vtt"].touch()
    library["talk.txt"].touch()
    library.plan_anew(without=b"talk.srt")
    assert library.plan.sidecars == ()
    assert library.deliver() == Delivered()
    library.original.write_bytes(STRANGER)
    assert library.deliver() == Changed()


# Exchanging names ----------------------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    return tmp_path


def exchange(folder: Path, one: bytes, other: bytes) -> bool:
    fd = os.open(folder, os.O_RDONLY)
    try:
        return publish.exchange(fd, one, other)
    finally:
        os.close(fd)


def test_two_files_get_each_others_name(pair: Path) -> None:
    assert exchange(pair, b"a", b"b")
    assert ((pair / "a").read_text(), (pair / "b").read_text()) == ("b", "a")
    with pytest.raises(FileNotFoundError):
        exchange(pair, b"a", b"c")


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP, errno.EIO])
def test_only_a_file_system_that_cannot_exchange_is_excused(
    pair: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(publish, "_renameat2", refuse)
    if code == errno.EIO:
        with pytest.raises(OSError, match="Input/output"):
            exchange(pair, b"a", b"b")
    else:
        assert not exchange(pair, b"a", b"b")
    assert (pair / "a").read_text() == "a"


# Without a job's plan ------------------------------------------------------------------------------


def test_new_files_are_written_into_any_folder_and_never_over_one(tmp_path: Path) -> None:
    contents = {b"a.srt": b"a", b"a.vtt": b"v"}
    assert beside.write(tmp_path, contents, job_id=JOB) == Delivered()
    assert beside.write(tmp_path, contents, job_id=JOB) == Delivered()
    assert beside.write(tmp_path, {b"a.txt": b"t", b"a.srt": b"b"}, job_id=JOB) == NameTaken(b"a.srt")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.srt": b"a",
        "a.vtt": b"v",
        "a.txt": b"t",
    }


def test_a_report_takes_the_place_of_an_older_one_whole_at_any_stop() -> None:
    with library_of("rename") as (library, machine):
        report = library.root / "talk.mkv.7.error.json"
        write = partial(beside.write_report, library.root, b"talk.mkv.7.error.json", job_id=JOB)
        write(b"older")
        calls, machine.calls = machine.calls, 0
        for stop in range(1, calls + 1):
            machine.calls, machine.stop_after = 0, stop
            with pytest.raises(Stopped):
                write(b"newer")
            assert report.read_bytes() in {b"older", b"newer"}
        machine.stop_after = NEVER
        write(b"newest")
        assert report.read_bytes() == b"newest"
        assert [path.name for path in library.root.iterdir() if path.is_file()] == [report.name]
        assert [name for name in machine.log if name in {"write", "fsync", "rename"}][-4:] == [
            *("write", "fsync", "rename", "fsync")
        ]
