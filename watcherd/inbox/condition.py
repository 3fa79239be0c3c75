"""How an inbox is doing: errors in, a condition with its sentence out; what the status shows. Pure.

A missing or unreadable inbox is a condition, not a crash; it heals by itself.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import StrEnum

from watcherd.config.model import Folder
from watcherd.faults import storage_fault
from watcherd.inbox.rounds import Scanned

SHARE = 300  # a scan takes at most one part in so many of the time while events work


class Reach(StrEnum):
    """Who can write to a file system without this kernel's events and leases telling."""

    LOCAL = "local"
    """Nobody."""
    LAYERED = "layered"
    """Somebody below the merged view of an overlay: leases hold, events may be missing."""
    REMOTE = "remote"
    """Another machine, or a program behind a user-space file system: neither can be relied on."""


class LockedByOtherError(Exception):
    """Another process holds the inbox; `pid` where the system names it."""

    def __init__(self, pid: int | None) -> None:
        super().__init__("another watcherd watches this inbox" + (f" (process {pid})" if pid else ""))
        self.pid = pid


class Condition(StrEnum):
    """What the inbox is at."""

    STARTING = "starting"
    WATCHING = "watching"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    BUSY = "busy"
    """Another watcherd holds it."""
    SILENT = "storage not answering"
    TROUBLED = "troubled"


@dataclass(frozen=True, slots=True)
class Standing:
    """A condition with one sentence and a hint for a person; both empty when all is well."""

    condition: Condition
    text: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An arrival as the status shows it: since when (seconds since the epoch, UTC), and what it waits for."""

    path: bytes
    since: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxState:
    """A snapshot of one inbox. `live` says that events arrive, `limited` why they do not cover all of it.

    `blind` says that the watch has died and nobody renews it, though nothing keeps them from doing so.
    `scanned` is the last whole scan and `scanned_at` its end, in seconds since the epoch; None before the
    first.
    """

    name: str
    standing: Standing
    live: bool
    blind: bool
    limited: str
    arrivals: tuple[Waiting, ...]
    missed_by_events: int
    scanned: Scanned | None
    scanned_at: float | None


def standing_after(error: OSError | LockedByOtherError, folder: Folder) -> Standing:
    """What an error on the inbox's own folder makes of it."""
    if isinstance(error, LockedByOtherError):
        hint = "Stop one of the two, or give them different inboxes."
        return Standing(Condition.BUSY, f"{error}: {folder.inbox}", hint)
    fault = storage_fault(error, doing="watching the inbox", where=str(folder.inbox))
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.ENODEV:
            condition = Condition.MISSING
        case errno.EACCES | errno.EPERM:
            condition = Condition.UNREADABLE
        case _:
            condition = Condition.TROUBLED
    return Standing(condition, fault.message, fault.hint)


def watch_limit(error: OSError) -> str:
    """What to do when the system will not watch (any more) folders."""
    if error.errno == errno.EMFILE:
        return "raise fs.inotify.max_user_instances and the open files limit, or set watch: poll"
    return "raise fs.inotify.max_user_watches with sysctl, or set watch: poll"


def scan_interval(folder: Folder, *, reach: Reach, complete: bool, seconds: float) -> float:
    """Seconds from the end of a scan to the next. `complete` says that events tell of every folder."""
    trusted = reach is Reach.LOCAL or folder.watch == "events"
    if complete and trusted:
        return max(folder.rescan, SHARE * seconds)
    return min(folder.poll_interval, folder.rescan)
