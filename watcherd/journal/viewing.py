"""Viewing: a journal's path in, a Journal out that can only be read. It makes no file and changes none.

For commands that tell what would happen, beside a running daemon or without one. Where there is no journal
it is as if it were empty.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from watcherd.clock import Clock
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.journal.connection import Connection
from watcherd.journal.opening import connect
from watcherd.journal.reader import opened
from watcherd.journal.store import Journal
from watcherd.promptly import promptly

T = TypeVar("T")


def view(path: Path, clock: Clock) -> Journal:
    """The journal at `path`, to be read; writing to it raises FaultError. There is nothing to close."""
    return Journal(_Viewing(path, clock), clock)


class _Viewing(Connection):
    """Opens the file for one call at a time: a daemon may start, or end, between two of them."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = path
        self._clock = clock
        self._turn = asyncio.Lock()

    async def read(self, work: Callable[..., T], *values: object) -> T:
        """Do blocking work; raises FaultError where the journal cannot be read."""
        try:
            async with self._turn:
                return await asyncio.to_thread(promptly, self._fresh, work, *values)
        except (sqlite3.Error, OSError) as error:
            raise FaultError(_unreadable(self._file, error)) from error

    async def write(self, work: Callable[..., T], *values: object) -> T:
        """As `read`: SQLite refuses to write."""
        return await self.read(work, *values)

    def _fresh(self, work: Callable[..., T], *values: object) -> T:
        exists = self._file.exists()
        self.raw = opened(self._file) if exists else connect(Path(":memory:"), self._clock)
        try:
            return work(*values)
        finally:
            self.raw.close()


def _unreadable(path: Path, error: Exception) -> Fault:
    return Fault(
        scope=Scope.MACHINE,
        code="journal_unreadable",
        message=f"cannot read {path}: {getattr(error, 'strerror', None) or error}",
        hint="Run this as the user that watcherd runs as, or look at the disk.",
        remedy=Remedy.PAUSE,
    )
