"""The store: job moves in, jobs out.

What `record` has returned from is on disk. A move is refused when the row is not in the state that the
caller believes (StaleMoveError): one loop moves jobs, this proves it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
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
from watcherd.journal.details import columns_of, record_detail
from watcherd.journal.kept import Kept
from watcherd.journal.ledger import Ledger
from watcherd.journal.names import Names
from watcherd.journal.notices import Draft, Notices, insert_notices
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
class Move:
    """A job before and after an event, and who is to hear of it."""

    before: Job
    after: Job
    event: Event
    notices: Sequence[Draft] = ()


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
        self.names = Names()
        self._connection = connection
        self._clock = clock

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> Self:
        """Open or create the journal, in a thread of its own; raises JournalError as `connect` does."""
        journal = cls(await Connection.open(path, clock), clock)
        await journal.recall_names()
        return journal

    async def recall_names(self) -> None:
        """Fill `names` with what open deliveries have chosen."""
        for job in await self._jobs(f"{_OPEN} AND plan IS NOT NULL"):
            self.names.follow(job)

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        await self._connection.close()

    async def add(self, inbox: str, path: bytes, identity: Identity) -> Job | None:
        """Record a settled file as a queued job; None when that path already has an open one."""
        return await self._connection.write(self._add, inbox, path, identity)

    async def record(self, *moves: Move) -> None:
        """Record moves of one job, with what their events carry and who is to hear of them: all or none.

        Raises StaleMoveError.
        """
        await self._connection.write(self._record, moves)
        for move in moves:
            self.names.follow(move.after)

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

    async def startable(self, inbox: str, count: int, *, besides: Collection[int] = ()) -> list[Job]:
        """At most so many jobs to take up next, `besides` those: deliveries to go on with, then queued ones.

        The files that settled first go first.
        """
        states = (State.DELIVERING, State.QUEUED)
        return await self._connection.read(self._first, inbox, states, "settled_at", count, besides)

    async def unfinished(self, inbox: str, *, besides: Collection[int] = ()) -> Job | None:
        """The delivery of an inbox to go on with next, `besides` those."""
        states = (State.DELIVERING,)
        found = await self._connection.read(self._first, inbox, states, "settled_at", 1, besides)
        return found[0] if found else None

    async def probing(self, inbox: str, *, besides: Collection[int] = ()) -> Job | None:
        """The queued job of an inbox to probe an endpoint with, `besides` those: the one left alone longest.

        So a file that an endpoint fails over does not keep the others from finding out that it is well.
        """
        states = (State.QUEUED,)
        found = await self._connection.read(self._first, inbox, states, "changed_at", 1, besides)
        return found[0] if found else None

    def _first(
        self, inbox: str, states: Sequence[State], order: str, count: int, besides: Collection[int]
    ) -> list[Job]:
        """The first jobs of an inbox in these states, one state after the other, `besides` those."""
        others, given = "id NOT IN (SELECT value FROM json_each(?))", json.dumps(list(besides))
        query = f"SELECT * FROM jobs WHERE inbox = ? AND state = ? AND {others} ORDER BY {order}, id LIMIT ?"
        found: list[Job] = []
        for state in states:
            rows = self._connection.raw.execute(query, (inbox, state, given, count - len(found)))
            found += [job_from(row) for row in rows]
        return found

    async def due(self, now: float) -> list[Job]:
        """Waiting jobs whose time has come."""
        return await self._jobs("state = 'waiting' AND until <= ?", now)

    async def next_due(self) -> float | None:
        """When the next waiting job is due, UTC seconds."""
        rows = await self._connection.select("SELECT min(until) AS at FROM jobs WHERE state = 'waiting'")
        at = rows[0]["at"]
        return None if at is None else float(at)

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
        same = f"id IN {_FINAL} AND sha256 = ?"
        statement = f"DELETE FROM replies WHERE job_id IN (SELECT id FROM jobs WHERE {same})"
        await self._connection.write(self._connection.raw.execute, statement, (sha256,))

    async def prune(self, *, jobs_before: float, replies_before: float) -> int:
        """Forget final jobs, and what was answered for them, from before these times; how many rows went."""
        return await self._connection.write(self._prune, jobs_before, replies_before)

    async def see_it_writes(self) -> None:
        """Write something that changes nothing; raises FaultError."""
        await self._connection.write(self._rewrite)

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

    def _record(self, moves: Sequence[Move]) -> None:
        now, execute = self._clock.now(), self._connection.raw.execute
        before, after = moves[0].before, moves[-1].after
        columns: dict[str, object] = {
            "state": after.state,
            "attempts": after.attempts,
            "crashes": after.crashes,
            "reason": after.reason,
            "until": after.until,
            "plan": None if after.plan is None else plan_text(after.plan),
            "fault": None if after.fault is None else fault_text(after.fault),
            "warnings": json.dumps(after.warnings),
            "changed_at": now,
        }
        for move in moves:
            columns |= columns_of(move.event)
        changes = ", ".join(f"{name} = ?" for name in columns)
        moved = execute(
            f"UPDATE jobs SET {changes} WHERE id = ? AND state = ?",
            (*columns.values(), before.id, before.state),
        )
        if moved.rowcount != 1:
            refused = ", ".join(type(move.event).__name__ for move in moves)
            raise StaleMoveError(f"job {before.id} is not {before.state}; {refused} refused")
        for move in moves:
            record_detail(execute, move.before, move.after, move.event, now=now)
            insert_notices(execute, move.notices)

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
        return sum(execute(statement, (before,)).rowcount for statement, before in statements)

    def _rewrite(self) -> None:
        version = self._connection.raw.execute("PRAGMA user_version").fetchone()[0]
        self._connection.raw.execute(f"PRAGMA user_version = {version}")
