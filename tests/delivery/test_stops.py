"""Deliveries stopped after any system call, or tampered with before any: nothing is lost or replaced."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.delivery.world import JOB, NEVER, SPEECH, STRANGER, WAYS, Machine, Stopped, World
from watcherd.delivery.files import Changed, Delivered, NameTaken, Result, Vanished, sweep
from watcherd.job import Outcome
from watcherd.place import Place

ways = pytest.mark.parametrize("way", WAYS)


@contextmanager
def world_of(way: str, **settings: object) -> Iterator[tuple[World, Machine]]:
    """A fresh world in memory, on a machine of this kind."""
    memory = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    try:
        with pytest.MonkeyPatch.context() as monkeypatch:
            world = World(root)
            machine = Machine(**WAYS[way], **settings)  # type: ignore[arg-type]  # a table of keywords
            machine.install(monkeypatch)
            yield world, machine
    finally:
        shutil.rmtree(root)


def calls_of(way: str) -> int:
    """How many system calls an undisturbed delivery makes."""
    with world_of(way) as (world, machine):
        assert world.deliver() == Delivered()
        world.assert_delivered()
        return machine.calls


def replayed(world: World, machine: Machine, stops: list[int]) -> Result:
    """Deliver with a stop after so many calls, again with the next, and at last without one."""
    for stop in stops:
        machine.calls, machine.stop_after = 0, stop
        try:
            return world.deliver()
        except Stopped:
            world.assert_nothing_lost()
    machine.calls, machine.stop_after = 0, NEVER
    return world.deliver()


@ways
def test_a_stop_after_any_call_is_made_good(way: str) -> None:
    for stop in range(1, calls_of(way) + 1):
        with world_of(way) as (world, machine):
            assert replayed(world, machine, [stop]) == Delivered(), stop
            world.assert_delivered()


@given(st.sampled_from(list(WAYS)), st.lists(st.integers(1, 120), min_size=2, max_size=6))
def test_stop_upon_stop_is_made_good(way: str, stops: list[int]) -> None:
    with world_of(way) as (world, machine):
        assert replayed(world, machine, stops) == Delivered()
        world.assert_delivered()


@ways
def test_delivering_again_what_was_delivered_changes_nothing(way: str) -> None:
    with world_of(way) as (world, _):
        assert world.deliver() == Delivered()
        assert world.deliver() == Delivered()
        world.assert_delivered()


@ways
def test_a_failed_delivery_is_as_safe(way: str) -> None:
    for stop in range(1, calls_of(way) + 1, 3):
        with world_of(way) as (world, machine):
            world.outcome = Outcome.FAILED
            world.plan_anew()
            assert replayed(world, machine, [stop]) == Delivered()
            assert set(world.files(world.target)) == {"sub/talk.mp3", "sub/talk.mp3.error.json"}
            world.assert_delivered()


@ways
def test_the_sweep_removes_what_a_dead_job_left(way: str) -> None:
    for stop in range(1, calls_of(way) + 1, 5):
        with world_of(way) as (world, machine):
            machine.stop_after = stop
            with pytest.raises(Stopped):
                world.deliver()
            machine.stop_after = NEVER
            before = world.files(world.target)
            sweep(Place(world.target), is_over=lambda job: job != JOB)
            assert world.files(world.target) == before
            left = sum(name.endswith(".tmp") for name in before)
            assert sweep(Place(world.target), is_over=lambda job: job != JOB + 1) == left
            assert not [name for name in world.files(world.target) if name.endswith(".tmp")]


@ways
def test_everything_is_on_the_disk_before_it_gets_its_name(way: str) -> None:
    with world_of(way) as (world, machine):
        world.deliver()
    names = [name for name in machine.log if name in {"write", "fsync", "renameat2", "rename", "mkdir"}]
    for before, name in pairwise(names):
        assert before != "write" or name in {"write", "fsync"}
    moved = len(names) - 1 - names[::-1].index("renameat2")
    assert names[moved - 1] == "fsync"
    assert names[moved + 1 :].count("fsync") >= 2
    if "copy" in way:  # the copy's name is on the disk before the original loses its own
        assert names[-4:-2] == ["fsync", "rename"]


# Somebody else's hand ------------------------------------------------------------------------------


def tampered(way: str, hand: Callable[[World], None], check: Callable[[World, Result], None]) -> None:
    """Run the hand before each call in turn, then again with a stop and a replay after it."""
    last = calls_of(way)
    for at in range(1, last + 1):
        with world_of(way, tamper_before=at) as (world, machine):
            machine.tamper = partial(hand, world)
            result = world.deliver()
            check_at(f"before call {at}", check, world, result)
        for later in range(13) if at > last - 20 else [at % 13]:
            with world_of(way, tamper_before=at, stop_after=at + later) as (world, machine):
                machine.tamper = partial(hand, world)
                try:
                    result = world.deliver()
                    machine.stop_after = NEVER
                except Stopped:
                    machine.stop_after = machine.tamper_before = NEVER
                    result = world.deliver()
                check_at(f"before call {at}, stopped {later} later", check, world, result)


def check_at(when: str, check: Callable[[World, Result], None], world: World, result: Result) -> None:
    try:
        check(world, result)
    except AssertionError as error:
        inbox, target = world.files(world.inbox), world.files(world.target)
        raise AssertionError(f"{when}: {result}, inbox {_brief(inbox)}, done {_brief(target)}") from error


def _brief(files: dict[str, bytes]) -> dict[str, str]:
    return {name: f"{len(content)} bytes" for name, content in files.items()}


def nothing_of_the_plan(world: World) -> bool:
    return world.files(world.target) == {}


@ways
def test_a_file_that_takes_the_originals_place_stays_in_the_inbox(way: str) -> None:
    def hand(world: World) -> None:
        new = world.inbox / "new"
        new.write_bytes(STRANGER)
        new.rename(world.original)

    def check(world: World, result: Result) -> None:
        inbox = world.files(world.inbox)
        assert list(inbox.values()) == [STRANGER], inbox.keys()
        assert set(inbox) <= {"sub/talk.mp3", "sub/talk (2).mp3"}
        if result == Delivered():
            assert world.files(world.target) == world.delivered
        else:
            assert result == Changed()
            assert nothing_of_the_plan(world)

    tampered(way, hand, check)


@ways
def test_an_original_that_grows_is_not_delivered_half(way: str) -> None:
    def hand(world: World) -> None:
        if world.original.exists():
            with world.original.open("ab") as file:
                file.write(STRANGER)

    def check(world: World, result: Result) -> None:
        inbox, target = world.files(world.inbox), world.files(world.target)
        if result == Changed():
            assert inbox == {"sub/talk.mp3": SPEECH + STRANGER}
            assert target == {}
        else:
            assert result == Delivered()
            assert inbox in ({}, {"sub/talk.mp3": SPEECH + STRANGER})
            assert target.pop("sub/talk.mp3") in {SPEECH, SPEECH + STRANGER}
            assert target == {name: content for name, content in world.delivered.items() if "mp3" not in name}

    tampered(way, hand, check)


@ways
def test_an_original_that_is_taken_away_leaves_nothing_or_is_delivered(way: str) -> None:
    def hand(world: World) -> None:
        world.original.unlink(missing_ok=True)

    def check(world: World, result: Result) -> None:
        assert world.files(world.inbox) == {}
        if result == Delivered():
            assert world.files(world.target) == world.delivered
        else:
            assert result == Vanished()
            assert nothing_of_the_plan(world)

    tampered(way, hand, check)


@pytest.mark.parametrize("way", [way for way in WAYS if "placeholder" not in way])
@pytest.mark.parametrize("name", ["talk.srt", "talk.txt", "talk.mp3"])
def test_a_name_that_somebody_takes_is_left_alone(way: str, name: str) -> None:
    taken: list[bool] = []

    def hand(world: World) -> None:
        path = world.target / "sub" / name
        taken.append(not path.exists())
        if taken[-1]:
            path.write_bytes(STRANGER)

    def check(world: World, result: Result) -> None:
        if not taken[-1]:
            assert result == Delivered()
            world.assert_delivered()
            return
        assert result == NameTaken(name.encode())
        assert world.files(world.target) == {f"sub/{name}": STRANGER}
        assert world.files(world.inbox) == {"sub/talk.mp3": SPEECH}
        world.plan_anew(name.encode())
        assert world.deliver() == Delivered()
        assert world.files(world.target) == {f"sub/{name}": STRANGER, **world.delivered}

    tampered(way, hand, check)


@ways
def test_a_full_disk_leaves_no_temporary_file_and_is_made_good(way: str) -> None:
    for at in range(1, calls_of(way) + 1):
        with world_of(way) as (world, machine):
            machine.fail_at = at
            try:
                result = world.deliver()
            except OSError:
                left = [name for name in world.files(world.target) if name.endswith(".tmp")]
                assert [name for name in left if not name.endswith("-0.tmp")] == []
                world.assert_nothing_lost()
                machine.fail_at = NEVER
                result = world.deliver()
            assert result == Delivered()
            world.assert_delivered()


def test_a_real_other_device_is_copied_to(tmp_path: Path) -> None:
    far = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        if os.stat(far).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("one device only")
        world = World(tmp_path, far=far)
        world.original.chmod(0o640)
        if os.getuid() == 0:
            os.chown(world.original, 12345, 54321)
        os.setxattr(world.original, "user.note", b"kept")
        world.plan_anew()
        assert world.deliver() == Delivered()
        world.assert_delivered()
        assert world.arrived.stat().st_mode & 0o7777 == 0o640
        assert os.getxattr(world.arrived, "user.note") == b"kept"
        if os.getuid() == 0:
            assert (world.arrived.stat().st_uid, world.arrived.stat().st_gid) == (12345, 54321)
        assert world.deliver() == Delivered()
        world.assert_delivered()
    finally:
        shutil.rmtree(far)
