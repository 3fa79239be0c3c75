"""Answers: the parts of jobs and what was answered for them, by job or by content. Values out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watcherd.faults import Fault
from watcherd.job import Listened, Part
from watcherd.journal.connection import Connection
from watcherd.journal.rows import fault_from, settings_from
from watcherd.settings import Settings


@dataclass(frozen=True, slots=True)
class StoredReply:
    """A reply as it came, with the response format it was asked for."""

    body: bytes
    format: str


@dataclass(frozen=True, slots=True)
class Answered:
    """How far a job has come: its parts in the order of their starts, and the replies by their numbers.

    `heard` is there once all of its audio was decoded: then there are no more parts to come. `settings` are
    those that were chosen last.
    """

    parts: tuple[Part, ...] = ()
    replies: Mapping[int, StoredReply] | None = None
    heard: Listened | None = None
    settings: Settings | None = None

    @property
    def missing(self) -> tuple[Part, ...]:
        """The parts that have to be asked for."""
        replies = self.replies or {}
        return tuple(part for part in self.parts if not part.silent and part.number not in replies)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to ask for."""
        whole = self.heard is not None or any(part.end == float("inf") for part in self.parts)
        return bool(self.parts) and whole and not self.missing


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a journey begins with.

    `faults` are what ended those of its requests that ended with one: part, seconds of its audio (None where
    they were not known), fault; the oldest first. `is_known` says that a file of the same size, beginning and
    end was answered before.
    """

    answered: Answered
    faults: Sequence[tuple[int, float | None, Fault]]
    is_known: bool


class Answers:
    """Reads of what jobs were answered; raises FaultError (scope machine) when SQLite cannot do its work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def of(self, job_id: int) -> Answered:
        """What is on record for a job."""
        return await self._connection.read(self._of, job_id)

    def _of(self, job_id: int) -> Answered:
        execute = self._connection.raw.execute
        parts = execute("SELECT * FROM parts WHERE job_id = ? ORDER BY start, number", (job_id,))
        replies = execute("SELECT part, body, format FROM replies WHERE job_id = ?", (job_id,))
        job = execute("SELECT heard, settings FROM jobs WHERE id = ?", (job_id,)).fetchone()
        heard, settings = (None, None) if job is None else (job["heard"], job["settings"])
        return Answered(
            tuple(
                Part(
                    number=row["number"],
                    start=row["start"],
                    end=row["end"],
                    own_start=row["own_start"],
                    own_end=row["own_end"],
                    silent=bool(row["silent"]),
                )
                for row in parts
            ),
            {row["part"]: StoredReply(row["body"], row["format"]) for row in replies},
            None if heard is None else _heard(heard),
            None if settings is None else settings_from(settings),
        )

    async def seconds_of(self, job_id: int) -> float | None:
        """How long a job's audio is, in seconds; None where nobody has said."""
        query = (
            "SELECT coalesce(json_extract(heard, '$[0]'), max(seconds)) AS seconds"
            " FROM jobs LEFT JOIN requests ON job_id = jobs.id AND part = 0 WHERE jobs.id = ?"
        )
        seconds = (await self._connection.select(query, job_id))[0]["seconds"]
        return None if seconds is None else float(seconds)

    async def recall(self, job_id: int, quick: str | None) -> Recalled:
        """What is on record for a job, and for content with its quick key, if that is given."""

        def read() -> Recalled:
            is_known = quick is not None and self._knows(quick)
            if not self._has_chosen(job_id):
                return Recalled(Answered(), (), is_known)
            return Recalled(self._of(job_id), self._faults(job_id), is_known)

        return await self._connection.read(read)

    def _faults(self, job_id: int) -> list[tuple[int, float | None, Fault]]:
        query = "SELECT part, seconds, fault FROM requests WHERE job_id = ? AND fault IS NOT NULL ORDER BY id"
        rows = self._connection.raw.execute(query, (job_id,))
        return [(row["part"], row["seconds"], fault_from(row["fault"])) for row in rows]

    def _has_chosen(self, job_id: int) -> bool:
        """Whether a job has ever come so far as to ask for something; most that are taken up have not."""
        query = "SELECT settings FROM jobs WHERE id = ?"
        row = self._connection.raw.execute(query, (job_id,)).fetchone()
        return row is not None and row["settings"] is not None

    def _knows(self, quick: str) -> bool:
        """Whether a file of the same size, beginning and end was answered before."""
        query = "SELECT 1 FROM jobs JOIN replies ON job_id = id WHERE quick = ? LIMIT 1"
        return self._connection.raw.execute(query, (quick,)).fetchone() is not None

    async def to(self, sha256: str, request: str) -> Answered | None:
        """What the newest job with the same content and request settings was answered."""
        query = (
            "SELECT job_id FROM jobs JOIN replies ON job_id = id"
            " WHERE sha256 = ? AND request = ? ORDER BY received_at DESC LIMIT 1"
        )
        rows = await self._connection.select(query, sha256, request)
        return await self.of(rows[0]["job_id"]) if rows else None


def _heard(text: str) -> Listened:
    duration, silences, warnings = json.loads(text)
    return Listened(duration, tuple((start, end) for start, end in silences), tuple(warnings))
