"""The store: job moves in, jobs out. One thread owns the one writing connection.

SQLite in WAL mode with synchronous=FULL: what `record` has returned from is on disk. A move is refused when
the row is not in the state that the caller believes (StaleMoveError): one loop moves jobs, this proves it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from watcherd.clock import Clock
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.job import (
    ACTIVE,
    Event,
    Identity,
    Job,
    Planned,
    Postponed,
    Recognised,
    Refused,
    Replied,
    Reused,
    Sending,
    State,
    Withdrawn,
)
from watcherd.journal.opening import connect, transaction
from watcherd.journal.rows import fault_from, fault_text, job_from, plan_text

T = TypeVar("T")
_OPEN = "state NOT IN ('done', 'failed', 'skipped')"


class StaleMoveError(Exception):
    """A move's old state is not the one on record: a bug in the caller."""


@dataclass(frozen=True, slots=True)
class StoredReply:
    """A reply as it came, with the response format it was asked for."""

    body: bytes
    format: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One round of requests: when it began (UTC seconds), and the fault that ended it, if any."""

    sent_at: float
    fault: Fault | None


class Journal:
    """The writing side. Every method is a coroutine that runs in the journal's own thread.

    All raise FaultError (scope machine) when SQLite cannot do its work; nothing is half done then.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor, clock: Clock
    ) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread
        self._clock = clock

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> Self:
        """Open or create the journal, in a thread of its own; raises JournalError as `connect` does."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, connect, path, clock)
        except BaseException:
            thread.shutdown()
            raise
        return cls(path, connection, thread, clock)

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        await self._call(self._connection.close)
        self._thread.shutdown()

    async def add(self, inbox: str, path: bytes, identity: Identity) -> Job | None:
        """Record a settled file as a queued job; None when that path already has an open one."""
        return await self._call(self._add, inbox, path, identity)

    async def record(self, before: Job, after: Job, event: Event) -> None:
        """Record one move, with what the event carries, in one transaction; raises StaleMoveError."""
        await self._call(self._record, before, after, event)

    async def open_folders(self) -> list[tuple[str, bytes]]:
        """Inbox and folder of every open job, one entry a job."""
        rows = await self._call(self._select, f"SELECT inbox, folder FROM jobs WHERE {_OPEN}")  # noqa: S608 - a constant
        return [(row["inbox"], row["folder"]) for row in rows]

    async def open_jobs(self, inbox: str, folder: bytes) -> list[Job]:
        """The open jobs whose file lies directly in `folder` (relative to the inbox, b"" for its root)."""
        return await self._jobs(f"inbox = ? AND folder = ? AND {_OPEN}", inbox, folder)

    async def what_is_over(self) -> Callable[[int], bool]:
        """A test for job numbers: given out by now, and not open any more."""
        rows = await self._call(self._select, f"SELECT id, {_OPEN} AS open FROM jobs")  # noqa: S608 - a constant
        newest = max((row["id"] for row in rows), default=0)
        still_open = {row["id"] for row in rows if row["open"]}
        return lambda job_id: job_id <= newest and job_id not in still_open

    async def job(self, job_id: int) -> Job | None:
        """One job by its number."""
        found = await self._jobs("id = ?", job_id)
        return found[0] if found else None

    async def mid_flight(self) -> list[Job]:
        """Jobs that were in hand when the last daemon stopped."""
        states = ", ".join(f"'{state}'" for state in sorted(ACTIVE))
        return await self._jobs(f"state IN ({states})")

    async def held_up(self) -> list[Job]:
        """Jobs that wait for something other than their own backoff."""
        return await self._jobs("state = 'waiting' AND reason <> 'backoff'")

    async def startable(self, inbox: str, *, limit: int) -> list[Job]:
        """Up to `limit` jobs of an inbox to take up next: unfinished deliveries, then the oldest settled."""
        found: list[Job] = []
        for state in (State.DELIVERING, State.QUEUED):
            where = "inbox = ? AND state = ? ORDER BY settled_at, id LIMIT ?"
            found += await self._jobs(where, inbox, state, limit - len(found))
        return found

    async def due(self, now: float) -> list[Job]:
        """Waiting jobs whose time has come."""
        return await self._jobs("state = 'waiting' AND until <= ?", now)

    async def next_due(self) -> float | None:
        """When the next waiting job is due, UTC seconds."""
        rows = await self._call(self._select, "SELECT min(until) AS at FROM jobs WHERE state = 'waiting'")
        at = rows[0]["at"]
        return None if at is None else float(at)

    async def planned_names(self, folder: bytes) -> set[bytes]:
        """Names that open deliveries have chosen in `folder`, of whatever inbox."""
        jobs = await self._jobs(f"{_OPEN} AND plan IS NOT NULL")
        plans = [job.plan for job in jobs if job.plan is not None and job.plan.folder == folder]
        return {name for plan in plans for name in (plan.original, *(s.name for s in plan.sidecars))}

    async def reply(self, job_id: int) -> StoredReply | None:
        """The reply on record for a job."""
        rows = await self._call(self._select, "SELECT body, format FROM replies WHERE job_id = ?", job_id)
        return StoredReply(rows[0]["body"], rows[0]["format"]) if rows else None

    async def knows_content(self, quick: str) -> bool:
        """Whether a file of the same size, beginning and end was answered before."""
        query = "SELECT 1 FROM jobs JOIN replies ON job_id = id WHERE quick = ? LIMIT 1"
        return bool(await self._call(self._select, query, quick))

    async def reply_to(self, sha256: str, request: str) -> StoredReply | None:
        """The newest reply for the same content under the same request settings, of whatever job."""
        query = (
            "SELECT body, format FROM jobs JOIN replies ON job_id = id"
            " WHERE sha256 = ? AND request = ? ORDER BY received_at DESC LIMIT 1"
        )
        rows = await self._call(self._select, query, sha256, request)
        return StoredReply(rows[0]["body"], rows[0]["format"]) if rows else None

    async def attempts(self, job_id: int) -> list[Attempt]:
        """The rounds of requests made for a job, oldest first."""
        query = "SELECT sent_at, fault FROM attempts WHERE job_id = ? ORDER BY rowid"
        return [_attempt(row) for row in await self._call(self._select, query, job_id)]

    async def prune(self, *, jobs_before: float, replies_before: float) -> int:
        """Forget final jobs, and what was answered for them, from before these times; how many rows went."""
        return await self._call(self._prune, jobs_before, replies_before)

    async def counts(self) -> dict[State, int]:
        """How many jobs stand in each state."""
        rows = await self._call(self._select, "SELECT state, count(*) AS n FROM jobs GROUP BY state")
        return {State(row["state"]): row["n"] for row in rows}

    async def _jobs(self, where: str, *values: object) -> list[Job]:
        rows = await self._call(self._select, f"SELECT * FROM jobs WHERE {where}", *values)  # noqa: S608 - constants
        return [job_from(row) for row in rows]

    async def _call(self, work: Callable[..., T], *values: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*values))
        except sqlite3.Error as error:
            raise FaultError(_unusable(self._path, error)) from error

    def _select(self, query: str, *values: object) -> Sequence[sqlite3.Row]:
        return self._connection.execute(query, values).fetchall()

    def _add(self, inbox: str, path: bytes, identity: Identity) -> Job | None:
        now = self._clock.now()
        folder = path.rpartition(b"/")[0]
        with transaction(self._connection):
            cursor = self._connection.execute(
                "INSERT OR IGNORE INTO jobs (inbox, folder, path, dev, ino, size, mtime_ns, ctime_ns, state,"
                " settled_at, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?)",
                (
                    inbox,
                    folder,
                    path,
                    identity.dev,
                    identity.ino,
                    identity.size,
                    identity.mtime_ns,
                    identity.ctime_ns,
                    now,
                    now,
                ),
            )
        if cursor.rowcount != 1 or cursor.lastrowid is None:
            return None
        return Job(id=cursor.lastrowid, inbox=inbox, path=path, identity=identity, settled_at=now)

    def _record(self, before: Job, after: Job, event: Event) -> None:
        now = self._clock.now()
        with transaction(self._connection):
            moved = self._connection.execute(
                "UPDATE jobs SET state = ?, attempts = ?, crashes = ?, reason = ?, until = ?, plan = ?,"
                " fault = ?, warnings = ?, changed_at = ? WHERE id = ? AND state = ?",
                (
                    after.state,
                    after.attempts,
                    after.crashes,
                    after.reason,
                    after.until,
                    None if after.plan is None else plan_text(after.plan),
                    None if after.fault is None else fault_text(after.fault),
                    json.dumps(after.warnings),
                    now,
                    before.id,
                    before.state,
                ),
            )
            if moved.rowcount != 1:
                raise StaleMoveError(f"job {before.id} is not {before.state}; {type(event).__name__} refused")
            self._record_detail(after, event, now)

    def _prune(self, jobs_before: float, replies_before: float) -> int:
        final = f"id IN (SELECT id FROM jobs WHERE NOT ({_OPEN}))"  # noqa: S608 - constants
        with transaction(self._connection):
            replies = self._connection.execute(
                f"DELETE FROM replies WHERE received_at < ? AND job_{final}",  # noqa: S608 - constants
                (replies_before,),
            )
            jobs = self._connection.execute(
                f"DELETE FROM jobs WHERE changed_at < ? AND {final}",  # noqa: S608 - constants
                (jobs_before,),
            )
        return replies.rowcount + jobs.rowcount

    def _record_detail(self, job: Job, event: Event, now: float) -> None:
        execute = self._connection.execute
        match event:
            case Sending():
                execute("INSERT INTO attempts (job_id, sent_at) VALUES (?, ?)", (job.id, now))
            case Recognised():
                execute(
                    "UPDATE jobs SET quick = ?, sha256 = ?, request = ? WHERE id = ?",
                    (event.quick, event.sha256, event.request, job.id),
                )
            case Replied() | Reused():
                execute(
                    "INSERT OR REPLACE INTO replies (job_id, format, body, received_at) VALUES (?, ?, ?, ?)",
                    (job.id, event.format, event.body, now),
                )
            case Refused():
                execute("DELETE FROM replies WHERE job_id = ?", (job.id,))
            case Withdrawn():  # an answer for known content serves when that content comes again
                unknown = "(SELECT id FROM jobs WHERE id = ? AND sha256 IS NULL)"
                execute(f"DELETE FROM replies WHERE job_id = {unknown}", (job.id,))  # noqa: S608 - a constant
            case _:
                pass
        if isinstance(event, Refused | Postponed | Planned) and event.fault is not None:
            execute(
                "UPDATE attempts SET fault = ? WHERE job_id = ?"
                " AND rowid = (SELECT max(rowid) FROM attempts WHERE job_id = ?)",
                (fault_text(event.fault), job.id, job.id),
            )


def _attempt(row: sqlite3.Row) -> Attempt:
    return Attempt(row["sent_at"], None if row["fault"] is None else fault_from(row["fault"]))


def _unusable(path: Path, error: sqlite3.Error) -> Fault:
    full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return Fault(
        scope=Scope.MACHINE,
        code="disk_full" if full else "journal_failing",
        message=f"the journal {path} cannot be used: {error}",
        hint="Free some space." if full else "Look at the disk and at the rights of the state folder.",
        remedy=Remedy.PAUSE,
    )
