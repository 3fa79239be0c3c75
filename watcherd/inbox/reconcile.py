"""What a folder's listing means for its open jobs: its files, open rows and kept files in, actions out. Pure.

Start-up, overflow, a rebuilt watch, a reload and the timer all come through here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watcherd.job import Identity, Job, State

_IDLE = frozenset({State.QUEUED, State.WAITING})


@dataclass(frozen=True, slots=True)
class Found:
    """A media file in a listing; `path` is relative to the inbox, `held` means a partial file beside it."""

    path: bytes
    identity: Identity
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One folder's media files, in the order of their names; `ignored` counts what is none.

    Files that are covered by their sidecars count as ignored. `error` is the system's word for why the
    folder, or some of it, could not be read: nothing then counts as gone. `marked` says that it holds a
    marker, so that neither its files nor anything below was looked at.
    """

    folder: bytes
    files: tuple[Found, ...] = ()
    ignored: int = 0
    error: str = ""
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file without an open job."""

    found: Found


@dataclass(frozen=True, slots=True)
class Gone:
    """An idle job whose file is no longer there."""

    job: Job


@dataclass(frozen=True, slots=True)
class Changed:
    """An idle job whose file is another one by now."""

    job: Job
    found: Found


Action = Arrived | Gone | Changed
Kept = Mapping[bytes, tuple[int, int]]
"""Files that stay where they are and need nothing, by path: their size and mtime_ns."""


def idle(job: Job) -> bool:
    """Whether a job may be withdrawn from outside.

    One that is in hand notices a change by itself, and a planned delivery moves the file itself, also while
    it waits.
    """
    return job.state in _IDLE and job.plan is None


def is_kept(path: bytes, identity: Identity, kept: Kept) -> bool:
    """Whether a file is one of the kept as it was; device, inode and ctime change under a file that rests."""
    return kept.get(path) == (identity.size, identity.mtime_ns)


def asks_for_kept(listing: Listing, rows: Sequence[Job]) -> bool:
    """Whether `reconcile` has any use for the kept files: only where a file has no open job."""
    return not {found.path for found in listing.files} <= {job.path for job in rows}


def reconcile(listing: Listing, rows: Sequence[Job], kept: Kept) -> list[Action]:
    """What to do about one folder. `rows` and `kept` are of the files that lie directly in it."""
    jobs = {job.path: job for job in rows}
    actions: list[Action] = []
    for found in listing.files:
        job = jobs.pop(found.path, None)
        if job is None:
            if not is_kept(found.path, found.identity, kept):
                actions.append(Arrived(found))
        elif job.identity != found.identity and idle(job):
            actions.append(Changed(job, found))
    if not listing.error:
        actions.extend(Gone(job) for job in jobs.values() if idle(job))
    return actions
