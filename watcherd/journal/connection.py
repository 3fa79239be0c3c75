"""The one writing connection, in a thread of its own: blocking work in, its result out.

SQLite in WAL mode with synchronous=FULL: what `write` has returned from is on disk. Whatever waits to be
written while the disk is busy is committed together, so that one flush serves many.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self, TypeVar

from watcherd.clock import Clock
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.journal.opening import connect, transaction

T = TypeVar("T")


@dataclass(slots=True)
class _Errand:
    """One piece of work, who waits for it, and how it ended."""

    work: Callable[[], Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def run(self) -> None:
        self.result = None if self.future.cancelled() else self.work()

    def try_to_run(self) -> None:
        try:
            self.run()
        except BaseException as error:  # noqa: BLE001 - a thread's outermost frame; the caller gets it
            self.error = error

    def settle(self) -> None:
        if self.future.done():  # cancelled
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Connection:
    """What the journal's records share. `raw` is for work that runs inside `read` and `write` only."""

    def __init__(self, path: Path, raw: sqlite3.Connection) -> None:
        self.raw = raw
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._reads: list[_Errand] = []
        self._writes: list[_Errand] = []
        self._working = False
        self._wanted: SimpleQueue[bool] = SimpleQueue()  # True: there are errands; False: the end
        self._closed: asyncio.Future[None] | None = None
        threading.Thread(target=self._serve, name="journal", daemon=True).start()

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> Self:
        """Open or create the journal; raises JournalError as `connect` does."""
        return cls(path, await asyncio.to_thread(connect, path, clock))

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        if self._closed is None:
            self._closed = self._loop.create_future()
            self._wanted.put(False)
        await self._closed

    async def read(self, work: Callable[..., T], *values: object) -> T:
        """Do blocking work that writes nothing; raises FaultError (scope machine) when SQLite cannot."""
        return await self._done(self._reads, lambda: work(*values))

    async def write(self, work: Callable[..., T], *values: object) -> T:
        """Do blocking work within a transaction, and come back once it is on disk.

        Others may share the transaction, and see each other's rows; what one of them raises undoes that one
        alone, for which all may be done twice. Raises FaultError as `read` does.
        """
        return await self._done(self._writes, lambda: work(*values))

    async def select(self, query: str, *values: object) -> Sequence[sqlite3.Row]:
        """All rows of a query; raises FaultError as `read` does."""
        return await self.read(lambda: self.raw.execute(query, values).fetchall())

    async def _done(self, errands: list[_Errand], work: Callable[[], T]) -> T:
        if self._closed is not None:
            raise RuntimeError("the journal is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        with self._lock:
            errands.append(_Errand(work, future))
            idle, self._working = not self._working, True
        if idle:
            self._wanted.put(True)
        try:
            return await future
        except sqlite3.Error as error:
            raise FaultError(_unusable(self._path, error)) from error

    # In the thread.

    def _serve(self) -> None:
        """Work until the file is closed. No executor, whose every call costs as much as a short errand."""
        while self._wanted.get():
            self._work_off()
        try:
            self.raw.close()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it
                self._loop.call_soon_threadsafe(self._tell_closed)

    def _tell_closed(self) -> None:
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def _work_off(self) -> None:
        """Do what waits until nothing does: reads at once, all writes in one transaction."""
        while True:
            with self._lock:
                reads, self._reads[:] = self._reads[:], ()
                writes, self._writes[:] = self._writes[:], ()
                if not reads and not writes:
                    self._working = False
                    return
            for errand in reads:
                errand.try_to_run()
            self._settle(reads)
            if writes and not self._is_written(writes) and len(writes) > 1:
                for errand in writes:  # so that each fails alone
                    self._is_written([errand])
            self._settle(writes)

    def _is_written(self, errands: Sequence[_Errand]) -> bool:
        """All in one transaction, or nothing: then their error says why."""
        error: BaseException | None = None
        try:
            with transaction(self.raw):
                for errand in errands:
                    errand.run()
        except BaseException as raised:  # noqa: BLE001 - a thread's outermost frame; the callers get it
            error = raised
        for errand in errands:
            errand.error = error
        return error is None

    def _settle(self, errands: Sequence[_Errand]) -> None:
        def settle() -> None:
            for errand in errands:
                errand.settle()

        if errands:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._loop.call_soon_threadsafe(settle)


def _unusable(path: Path, error: sqlite3.Error) -> Fault:
    full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return Fault(
        scope=Scope.MACHINE,
        code="disk_full" if full else "journal_failing",
        message=f"the journal {path} cannot be used: {error}",
        hint="Free some space." if full else "Look at the disk and at the rights of the state folder.",
        remedy=Remedy.PAUSE,
    )
