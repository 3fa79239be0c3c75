"""The one writing connection, in a thread of its own: blocking work in, its result out.

SQLite in WAL mode with synchronous=FULL: what `call` has returned from is on disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from watcherd.clock import Clock
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.journal.opening import connect

T = TypeVar("T")


class Connection:
    """What the journal's records share. `raw` is for work that runs inside `call` only."""

    def __init__(self, path: Path, raw: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self.raw = raw
        self._path = path
        self._thread = thread

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> Self:
        """Open or create the journal; raises JournalError as `connect` does."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        try:
            raw = await asyncio.get_running_loop().run_in_executor(thread, connect, path, clock)
        except BaseException:
            thread.shutdown()
            raise
        return cls(path, raw, thread)

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        await self.call(self.raw.close)
        self._thread.shutdown()

    async def call(self, work: Callable[..., T], *values: object) -> T:
        """Do blocking work; raises FaultError (scope machine) when SQLite cannot do its own."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*values))
        except sqlite3.Error as error:
            raise FaultError(_unusable(self._path, error)) from error

    async def select(self, query: str, *values: object) -> Sequence[sqlite3.Row]:
        """All rows of a query; raises FaultError as `call` does."""
        return await self.call(lambda: self.raw.execute(query, values).fetchall())


def _unusable(path: Path, error: sqlite3.Error) -> Fault:
    full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return Fault(
        scope=Scope.MACHINE,
        code="disk_full" if full else "journal_failing",
        message=f"the journal {path} cannot be used: {error}",
        hint="Free some space." if full else "Look at the disk and at the rights of the state folder.",
        remedy=Remedy.PAUSE,
    )
