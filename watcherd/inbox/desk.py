"""The desk behind an inbox, and what has been heard from it: folders and paths in, jobs and kept files out.

It is asked only where there may be something to hear: about a folder that has files or had open jobs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Protocol

from watcherd.config.model import Folder
from watcherd.inbox.reconcile import Kept, is_kept
from watcherd.inbox.warden import Witness
from watcherd.job import Identity, Job


class Desk(Witness, Protocol):
    """Where settled files go: the queue. It may raise FaultError, after which the inbox tries again."""

    async def open_folders(self, inbox: str) -> Collection[bytes]:
        """The folders, relative to the inbox, in which files with open jobs lie."""
        ...

    def has_plenty(self, inbox: str) -> bool:
        """Whether an inbox has more open jobs than can be taken up soon."""
        ...

    async def open_jobs(self, inbox: str, folder: bytes) -> Sequence[Job]:
        """The open jobs whose file lies directly in a folder, relative to the inbox."""
        ...

    async def kept(self, inbox: str, folder: bytes) -> Kept:
        """The files directly in a folder that stay there and need nothing; for inboxes whose files stay."""
        ...

    async def admit(self, inbox: str, path: bytes, identity: Identity) -> None:
        """A file has settled; nothing happens where its path has an open job."""
        ...

    async def withdraw(self, job_id: int, why: str) -> None:
        """The file of an idle job does not want it any more.

        It is gone (`vanished`) or another one (`changed`), it lies below a marker (`ignored`), or all its
        sidecars lie beside it (`covered`).
        """
        ...


class Meter:
    """What an inbox tells whoever counts arrivals, by its name. This one counts nothing."""

    def noticed(self, inbox: str) -> None:
        """A file was seen that may be one to take."""

    def settled(self, inbox: str, seconds: float, *, missed: bool) -> None:
        """A file finished arriving, so long after it was noticed; `missed` where no event told of it."""


class Window:
    """One inbox's side of the desk."""

    def __init__(self, desk: Desk, folder: Folder) -> None:
        self._desk = desk
        self._folder = folder
        self._open: defaultdict[bytes, set[bytes]] = defaultdict(set)
        """By folder, the paths that had an open job when last heard of."""

    @property
    def folders(self) -> Collection[bytes]:
        """The folders that had open jobs when last heard of."""
        return self._open

    @property
    def has_plenty(self) -> bool:
        """Whether there are more open jobs than can be taken up soon."""
        return self._desk.has_plenty(self._folder.name)

    async def learn(self) -> None:
        """Hear of every folder with open jobs: a walk may never come to some."""
        for folder in await self._desk.open_folders(self._folder.name):
            self._open.setdefault(folder, set())

    async def jobs_in(self, folder: bytes) -> Sequence[Job]:
        """The open jobs of the files directly in a folder."""
        rows = await self._desk.open_jobs(self._folder.name, folder)
        if rows:
            self._open[folder] = {job.path for job in rows}
        else:
            self._open.pop(folder, None)
        return rows

    async def kept_in(self, folder: bytes) -> Kept:
        """The kept files directly in a folder; none, and nobody is asked, where files are moved."""
        return await self._desk.kept(self._folder.name, folder) if self._folder.stays else {}

    async def admit(self, path: bytes, identity: Identity) -> None:
        """Hand a settled file over."""
        await self._desk.admit(self._folder.name, path, identity)
        self._open[_folder_of(path)].add(path)

    async def withdraw(self, job: Job, why: str) -> None:
        """Give up an idle job."""
        await self._desk.withdraw(job.id, why)

    def may_have_job(self, path: bytes) -> bool:
        """Whether a path had an open job when last heard of.

        A job that no scan has met yet is not known: the desk refuses a second one, and that scan compares.
        """
        return path in self._open.get(_folder_of(path), ())


class Inquiry:
    """The questions of one round of looks: each folder is asked about once."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._rows: dict[bytes, Sequence[Job]] = {}
        self._kept: dict[bytes, Kept] = {}

    async def job_of(self, path: bytes) -> Job | None:
        """The open job of a path."""
        if not self._window.may_have_job(path):
            return None
        folder = _folder_of(path)
        if folder not in self._rows:
            self._rows[folder] = await self._window.jobs_in(folder)
        return next((job for job in self._rows[folder] if job.path == path), None)

    async def is_kept(self, path: bytes, identity: Identity) -> bool:
        """Whether a file without an open job stays where it is and needs nothing."""
        folder = _folder_of(path)
        if folder not in self._kept:
            self._kept[folder] = await self._window.kept_in(folder)
        return is_kept(path, identity, self._kept[folder])


def _folder_of(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]
