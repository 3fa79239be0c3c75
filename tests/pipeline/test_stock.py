"""What the journal knows of files that stay: true to what is there, and written only where it was not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.pipeline.world import World, running_world
from watcherd.inbox.touch import identity_of
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.stock import take_stock

KEEP = {"after": "keep", "done": None, "failed": None}


async def kept(world: World, *names: str) -> Bench:
    """Files in the inbox that the journal knows as kept."""
    raw = world.journal._connection.raw
    for name in names:
        path = world.home / "inbox" / name
        path.write_bytes(b"sound")
        job = await world.journal.add("inbox", name.encode(), identity_of(path.stat()))
        assert job is not None
        row = ("inbox", b"", name.encode(), 5, path.stat().st_mtime_ns, job.id)
        await world.journal._connection.write(
            raw.execute, "INSERT INTO kept VALUES (?, ?, ?, ?, ?, ?, NULL)", row
        )
    return world.queue._benches["inbox"]


async def missing(world: World) -> Sequence[bytes]:
    noted = await world.journal.kept.paths("inbox", after=b"", limit=10)
    return [path for path, is_missing in noted.items() if is_missing]


async def test_files_that_have_gone_are_noted_and_those_that_are_back_too(tmp_path: Path) -> None:
    async with running_world(tmp_path, folder_keys=KEEP) as world:
        bench = await kept(world, "a.mp3", "b.mp3")
        (tmp_path / "inbox" / "a.mp3").rename(tmp_path / "a.mp3")
        await take_stock(bench)
        assert await missing(world) == [b"a.mp3"]
        (tmp_path / "a.mp3").rename(tmp_path / "inbox" / "a.mp3")
        await take_stock(bench)
        assert await missing(world) == []


async def test_files_that_are_as_noted_are_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_world(tmp_path, folder_keys=KEEP) as world:
        bench = await kept(world, "a.mp3", "b.mp3")
        (tmp_path / "inbox" / "a.mp3").unlink()
        await take_stock(bench)
        monkeypatch.setattr(world.journal.kept, "note", None)  # a call of it would fail
        await take_stock(bench)
        assert await missing(world) == [b"a.mp3"]


async def test_a_library_of_several_calls_is_gone_through_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcherd.pipeline.stock.AT_ONCE", 2)
    async with running_world(tmp_path, folder_keys=KEEP) as world:
        bench = await kept(world, *(f"{number}.mp3" for number in range(5)))
        (tmp_path / "inbox" / "4.mp3").unlink()
        await take_stock(bench)
        assert await missing(world) == [b"4.mp3"]
