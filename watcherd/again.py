"""Once more: failed files in, the same files back in their inboxes out, where they settle as new jobs.

The folders are the truth: what stands in a failed folder is failed, the journal only says where it came from.
Each inbox's files are touched in that inbox's own threads, one file at a time.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from watcherd.config.model import Folder
from watcherd.control import Retried
from watcherd.delivery import back, folders, look
from watcherd.delivery.names import REPORT
from watcherd.delivery.result import Changed, Vanished
from watcherd.escaping import escaped
from watcherd.faults import FaultError
from watcherd.inbox.content import sha256_of
from watcherd.inbox.storage import Storage
from watcherd.job import FINAL, Job, State
from watcherd.journal.reader import Reader, reading
from watcherd.journal.store import Journal
from watcherd.pipeline.bench import Places
from watcherd.place import Place

log = structlog.get_logger()

T = TypeVar("T")
PATIENCE = 5.0  # seconds for a look; a copy to another device takes as long as it takes
_TROUBLE = (OSError, FaultError, sqlite3.Error)  # a TimeoutError is an OSError
_GONE = "it is not in the failed folder any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """One inbox, as far as its files can be moved. `lock` lets one file move at a time."""

    folder: Folder
    places: Places
    storage: Storage
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def name(self) -> str:
        """The inbox's name."""
        return self.folder.name


class Again:
    """What `retry` does. `records` are the threads in which the journal at `path` is read."""

    def __init__(self, yards: Collection[Yard], *, journal: Journal, path: Path, records: Storage) -> None:
        self._yards = yards
        self._journal = journal
        self._path = path
        self._records = records

    async def everything(self, *, fresh: bool) -> list[Retried]:
        """Every failed file of every inbox; one whose storage does not answer delays no other."""
        found = await asyncio.gather(*(self._all_of(yard, fresh=fresh) for yard in self._yards))
        return [one for some in found for one in some]

    async def these(self, files: Sequence[bytes], *, fresh: bool) -> list[Retried]:
        """The files of these absolute paths, in their order.

        A path may be that of the failed file, of its report, or the one that it had in its inbox.
        """
        return [await self._one(os.path.normpath(file), fresh=fresh) for file in files]

    # All.

    async def _all_of(self, yard: Yard, *, fresh: bool) -> list[Retried]:
        try:
            if yard.folder.stays:
                failed = await self._journal.kept.failed(yard.name)
                return [await self._anew(yard, job, fresh=fresh) for job in failed]
            jobs = await self._read(lambda reader: reader.failed(yard.name))
            known = _newest_by_place(jobs)
            standing, reported = await self._look(yard, _survey, yard.places, tuple(known))
            names = {other.name for other in self._yards}
            strangers = [
                path
                for path, inbox in reported.items()
                if path not in known and (inbox == yard.name or inbox not in names)
            ]
            results = [
                await self._move(yard, place, known.get(place), fresh=fresh)
                for place in (*sorted(standing), *strangers)
            ]
            for place in sorted(known.keys() - standing):
                results += await self._missed(yard, place, known[place])
        except _TROUBLE as error:
            return [Retried(file=bytes(yard.folder.failed), inbox=yard.name, text=_reason(error))]
        return results

    async def _missed(self, yard: Yard, place: bytes, job: Job) -> list[Retried]:
        """A failed job whose file is gone; nothing to say where it went round again by other means."""
        newest = await self._read(lambda reader: reader.newest(yard.name, job.path))
        if newest is not None and newest.id != job.id:
            return []
        if await self._look(yard, _stands, yard.places, "inbox", job.path):
            return []
        return [Retried(file=_full(yard.folder.failed, place), inbox=yard.name, text=_GONE)]

    # One.

    async def _one(self, file: bytes, *, fresh: bool) -> Retried:
        try:
            found = _below(file, self._yards, real=False)
            if not found:
                for yard in self._yards:  # their real paths are known only when they were opened once
                    await self._open(yard)
                found = _below(file, self._yards, real=True)
            return await self._of(file, found, fresh=fresh)
        except _TROUBLE as error:
            return Retried(file=file, inbox=None, text=_reason(error))

    async def _open(self, yard: Yard) -> None:
        try:
            await self._look(yard, _open, yard.places)
        except OSError:  # then the file is not looked for there
            log.debug("folder.unreachable", inbox=yard.name)

    async def _of(self, file: bytes, found: Sequence[_Below], *, fresh: bool) -> Retried:
        """The right one of the inboxes that share the failed folder, or a sentence about what the file is."""
        if not found:
            return Retried(file=file, inbox=None, text="it lies in no inbox and in no failed folder")
        if found[0].kind == "done":
            return Retried(file=file, inbox=found[0].yard.name, text="it is not failed: it was translated")
        if found[0].kind == "inbox":
            return await self._formerly_at(file, found[0], fresh=fresh)
        place = _without_report(found[0].path)
        owners = {}
        for below in found:
            jobs = await self._jobs_at(below.yard, place)
            owners[below.yard.name] = jobs[0] if jobs else None
        chosen = next((below for below in found if owners[below.yard.name]), found[0])
        job = owners[chosen.yard.name]
        if await self._look(chosen.yard, _stands, chosen.yard.places, "failed", place):
            return await self._move(chosen.yard, place, job, fresh=fresh, asked=file)
        if job is None:
            return Retried(file=file, inbox=chosen.yard.name, text="there is no such file")
        newest = await self._read(lambda reader: reader.newest(job.inbox, job.path))
        said = _GONE if newest is None or newest.id == job.id else f"{_GONE}; since then {_story(newest)}"
        return Retried(file=file, inbox=chosen.yard.name, text=said)

    async def _jobs_at(self, yard: Yard, place: bytes) -> list[Job]:
        jobs = await self._read(lambda reader: reader.failed(yard.name))
        return [job for job in jobs if _place(job) == place]

    async def _formerly_at(self, file: bytes, below: _Below, *, fresh: bool) -> Retried:
        """A path in the inbox: the failed file that came from there, else what has become of it."""
        yard = below.yard
        jobs = await self._read(lambda reader: reader.failed(yard.name))
        for job in () if yard.folder.stays else jobs:
            if job.path == below.path and await self._look(yard, _stands, yard.places, "failed", _place(job)):
                return await self._move(yard, _place(job), job, fresh=fresh, asked=file)
        newest = await self._read(lambda reader: reader.newest(yard.name, below.path))
        if newest is None:
            text = "watcherd knows of no failed file by that name"
        elif yard.folder.stays and newest.state in {State.FAILED, State.DONE}:
            return await self._anew(yard, newest, fresh=fresh, asked=file)
        elif newest.state is State.FAILED:
            text = _GONE
        else:
            text = f"it is not failed: {_story(newest)}"
        return Retried(file=file, inbox=yard.name, text=text)

    # The rim.

    async def _move(
        self, yard: Yard, place: bytes, job: Job | None, *, fresh: bool, asked: bytes | None = None
    ) -> Retried:
        file = _full(yard.folder.failed, place) if asked is None else asked
        path, job_id = (place, 0) if job is None else (job.path, job.id)
        places = yard.places
        try:
            async with yard.lock:
                if fresh:
                    await self._forget(yard, places.failed, place)
                result = await yard.storage.call(
                    back.bring_back, places.failed, place, places.inbox, path, job_id=job_id
                )
        except _TROUBLE as error:
            return Retried(file=file, inbox=yard.name, text=_reason(error))
        if isinstance(result, Vanished):
            return Retried(file=file, inbox=yard.name, text=_GONE)
        if isinstance(result, Changed):
            return Retried(file=file, inbox=yard.name, text="it is being written to; try again later")
        log.info("file.returned", inbox=yard.name, file=result, job=job_id or None, fresh=fresh)
        return Retried(file=file, inbox=yard.name, back_as=result)

    async def _anew(self, yard: Yard, job: Job, *, fresh: bool, asked: bytes | None = None) -> Retried:
        """Have a file that stays in its place arrive once more: it failed, or its sidecars were removed."""
        file = _full(yard.folder.inbox, job.path) if asked is None else asked
        if not await self._look(yard, _stands, yard.places, "inbox", job.path):
            return Retried(file=file, inbox=yard.name, text="it is not there any more")
        if job.state is State.DONE and job.plan is not None:
            beside = [os.path.join(job.plan.folder, one.name) for one in job.plan.sidecars]
            standing = [await self._look(yard, _stands, yard.places, "inbox", one) for one in beside]
            if all(standing):
                text = "it was translated, and its subtitles are there: remove what is to be made again"
                return Retried(file=file, inbox=yard.name, text=text)
        if fresh:
            async with yard.lock:
                await self._forget(yard, yard.places.inbox, job.path)
        await self._journal.kept.forget(yard.name, job.path)
        log.info("file.returned", inbox=yard.name, file=job.path, job=job.id, fresh=fresh)
        return Retried(file=file, inbox=yard.name, back_as=job.path)

    async def _forget(self, yard: Yard, folder: Place, path: bytes) -> None:
        """Forget what was answered for the content of a failed file, under whatever name it came."""
        sha256 = await yard.storage.call(_sha256, folder, path)
        if sha256 is not None:
            await self._journal.forget_replies(sha256)

    async def _look(self, yard: Yard, look: Callable[..., T], *values: object) -> T:
        """Look at an inbox's files; raises TimeoutError where its storage does not answer."""
        async with asyncio.timeout(PATIENCE), yard.lock:
            return await yard.storage.call(look, *values)

    async def _read(self, read: Callable[[Reader], T]) -> T:
        async with asyncio.timeout(PATIENCE):
            return await self._records.call(_reading, self._path, read)


@dataclass(frozen=True, slots=True)
class _Below:
    """A file's path below one folder of an inbox: its `failed`, its `done` or the inbox itself."""

    yard: Yard
    kind: str
    path: bytes


def _below(file: bytes, yards: Collection[Yard], *, real: bool) -> list[_Below]:
    """Where a path lies; done and failed may lie inside the inbox, so they are asked first."""
    for kind in ("failed", "done", "inbox"):
        found = []
        for yard in yards:
            if yard.folder.stays and kind != "inbox":
                continue
            place = getattr(yard.places, kind)
            root = place.real if real else bytes(place.path)
            if root and file.startswith(root.rstrip(b"/") + b"/"):
                found.append(_Below(yard, kind, file[len(root.rstrip(b"/")) + 1 :]))
        if found:
            return found
    return []


def _newest_by_place(jobs: Sequence[Job]) -> dict[bytes, Job]:
    """Failed jobs, the newest first, by the place of their file: a later failure may have the same one."""
    found: dict[bytes, Job] = {}
    for job in jobs:
        found.setdefault(_place(job), job)
    return found


def _place(job: Job) -> bytes:
    """Where a failed job's file stands, relative to the failed folder."""
    assert job.plan is not None
    return job.plan.folder + b"/" + job.plan.original if job.plan.folder else job.plan.original


def _without_report(path: bytes) -> bytes:
    name = path.rpartition(b"/")[2]
    return path.removesuffix(REPORT) if len(name) > len(REPORT) else path


def _story(job: Job) -> str:
    """What has become of a job, as the end of a sentence."""
    match job.state:
        case State.DONE:
            return "it was translated"
        case State.FAILED:
            return "it failed"
        case State.SKIPPED:
            return "it went away or changed before it was translated"
        case State.WAITING:
            return f"it is waiting ({job.reason})"
        case _:
            assert job.state not in FINAL
            return f"it is {job.state}"


def _reason(error: Exception) -> str:
    match error:
        case FaultError():
            return f"{error.fault.message}; {error.fault.hint}"
        case TimeoutError():
            return "the storage is not answering; try again later"
        case OSError():
            where = "" if error.filename is None else f"{escaped(os.fsencode(error.filename))}: "
            return where + (error.strerror or type(error).__name__)
        case _:
            return str(error)


def _full(folder: Path, path: bytes) -> bytes:
    return os.path.join(bytes(folder), path)


# In an inbox's threads.


def _survey(places: Places, known: Collection[bytes]) -> tuple[set[bytes], dict[bytes, str]]:
    """Which of the known places have a file, and the files with a report beside them."""
    try:
        reported = back.reported(places.failed)
    except FileNotFoundError:
        if known:
            raise
        return set(), {}
    return {place for place in known if back.stands(places.failed, place)}, reported


def _stands(places: Places, kind: str, path: bytes) -> bool:
    return back.stands(getattr(places, kind), path)


def _sha256(place: Place, path: bytes) -> str | None:
    folder, _, name = path.rpartition(b"/")
    with folders.opened(place, folder) as folder_fd:
        fd = look.opened(folder_fd, name)
        if fd is None:
            return None
        try:
            return sha256_of(fd, threading.Event())
        finally:
            os.close(fd)


def _open(places: Places) -> None:
    for place in (places.inbox, places.done, places.failed):
        os.close(place.open())


def _reading(path: Path, read: Callable[[Reader], T]) -> T:
    with reading(path) as reader:
        return read(reader)
