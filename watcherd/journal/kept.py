"""Kept files: originals that stay in their inbox, and what was written beside them. Values in and out."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from watcherd.job import Job, Plan
from watcherd.journal.connection import Connection
from watcherd.journal.rows import job_from

_PLACE = "inbox = ? AND folder = ? AND path = ?"
_FOUND = "UPDATE kept SET missing_since = NULL WHERE {} AND missing_since IS NOT NULL"
_MISSED = "UPDATE kept SET missing_since = coalesce(missing_since, ?) WHERE {}"


@dataclass(frozen=True, slots=True)
class Translated:
    """What was last translated under a path: its content, its request settings, and the sidecars written."""

    quick: str
    sha256: str
    request: str
    written: tuple[bytes, ...]


class Kept:
    """The journal's record of files that stay; raises FaultError (scope machine) when SQLite cannot work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def marks(self, inbox: str, folder: bytes) -> Mapping[bytes, tuple[int, int]]:
        """Size and mtime_ns of the files directly in a folder that need nothing, by path."""
        query = "SELECT path, size, mtime_ns FROM kept WHERE inbox = ? AND folder = ?"
        rows = await self._connection.select(query, inbox, folder)
        return {row["path"]: (row["size"], row["mtime_ns"]) for row in rows}

    async def paths(self, inbox: str, *, after: bytes, limit: int) -> dict[bytes, bool]:
        """The next paths of an inbox in the order of folder and name, and which are noted as missing.

        b"" begins.
        """
        query = (
            "SELECT path, missing_since IS NOT NULL AS missing FROM kept"
            " WHERE inbox = ? AND (folder, path) > (?, ?) ORDER BY folder, path LIMIT ?"
        )
        rows = await self._connection.select(query, inbox, _folder(after), after, limit)
        return {row["path"]: bool(row["missing"]) for row in rows}

    async def failed(self, inbox: str) -> list[Job]:
        """The jobs of files that stay though they failed."""
        query = (
            "SELECT jobs.* FROM kept JOIN jobs ON id = job_id"
            " WHERE kept.inbox = ? AND state = 'failed' ORDER BY kept.path"
        )
        return [job_from(row) for row in await self._connection.select(query, inbox)]

    async def written(self, inbox: str, path: bytes) -> dict[bytes, str]:
        """Names of sidecars that were written beside a file, and the SHA-256 of what each got last."""
        query = "SELECT written FROM jobs WHERE inbox = ? AND path = ? AND written IS NOT NULL ORDER BY id"
        found: dict[bytes, str] = {}
        for row in await self._connection.select(query, inbox, path):
            found.update({_bytes(name): digest for name, digest in json.loads(row["written"]).items()})
        return found

    async def translated(self, inbox: str, path: bytes) -> Translated | None:
        """What the last sidecars beside a file were made from."""
        query = (
            "SELECT quick, sha256, request, written FROM jobs"
            " WHERE inbox = ? AND path = ? AND written IS NOT NULL AND request IS NOT NULL"
            " ORDER BY id DESC LIMIT 1"
        )
        rows = await self._connection.select(query, inbox, path)
        if not rows:
            return None
        names = tuple(map(_bytes, json.loads(rows[0]["written"])))
        return Translated(rows[0]["quick"], rows[0]["sha256"], rows[0]["request"], names)

    async def failures(self, inbox: str, path: bytes) -> list[Plan]:
        """The deliveries of reports about a file that stays."""
        query = "SELECT * FROM jobs WHERE inbox = ? AND path = ? AND state = 'failed' AND plan IS NOT NULL"
        jobs = [job_from(row) for row in await self._connection.select(query, inbox, path)]
        return [job.plan for job in jobs if job.plan is not None and job.plan.stays]

    async def note(
        self, inbox: str, *, present: Sequence[bytes], missing: Sequence[bytes], now: float
    ) -> None:
        """Record which files were found in their places, and which not."""
        await self._connection.write(self._note, inbox, present, missing, now)

    async def forget(self, inbox: str, path: bytes) -> bool:
        """Forget a file, so that it arrives anew; return whether it was kept."""
        return await self._connection.write(self._forget, inbox, path)

    def _note(self, inbox: str, present: Collection[bytes], missing: Collection[bytes], now: float) -> None:
        execute = self._connection.raw.executemany
        execute(_FOUND.format(_PLACE), [(inbox, _folder(path), path) for path in present])
        execute(_MISSED.format(_PLACE), [(now, inbox, _folder(path), path) for path in missing])

    def _forget(self, inbox: str, path: bytes) -> bool:
        statement = f"DELETE FROM kept WHERE {_PLACE}"
        return self._connection.raw.execute(statement, (inbox, _folder(path), path)).rowcount > 0


def written_text(written: Collection[tuple[bytes, str]]) -> str:
    """Names and digests as JSON; bytes that are no UTF-8 survive as lone surrogates."""
    return json.dumps({name.decode("utf-8", "surrogateescape"): digest for name, digest in written})


def _folder(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
