"""Writes that wait at the same time are committed together, and each fails alone."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.waiting import eventually
from watcherd.clock import SystemClock
from watcherd.faults import FaultError
from watcherd.journal.connection import Connection


class Counted:
    """A connection whose thread can be held up, and whose commits are counted."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self.connection = connection
        self.path = path
        self.commits = 0
        self._go_on = threading.Event()
        connection.raw.set_trace_callback(self._seen)

    async def held_up(self) -> asyncio.Task[bool]:
        """Let the thread wait; what is asked of it until `go_on` comes in one go."""
        began = threading.Event()

        def hold() -> bool:
            began.set()
            return self._go_on.wait(30)

        holding = asyncio.create_task(self.connection.read(hold))
        await eventually(began.is_set)
        return holding

    def go_on(self) -> None:
        self._go_on.set()

    def insert(self, number: int) -> Callable[[], object]:
        statement = "INSERT INTO numbers VALUES (?)"
        return lambda: self.connection.raw.execute(statement, (number,))

    async def numbers(self) -> list[int]:
        return [row["n"] for row in await self.connection.select("SELECT n FROM numbers ORDER BY n")]

    def _seen(self, statement: str) -> None:
        self.commits += statement == "COMMIT"


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncIterator[Counted]:
    path = tmp_path / "journal.sqlite3"
    connection = await Connection.open(path, SystemClock())
    await connection.write(connection.raw.execute, "CREATE TABLE numbers (n INTEGER UNIQUE) STRICT")
    yield Counted(connection, path)
    await connection.close()


async def test_what_waits_together_is_committed_once(counted: Counted) -> None:
    holding = await counted.held_up()
    writing = [asyncio.create_task(counted.connection.write(counted.insert(n))) for n in range(20)]
    await asyncio.sleep(0)
    counted.go_on()
    await asyncio.gather(holding, *writing)
    assert counted.commits == 1
    assert await counted.numbers() == list(range(20))


async def test_one_that_fails_undoes_itself_alone(counted: Counted) -> None:
    def half() -> None:
        counted.insert(2)()
        raise KeyError("a caller's own")

    holding = await counted.held_up()
    works = (counted.insert(1), half, counted.insert(1), counted.insert(3))
    writing = [asyncio.create_task(counted.connection.write(work)) for work in works]
    await asyncio.sleep(0)
    counted.go_on()
    _, first, failed, twice, last = await asyncio.gather(holding, *writing, return_exceptions=True)
    assert isinstance(failed, KeyError)
    assert isinstance(twice, FaultError)
    assert not isinstance(first, BaseException)
    assert not isinstance(last, BaseException)
    assert await counted.numbers() == [1, 3]


async def test_one_over_which_sqlite_gives_up_the_transaction_fails_alone_as_well(counted: Counted) -> None:
    def lost() -> None:
        counted.connection.raw.execute("ROLLBACK")  # as SQLite does by itself when the disk is full
        raise sqlite3.OperationalError("database or disk is full")

    holding = await counted.held_up()
    writing = [
        asyncio.create_task(counted.connection.write(work))
        for work in (counted.insert(1), lost, counted.insert(2))
    ]
    await asyncio.sleep(0)
    counted.go_on()
    _, *ended = await asyncio.gather(holding, *writing, return_exceptions=True)
    assert [isinstance(one, FaultError) for one in ended] == [False, True, False]
    assert await counted.numbers() == [1, 2]
    await counted.connection.write(counted.insert(4))
    assert await counted.numbers() == [1, 2, 4]


async def test_a_read_sees_nothing_that_is_not_on_disk(counted: Counted) -> None:
    holding = await counted.held_up()
    writing = asyncio.create_task(counted.connection.write(counted.insert(1)))
    reading = asyncio.create_task(counted.numbers())
    await asyncio.sleep(0)
    counted.go_on()
    await asyncio.gather(holding, writing)
    assert await reading == [], "reads go first"
    assert await counted.numbers() == [1]


async def test_what_nobody_waits_for_any_more_is_not_begun(counted: Counted) -> None:
    holding = await counted.held_up()
    writing = asyncio.create_task(counted.connection.write(counted.insert(1)))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.sleep(0)
    counted.go_on()
    await holding
    assert await counted.numbers() == []


async def test_a_closed_one_takes_nothing_more_and_may_be_closed_again(counted: Counted) -> None:
    writing = asyncio.create_task(counted.connection.write(counted.insert(1)))
    await asyncio.sleep(0)
    await counted.connection.close()
    await writing
    await counted.connection.close()
    with pytest.raises(RuntimeError):
        await counted.numbers()
    with sqlite3.connect(counted.path) as again:
        assert again.execute("SELECT n FROM numbers").fetchall() == [(1,)], "what was under way is finished"
    again.close()
