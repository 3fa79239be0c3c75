"""Viewing: a journal is read beside its writer and without one, and nothing of it changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from watcherd.clock import SystemClock
from watcherd.faults import FaultError
from watcherd.job import Identity
from watcherd.journal.reader import reading
from watcherd.journal.store import Journal
from watcherd.journal.viewing import view

FILE = Identity(1, 2, 3, 4, 5)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_a_journal_is_seen_as_it_grows_and_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    viewed = view(path, SystemClock())
    assert await viewed.open_jobs("inbox", b"") == []
    assert files(tmp_path) == {}
    journal = await Journal.open(path, SystemClock())
    await journal.add("inbox", b"a.mp3", FILE)
    assert [job.path for job in await viewed.open_jobs("inbox", b"")] == [b"a.mp3"]
    await journal.close()
    before = files(tmp_path)
    assert [job.path for job in await viewed.open_jobs("inbox", b"")] == [b"a.mp3"]
    with reading(path) as reader:
        assert [seen.job.path for seen in reader.history("inbox", b"a.mp3")] == [b"a.mp3"]
    assert files(tmp_path) == before


async def test_questions_at_once_are_answered_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = await Journal.open(path, SystemClock())
    await journal.add("inbox", b"a.mp3", FILE)
    viewed = view(path, SystemClock())
    found = await asyncio.gather(*(viewed.open_jobs("inbox", b"") for _ in range(8)))
    assert [len(jobs) for jobs in found] == [1] * 8
    await journal.close()


async def test_nothing_can_be_written_into_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = await Journal.open(path, SystemClock())
    with pytest.raises(FaultError, match=r"cannot read .*readonly"):
        await view(path, SystemClock()).add("inbox", b"a.mp3", FILE)
    await journal.close()


async def test_a_journal_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"no database " * 100)
    with pytest.raises(FaultError, match="journal_unreadable"):
        await view(tmp_path / "journal", SystemClock()).open_jobs("inbox", b"")
