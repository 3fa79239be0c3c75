"""The store: job moves in, jobs out.

What `record` has returned from is on disk. A move is refused when the row is not in the state that the
caller believes (StaleMoveError): one loop moves jobs, this proves it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from watcherd.clock import Clock
from watcherd.faults import Fault
from watcherd.job import (
    ACTIVE,
    Event,
    Identity,
    Job,
    State,
)
from watcherd.journal.answers import Answers
from watcherd.journal.connection import Connection
from watcherd.journal.details import record_detail
from watcherd.journal.kept import Kept
from watcherd.journal.ledger import Ledger
from watcherd.journal.notices import Draft, Notices, insert_notices
from watcherd.journal.opening import transaction
from watcherd.journal.rows import fault_from, fault_text, job_from, plan_text

_OPEN = "state NOT IN ('done', 'failed', 'skipped')"
_FINAL = f"(SELECT id FROM jobs WHERE NOT ({_OPEN}))"
# What was written beside a file that stays must be known for as long as the file is there.
_STAYS = (
    "(SELECT job_id FROM kept UNION ALL"
    " SELECT id FROM jobs JOIN kept USING (inbox, folder, path) WHERE written IS NOT NULL)"
)
LEDGER_KEPT = 2 * 24 * 3600.0  # seconds; a day's budget needs the requests of that day
LEARNED_KEPT = 30 * 24 * 3600.0  # seconds; servers change, and learn again costs one refusal


class StaleMoveError(Exception):
    """A move's old state is not the one on record: a bug in the caller."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One round of requests: when it began (UTC seconds), and the fault that ended it, if any.

    `answered` says that some part of the file got its answer in it all the same.
    """

    sent_at: float
    fault: Fault | None
    answered: bool


class Journal:
    """The writing side. Every method is a coroutine that runs in the journal's own thread.

    All raise FaultError (scope machine) when SQLite cannot do its work; nothing is half done then.
    """

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.ledger = Ledger(connection)
        self.answers = Answers(connection)
        self.notices = Notices(connection)
        self.kept = Kept(connection)
        self._connection = connection
        self._clock = clock

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> Self:
        """Open or create the journal, in a thread of its own; raises JournalError as `connect` does."""
        return cls(await Connection.open(path, clock), clock)

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        await self._connection.close()

    async def add(self, inbox: str, path: bytes, identity: Identity) -> Job | None:
        """Record a settled file as a queued job; None when that path already has an open one."""
        return await self._connection.call(self._add, inbox, path, identity)

    async def record(self, before: Job, after: Job, event: Event, notices: Sequence[Draft] = ()) -> None:
        """Record one move, with what the event carries and who is to hear of it, in one transaction.

        Raises StaleMoveError.
        """
        await self._connection.call(self._record, before, after, event, notices)

    async def open_folders(self) -> list[tuple[str, bytes]]:
        """Inbox and folder of every open job, one entry a job."""
        rows = await self._connection.select(f"SELECT inbox, folder FROM jobs WHERE {_OPEN}")
        return [(row["inbox"], row["folder"]) for row in rows]

    async def open_jobs(self, inbox: str, folder: bytes) -> list[Job]:
        """The open jobs whose file lies directly in `folder` (relative to the inbox, b"" for its root)."""
        return await self._jobs(f"inbox = ? AND folder = ? AND {_OPEN}", inbox, folder)

    async def what_is_over(self) -> Callable[[int], bool]:
        """A test for job numbers: given out by now, and not open any more."""
        rows = await self._connection.select(f"SELECT id, {_OPEN} AS open FROM jobs")
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
        found = await self.unfinished(inbox, limit=limit)
        where = "inbox = ? AND state = ? ORDER BY settled_at, id LIMIT ?"
        return found + await self._jobs(where, inbox, State.QUEUED, limit - len(found))

    async def unfinished(self, inbox: str, *, limit: int) -> list[Job]:
        """Up to `limit` deliveries of an inbox to go on with, the oldest settled first."""
        where = "inbox = ? AND state = ? ORDER BY settled_at, id LIMIT ?"
        return await self._jobs(where, inbox, State.DELIVERING, limit)

    async def probing(self, inbox: str, *, limit: int) -> list[Job]:
        """Up to `limit` queued jobs of an inbox to probe an endpoint with: those left alone longest first.

        So a file that an endpoint fails over does not keep the others from finding out that it is well.
        """
        where = "inbox = ? AND state = ? ORDER BY changed_at, id LIMIT ?"
        return await self._jobs(where, inbox, State.QUEUED, limit)

    async def due(self, now: float) -> list[Job]:
        """Waiting jobs whose time has come."""
        return await self._jobs("state = 'waiting' AND until <= ?", now)

    async def next_due(self) -> float | None:
        """When the next waiting job is due, UTC seconds."""
        rows = await self._connection.select("SELECT min(until) AS at FROM jobs WHERE state = 'waiting'")
        at = rows[0]["at"]
        return None if at is None else float(at)

    async def planned_names(self, folder: bytes) -> set[bytes]:
        """Names that open deliveries have chosen in `folder`, of whatever inbox."""
        jobs = await self._jobs("state IN ('delivering', 'waiting') AND plan IS NOT NULL")
        plans = [job.plan for job in jobs if job.plan is not None and job.plan.folder == folder]
        return {name for plan in plans for name in (plan.original, *(s.name for s in plan.sidecars))}

    async def attempts(self, job_id: int) -> list[Attempt]:
        """The rounds of requests made for a job, oldest first; a round's fault is what ended it."""
        query = "SELECT round, part, sent_at, ended_at, fault FROM requests WHERE job_id = ? ORDER BY id"
        began: dict[int, float] = {}
        faults: dict[int, dict[int, Fault | None]] = {}
        answered: set[int] = set()
        for row in await self._connection.select(query, job_id):
            began.setdefault(row["round"], row["sent_at"])
            fault = None if row["fault"] is None else fault_from(row["fault"])
            faults.setdefault(row["round"], {})[row["part"]] = fault  # a part's last request counts
            if fault is None and row["ended_at"] is not None:
                answered.add(row["round"])
        return [
            Attempt(
                at,
                next((one for one in faults[number].values() if one is not None), None),
                number in answered,
            )
            for number, at in began.items()
        ]

    async def forget_replies(self, sha256: str) -> None:
        """Forget what was answered for a content, except for jobs that still need it."""
        await self._connection.call(self._forget_replies, sha256)

    async def prune(self, *, jobs_before: float, replies_before: float) -> int:
        """Forget final jobs, and what was answered for them, from before these times; how many rows went."""
        return await self._connection.call(self._prune, jobs_before, replies_before)

    async def see_it_writes(self) -> None:
        """Write something that changes nothing; raises FaultError."""
        await self._connection.call(self._rewrite)

    async def counts(self) -> dict[State, int]:
        """How many jobs stand in each state."""
        rows = await self._connection.select("SELECT state, count(*) AS n FROM jobs GROUP BY state")
        return {State(row["state"]): row["n"] for row in rows}

    async def _jobs(self, where: str, *values: object) -> list[Job]:
        rows = await self._connection.select(f"SELECT * FROM jobs WHERE {where}", *values)
        return [job_from(row) for row in rows]

    def _add(self, inbox: str, path: bytes, identity: Identity) -> Job | None:
        now = self._clock.now()
        folder = path.rpartition(b"/")[0]
        with transaction(self._connection.raw):
            cursor = self._connection.raw.execute(
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

    def _record(self, before: Job, after: Job, event: Event, notices: Sequence[Draft]) -> None:
        now = self._clock.now()
        with transaction(self._connection.raw):
            moved = self._connection.raw.execute(
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
            record_detail(self._connection.raw.execute, before, after, event, now=now)
            insert_notices(self._connection.raw.execute, notices)

    def _prune(self, jobs_before: float, replies_before: float) -> int:
        statements = (
            (f"DELETE FROM replies WHERE received_at < ? AND job_id IN {_FINAL}", replies_before),
            ("DELETE FROM notices WHERE ended_at < ?", jobs_before),
            ("DELETE FROM kept WHERE missing_since < ?", jobs_before),
            (f"DELETE FROM jobs WHERE changed_at < ? AND id IN {_FINAL} AND id NOT IN {_STAYS}", jobs_before),
            ("DELETE FROM requests WHERE job_id IS NULL AND sent_at < ?", self._clock.now() - LEDGER_KEPT),
            ("DELETE FROM learned WHERE learned_at < ?", self._clock.now() - LEARNED_KEPT),
        )
        execute = self._connection.raw.execute
        with transaction(self._connection.raw):
            return sum(execute(statement, (before,)).rowcount for statement, before in statements)

    def _rewrite(self) -> None:
        with transaction(self._connection.raw):
            version = self._connection.raw.execute("PRAGMA user_version").fetchone()[0]
            self._connection.raw.execute(f"PRAGMA user_version = {version}")

    def _forget_replies(self, sha256: str) -> None:
        same = f"id IN {_FINAL} AND sha256 = ?"
        with transaction(self._connection.raw):
            self._connection.raw.execute(
                f"DELETE FROM replies WHERE job_id IN (SELECT id FROM jobs WHERE {same})", (sha256,)
            )
