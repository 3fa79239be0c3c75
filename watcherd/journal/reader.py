"""The reading side: a read-only connection beside a running daemon in, plain values out. Blocks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from watcherd.job import Job, State
from watcherd.journal.ledger import HEARD, StoredPause, pause_from
from watcherd.journal.rows import job_from


@dataclass(frozen=True, slots=True)
class Seen:
    """A job with the time of its last move (UTC seconds)."""

    job: Job
    changed_at: float


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

    def failed(self, inbox: str) -> list[Job]:
        """The failed jobs of an inbox whose place is known, newest first."""
        where = "inbox = ? AND state = 'failed' AND plan IS NOT NULL ORDER BY id DESC"
        return [seen.job for seen in self._seen(where, inbox)]

    def newest(self, inbox: str, path: bytes) -> Job | None:
        """The last job of a path."""
        found = self._seen("inbox = ? AND path = ? ORDER BY id DESC LIMIT 1", inbox, path)
        return found[0].job if found else None

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


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open the journal at `path` read-only; raises sqlite3.OperationalError when it cannot be."""
    connection = sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, timeout=5)
    connection.row_factory = sqlite3.Row
    try:
        yield Reader(connection)
    finally:
        connection.close()


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
