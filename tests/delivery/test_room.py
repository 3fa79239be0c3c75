from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.delivery.world import JOB, World
from watcherd.delivery import room
from watcherd.delivery.files import Delivered
from watcherd.faults import FaultError

KIB = 1024


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def disk(monkeypatch: pytest.MonkeyPatch, *, blocks: int, free: int, available: int | None = None) -> None:
    """Let every file system have so many blocks of 4 KiB, some of them free, some of those for everybody."""
    found = SimpleNamespace(
        f_blocks=blocks, f_frsize=4 * KIB, f_bfree=free, f_bavail=free if available is None else available
    )
    monkeypatch.setattr(os, "fstatvfs", lambda _: found)


@pytest.mark.parametrize("sizes", [[1], [4 * KIB], [4 * KIB, 1], [3 * 4 * KIB], []])
def test_what_fits_fits(sizes: list[int], folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, blocks=100, free=4)  # one block is the reserve
    room.check(folder, sizes)


def test_what_writes_nothing_fits_on_a_full_disk(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, blocks=100, free=0)
    room.check(folder, [])


def test_what_does_not_fit_is_said_with_what_is_missing(
    folder: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk(monkeypatch, blocks=100, free=4)
    with pytest.raises(FaultError) as caught:
        room.check(folder, [1, 4 * KIB, 4 * KIB, 5 * KIB])
    fault = caught.value.fault
    assert fault.code == "disk_full"
    assert fault.message == f"{tmp_path} has no room for a delivery of 20,480 bytes: 8,192 more are needed"


def test_the_reserve_of_a_large_disk_is_small(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, blocks=1 << 30, free=5000)
    room.check(folder, [3 << 20])
    with pytest.raises(FaultError):
        room.check(folder, [4 << 20])


def test_only_root_may_use_the_blocks_that_are_kept_for_root(
    folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, blocks=100, free=50, available=0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    room.check(folder, [1])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(FaultError):
        room.check(folder, [1])


def test_a_file_system_that_tells_no_size_takes_everything(
    folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, blocks=0, free=0)
    room.check(folder, [1 << 40])


def test_a_delivery_without_room_writes_nothing_and_succeeds_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    with monkeypatch.context() as patched:
        disk(patched, blocks=100, free=2)
        with pytest.raises(FaultError):
            world.deliver()
        assert world.files(world.target) == {}
    assert world.deliver() == Delivered()
    world.assert_delivered()


def test_an_original_that_is_only_renamed_needs_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    original = world.original.stat()
    with world.original.open("ab") as file:
        file.truncate(1 << 30)
    os.utime(world.original, ns=(1, original.st_mtime_ns))
    world.plan_anew()
    disk(monkeypatch, blocks=100, free=10)
    assert world.deliver() == Delivered()


def test_what_a_stop_left_half_written_makes_room_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    left = world.target / "sub" / f".watcherd-{JOB}-1.tmp"
    left.write_bytes(b"half a copy")
    world.fresh = False
    taken = SimpleNamespace(f_blocks=100, f_frsize=4 * KIB, f_bfree=0, f_bavail=0)
    free = SimpleNamespace(f_blocks=100, f_frsize=4 * KIB, f_bfree=50, f_bavail=50)
    monkeypatch.setattr(os, "fstatvfs", lambda _: taken if left.exists() else free)
    assert world.deliver() == Delivered()
    world.assert_delivered()
