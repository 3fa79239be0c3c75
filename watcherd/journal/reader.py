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
from watcherd.journal.rows import fault_from, job_from


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

    `seconds` are of audio, None where that is not known; `size` is of the upload in bytes.
    """

    endpoint: str
    part: int
    sent_at: float
    ended_at: float | None
    seconds: float | None
    size: int
    fault: Fault | None


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

    def job(self, job_id: int) -> Job | None:
        """One job by its number."""
        found = self._seen("id = ?", job_id)
        return found[0].job if found else None

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
