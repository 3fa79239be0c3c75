"""The reading side: a read-only connection beside a running daemon in, plain values out. Blocks."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from watcherd.faults import Fault
from watcherd.job import Job, State
from watcherd.journal.ledger import HEARD, StoredPause, pause_from
from watcherd.journal.notices import Notice, notice_from
from watcherd.journal.rows import fault_from, job_from

# What a Job is made of, and no more: what was heard of a long file is long.
_LISTED = (
    "id, inbox, path, dev, ino, size, mtime_ns, ctime_ns, settled_at, changed_at, state, attempts, crashes,"
    " reason, until, plan, fault, warnings"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A job with the time of its last move (UTC seconds)."""

    job: Job
    changed_at: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come: `answered` of the parts `known` by now, silent ones included.

    Until `whole` there may be more parts than are known.
    """

    answered: int
    known: int
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, with UTC seconds; `ended_at` is None while it is under way, or was cut off.

    `seconds` are of audio, None where that is not known; `size` is of the upload in bytes. `round` counts the
    rounds of requests of its job from 1; between two of them the job waited.
    """

    endpoint: str
    part: int
    sent_at: float
    ended_at: float | None
    seconds: float | None
    size: int
    fault: Fault | None
    round: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One part of a job: where it begins and ends (seconds), and when its answer came (UTC seconds)."""

    number: int
    start: float
    end: float
    silent: bool
    answered_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs are wanted, newest move first: those in one of `states`, of all where there are none.

    `text` is somewhere in the path, ASCII letters in either case; `before` is the place of the last job that
    is known already, as time of its last move and number.
    """

    states: Collection[State] = ()
    inbox: str | None = None
    text: str = ""
    before: tuple[float, int] | None = None


class Reader:
    """Reads a journal; never writes, so it can run beside the daemon."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def counts(self) -> dict[str, dict[State, int]]:
        """How many jobs stand in each state, by inbox."""
        found: dict[str, dict[State, int]] = {}
        query = "SELECT inbox, state, count(*) AS n FROM jobs GROUP BY inbox, state"
        for row in self._connection.execute(query):
            found.setdefault(row["inbox"], {})[State(row["state"])] = row["n"]
        return found

    def in_flight(self, limit: int) -> list[Seen]:
        """Jobs in hand, the oldest move first."""
        where = "state IN ('preparing', 'translating', 'delivering') ORDER BY changed_at, id LIMIT ?"
        return self._seen(where, limit)

    def waiting(self, limit: int) -> list[Seen]:
        """Jobs that wait for a time, the first one due first."""
        return self._seen("state = 'waiting' ORDER BY until, id LIMIT ?", limit)

    def recent(self, limit: int) -> list[Seen]:
        """The jobs that became done or failed last, newest first."""
        return self._seen("state IN ('done', 'failed') ORDER BY changed_at DESC, id DESC LIMIT ?", limit)

    def listed(self, wanted: Wanted, limit: int) -> list[Seen]:
        """Up to `limit` of the wanted jobs; each state is read in the order of its index."""
        conditions, values = "", list[object]()
        if wanted.inbox is not None:
            conditions += " AND +inbox = ?"  # the plus keeps to the index that is in order
            values.append(wanted.inbox)
        if wanted.text:
            conditions += " AND instr(CAST(lower(CAST(path AS TEXT)) AS BLOB), ?)"
            values.append(wanted.text.encode("utf-8", "surrogatepass").lower())
        if wanted.before is not None:
            conditions += " AND (changed_at, id) < (?, ?)"
            values += wanted.before
        order = "ORDER BY changed_at DESC, id DESC LIMIT ?"
        query = f"SELECT {_LISTED} FROM jobs WHERE state = ?{conditions} {order}"
        found: list[Seen] = []
        for state in wanted.states or State:
            rows = self._connection.execute(query, (state, *values, limit))
            found += [Seen(job_from(row), row["changed_at"]) for row in rows]
        found.sort(key=lambda seen: (seen.changed_at, seen.job.id), reverse=True)
        return found[:limit]

    def oldest_queued(self) -> dict[str, float]:
        """When the oldest queued job of each inbox settled (UTC seconds); none where nothing is queued."""
        query = "SELECT inbox, min(settled_at) AS at FROM jobs WHERE state = 'queued' GROUP BY inbox"
        return {row["inbox"]: row["at"] for row in self._connection.execute(query)}

    def progress(self, job_ids: Collection[int]) -> dict[int, Progress]:
        """How far these jobs have come; those without any part are left out."""
        query = (
            "SELECT parts.job_id, count(*) AS known, sum(silent OR replies.part IS NOT NULL) AS answered,"
            " max(end) AS end, heard FROM parts JOIN jobs ON id = parts.job_id LEFT JOIN replies"
            " ON replies.job_id = parts.job_id AND replies.part = parts.number"
            f" WHERE parts.job_id IN ({', '.join('?' * len(job_ids))}) GROUP BY parts.job_id"
        )
        return {
            row["job_id"]: Progress(
                row["answered"], row["known"], row["heard"] is not None or math.isinf(row["end"])
            )
            for row in self._connection.execute(query, tuple(job_ids))
        }

    def failed(self, inbox: str) -> list[Job]:
        """The failed jobs of an inbox whose place is known, newest first."""
        where = "inbox = ? AND state = 'failed' AND plan IS NOT NULL ORDER BY id DESC"
        return [seen.job for seen in self._seen(where, inbox)]

    def newest(self, inbox: str, path: bytes) -> Job | None:
        """The last job of a path."""
        found = self._seen("inbox = ? AND path = ? ORDER BY id DESC LIMIT 1", inbox, path)
        return found[0].job if found else None

    def notices(self, job_id: int) -> list[Notice]:
        """What hooks and webhooks were told of a job, or will be, in the order in which it came up."""
        rows = self._connection.execute("SELECT * FROM notices WHERE job_id = ? ORDER BY id", (job_id,))
        return [notice_from(row) for row in rows]

    def job(self, job_id: int) -> Job | None:
        """One job by its number."""
        seen = self.seen(job_id)
        return None if seen is None else seen.job

    def seen(self, job_id: int) -> Seen | None:
        """One job by its number, with the time of its last move."""
        found = self._seen("id = ?", job_id)
        return found[0] if found else None

    def history(self, inbox: str, path: bytes) -> list[Seen]:
        """Every job of a path, the oldest first."""
        return self._seen("inbox = ? AND path = ? ORDER BY id", inbox, path)

    def delivered(self, inbox: str, folder: bytes) -> list[Seen]:
        """Every job of an inbox that was delivered to this folder below done or failed, the oldest first."""
        there = f'"folder": {json.dumps(folder.decode("utf-8", "surrogateescape"))},'
        where = "inbox = ? AND state IN ('done', 'failed') AND instr(plan, ?) ORDER BY id"
        found = self._seen(where, inbox, there)
        return [seen for seen in found if seen.job.plan is not None and seen.job.plan.folder == folder]

    def requests(self, job_id: int) -> list[Asked]:
        """Every request made for a job, the oldest first."""
        query = "SELECT * FROM requests WHERE job_id = ? ORDER BY id"
        return [_asked(row) for row in self._connection.execute(query, (job_id,))]

    def parts(self, job_id: int) -> dict[int, tuple[float, float]]:
        """Where the parts of a job begin and end, by their numbers."""
        query = "SELECT number, start, end FROM parts WHERE job_id = ?"
        rows = self._connection.execute(query, (job_id,))
        return {row["number"]: (row["start"], row["end"]) for row in rows}

    def slices(self, job_id: int) -> list[Slice]:
        """The parts of a job, in the order of their starts, and which of them are answered."""
        query = (
            "SELECT number, start, end, silent, received_at FROM parts"
            " LEFT JOIN replies ON replies.job_id = parts.job_id AND part = number"
            " WHERE parts.job_id = ? ORDER BY start, number"
        )
        return [
            Slice(
                number=row["number"],
                start=row["start"],
                end=row["end"],
                silent=bool(row["silent"]),
                answered_at=row["received_at"],
            )
            for row in self._connection.execute(query, (job_id,))
        ]

    def duration(self, job_id: int) -> float | None:
        """How long a job's audio is, in seconds; None until all of it was decoded or answered."""
        query = (
            "SELECT coalesce(json_extract(heard, '$[0]'), max(seconds)) AS seconds"
            " FROM jobs LEFT JOIN requests ON job_id = jobs.id AND part = 0 WHERE jobs.id = ?"
        )
        seconds = self._connection.execute(query, (job_id,)).fetchone()["seconds"]
        return None if seconds is None else float(seconds)

    def kept(self, inbox: str, path: bytes) -> tuple[int, int] | None:
        """Size and mtime_ns of a file that stays, as it was when its last job ended."""
        query = "SELECT size, mtime_ns FROM kept WHERE inbox = ? AND folder = ? AND path = ?"
        row = self._connection.execute(query, (inbox, path.rpartition(b"/")[0], path)).fetchone()
        return None if row is None else (row["size"], row["mtime_ns"])

    def pauses(self) -> list[StoredPause]:
        """Every pause on record, of endpoints and inboxes."""
        return [pause_from(row) for row in self._connection.execute("SELECT * FROM pauses")]

    def minutes_sent(self, since: float) -> dict[str, float]:
        """Minutes of audio sent to each endpoint since a time (UTC seconds)."""
        query = (
            "SELECT endpoint, sum(seconds) / 60 AS n FROM requests"
            f" WHERE sent_at >= ? AND seconds IS NOT NULL AND {HEARD} GROUP BY endpoint"
        )
        return {row["endpoint"]: row["n"] for row in self._connection.execute(query, (since,))}

    def _seen(self, where: str, *values: object) -> list[Seen]:
        rows = self._connection.execute(f"SELECT * FROM jobs WHERE {where}", values)
        return [Seen(job_from(row), row["changed_at"]) for row in rows]


def _asked(row: sqlite3.Row) -> Asked:
    return Asked(
        endpoint=row["endpoint"],
        part=row["part"],
        sent_at=row["sent_at"],
        ended_at=row["ended_at"],
        seconds=row["seconds"],
        size=row["bytes"],
        fault=None if row["fault"] is None else fault_from(row["fault"]),
        round=row["round"],
    )


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open the journal at `path` read-only; raises sqlite3.OperationalError when it cannot be."""
    connection = opened(path)
    try:
        yield Reader(connection)
    finally:
        connection.close()


def opened(path: Path) -> sqlite3.Connection:
    """A read-only connection, which makes no file and changes none; for a moment, not to be kept.

    While nobody has the journal open, there is no log beside it. SQLite would make one, as the user who
    reads, and a daemon of another user could not write it: so the file is read as it is, without a lock.
    """
    alone = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    connection = sqlite3.connect(f"file:{_quoted(path)}?mode=ro{alone}", uri=True, timeout=5)
    connection.row_factory = sqlite3.Row
    return connection


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
