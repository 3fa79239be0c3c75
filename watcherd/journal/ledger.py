"""The ledger: pauses, what servers taught us, and requests; values in and out of the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from watcherd.faults import Fault
from watcherd.journal.rows import Row, fault_from, fault_text

if TYPE_CHECKING:
    from watcherd.journal.connection import Connection  # commands use the rest, and no thread

# An endpoint's own fault costs no minutes: nobody has heard the audio.
HEARD = "(fault IS NULL OR json_extract(fault, '$.scope') = 'file')"


class Kind(StrEnum):
    """What can be paused."""

    ENDPOINT = "endpoint"
    INBOX = "inbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPause:
    """A pause on record, UTC seconds. One that a person ordered has neither an end nor a fault."""

    kind: Kind
    name: str
    since: float
    until: float | None
    fault: Fault | None

    @property
    def by_hand(self) -> bool:
        """Whether a person ordered it."""
        return self.fault is None


class Ledger:
    """The journal's record of pauses, of what servers taught us, and of requests.

    Everything raises FaultError (scope machine) when SQLite cannot do its work.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def pauses(self) -> list[StoredPause]:
        """Every pause on record."""
        return [pause_from(row) for row in await self._connection.select("SELECT * FROM pauses")]

    async def pause(self, pause: StoredPause) -> None:
        """Record a pause; it takes the place of an older one of the same kind, name and origin."""
        fault = None if pause.fault is None else fault_text(pause.fault)
        await self._write(
            "INSERT OR REPLACE INTO pauses (kind, name, by_hand, since, until, fault)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            pause.kind,
            pause.name,
            pause.by_hand,
            pause.since,
            pause.until,
            fault,
        )

    async def end_pause(self, kind: Kind, name: str, *, by_hand: bool) -> None:
        """Forget a pause; there need not be one."""
        await self._write(
            "DELETE FROM pauses WHERE kind = ? AND name = ? AND by_hand = ?", kind, name, by_hand
        )

    async def learned(self) -> Mapping[tuple[str, str], Mapping[str, str]]:
        """What servers taught us, by base_url and model: names and values as `learn` got them."""
        found: dict[tuple[str, str], dict[str, str]] = {}
        for row in await self._connection.select("SELECT base_url, model, what, value FROM learned"):
            found.setdefault((row["base_url"], row["model"]), {})[row["what"]] = row["value"]
        return found

    async def learn(self, base_url: str, model: str, what: str, value: str, *, now: float) -> None:
        """Record what a server taught us of itself and a model; a newer value replaces an older one."""
        await self._write(
            "INSERT OR REPLACE INTO learned (base_url, model, what, value, learned_at)"
            " VALUES (?, ?, ?, ?, ?)",
            base_url,
            model,
            what,
            value,
            now,
        )

    async def seconds_sent(self, since: float) -> Mapping[str, float]:
        """Seconds of audio that each endpoint was sent since a time, and heard."""
        query = (
            "SELECT endpoint, sum(seconds) AS total FROM requests"
            f" WHERE sent_at >= ? AND seconds IS NOT NULL AND {HEARD} GROUP BY endpoint"
        )
        return {row["endpoint"]: row["total"] for row in await self._connection.select(query, since)}

    async def probed(
        self, endpoint: str, *, seconds: float, size: int, now: float, fault: Fault | None
    ) -> None:
        """Record a request that served no job: a probe of an endpoint, and how it ended."""
        await self._write(
            "INSERT INTO requests (endpoint, round, sent_at, seconds, bytes, fault)"
            " VALUES (?, 0, ?, ?, ?, ?)",
            endpoint,
            now,
            seconds,
            size,
            None if fault is None else fault_text(fault),
        )

    async def _write(self, statement: str, *values: object) -> None:
        await self._connection.write(self._connection.raw.execute, statement, values)


def pause_from(row: Row) -> StoredPause:
    """A row of `pauses` as the value it records."""
    return StoredPause(
        kind=Kind(row["kind"]),
        name=row["name"],
        since=row["since"],
        until=row["until"],
        fault=None if row["fault"] is None else fault_from(row["fault"]),
    )
