"""Notices: what hooks and webhooks are to be told, until it has been; values in and out of the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from watcherd.journal.rows import Row

if TYPE_CHECKING:
    from watcherd.journal.connection import Connection  # commands use the rest, and no thread

Execute = Callable[[str, Sequence[object]], sqlite3.Cursor]

OUTPUT = 8192  # bytes of a hook's last words, or of a receiver's answer, that are kept
LANE = "kind || ' ' || CASE kind WHEN 'hook' THEN inbox ELSE mark END"


class Means(StrEnum):
    """How an event is told."""

    HOOK = "hook"
    WEBHOOK = "webhook"


class Ending(StrEnum):
    """How telling it ended."""

    TOLD = "told"
    FAILED = "failed"
    NOT_CONFIGURED = "not configured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One event for one hook or webhook.

    `target` is fit to be shown (a program, or where an address leads to); `mark` finds the configured
    command or address again, which may hold a secret and so is not on record.
    """

    event_id: str
    event: str
    kind: Means
    inbox: str
    job_id: int | None
    target: str
    mark: str
    body: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A draft on record: `attempts` are those begun, `detail` says how the last ended. Times are UTC seconds.

    `due_at` is when a webhook that failed is tried again, unless a restart comes first.
    """

    id: int
    draft: Draft
    due_at: float
    attempts: int
    ended_at: float | None
    ending: Ending | None
    detail: str
    output: str

    @property
    def lane(self) -> str:
        """What is told one notice after the other: the hooks of an inbox, the webhooks of an address."""
        draft = self.draft
        return f"{draft.kind} {draft.inbox if draft.kind is Means.HOOK else draft.mark}"


class Notices:
    """The journal's record of notices; everything raises FaultError when SQLite cannot do its work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, drafts: Sequence[Draft]) -> None:
        """Record drafts, all or none."""
        await self._connection.write(insert_notices, self._connection.raw.execute, drafts)

    async def next(self) -> list[Notice]:
        """What to tell next: of each lane the one that was tried least, the oldest of these."""
        ranked = (
            f"SELECT id, row_number() OVER (PARTITION BY {LANE} ORDER BY attempts, id) AS place"
            " FROM notices WHERE ended_at IS NULL"
        )
        first = f"SELECT id FROM ({ranked}) WHERE place = 1"
        rows = await self._connection.select(f"SELECT * FROM notices WHERE id IN ({first}) ORDER BY id")
        return [notice_from(row) for row in rows]

    async def begin(self, notice: Notice) -> None:
        """Count an attempt before it is made: a hook may end the daemon."""
        await self._write("UPDATE notices SET attempts = attempts + 1 WHERE id = ?", notice.id)

    async def postpone(self, notice: Notice, *, until: float, detail: str, output: str) -> None:
        """An attempt failed; the next is due then, or after a restart."""
        await self._write(
            "UPDATE notices SET due_at = ?, detail = ?, output = ? WHERE id = ?",
            until,
            detail,
            output,
            notice.id,
        )

    async def end(
        self, notice: Notice, ending: Ending, *, now: float, detail: str = "", output: str = ""
    ) -> None:
        """There will be no further attempt."""
        await self._write(
            "UPDATE notices SET ended_at = ?, ending = ?, detail = ?, output = ? WHERE id = ?",
            now,
            ending,
            detail,
            output,
            notice.id,
        )

    async def give_up(self, lane: str, *, made_before: float, now: float) -> int:
        """End what is left of a lane from before a time; how many notices that were."""
        return await self._write(
            "UPDATE notices SET ended_at = ?, ending = 'failed'"
            f" WHERE ended_at IS NULL AND made_at < ? AND {LANE} = ?",
            now,
            made_before,
            lane,
        )

    async def last_told(self) -> Mapping[tuple[str, str], str]:
        """The newest event of each endpoint and inbox, by its section of the body and its name."""
        query = (
            "SELECT section, json_extract(body, '$.' || section || '.name') AS name, event, max(id)"
            " FROM notices JOIN (SELECT 'endpoint' AS section UNION SELECT 'inbox')"
            " ON event LIKE section || '\\_%' ESCAPE '\\' GROUP BY section, name"
        )
        rows = await self._connection.select(query)
        return {(row["section"], row["name"]): row["event"] for row in rows}

    async def _write(self, statement: str, *values: object) -> int:
        return await self._connection.write(lambda: self._connection.raw.execute(statement, values).rowcount)


def insert_notices(execute: Execute, drafts: Sequence[Draft]) -> None:
    """Write drafts within the caller's transaction. Blocks."""
    for draft in drafts:
        execute(
            "INSERT INTO notices (event_id, event, kind, inbox, job_id, target, mark, body, made_at, due_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                draft.event_id,
                draft.event,
                draft.kind,
                draft.inbox,
                draft.job_id,
                draft.target,
                draft.mark,
                draft.body,
                draft.at,
                draft.at,
            ),
        )


def notice_from(row: Row) -> Notice:
    """A row of `notices` as the value it records."""
    return Notice(
        id=row["id"],
        draft=Draft(
            event_id=row["event_id"],
            event=row["event"],
            kind=Means(row["kind"]),
            inbox=row["inbox"],
            job_id=row["job_id"],
            target=row["target"],
            mark=row["mark"],
            body=row["body"],
            at=row["made_at"],
        ),
        due_at=row["due_at"],
        attempts=row["attempts"],
        ended_at=row["ended_at"],
        ending=None if row["ending"] is None else Ending(row["ending"]),
        detail=row["detail"],
        output=row["output"],
    )
