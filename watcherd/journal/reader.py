"""The reading side, for commands: a read-only connection beside a running daemon in, plain values out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from watcherd.job import Job, State
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
        """Open jobs that are past `queued`, waiting ones among them, the oldest move first."""
        where = "state IN ('preparing', 'translating', 'delivering', 'waiting') ORDER BY changed_at LIMIT ?"
        return self._seen(where, limit)

    def recent(self, limit: int) -> list[Seen]:
        """The jobs that became done or failed last, newest first."""
        return self._seen("state IN ('done', 'failed') ORDER BY changed_at DESC, id DESC LIMIT ?", limit)

    def _seen(self, where: str, *values: object) -> list[Seen]:
        rows = self._connection.execute(f"SELECT * FROM jobs WHERE {where}", values)  # noqa: S608 - constants
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
