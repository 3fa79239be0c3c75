"""When a file has finished arriving: looks at it in, the time of the next or "settled" out. Pure.

Times are monotonic seconds. Settled is: the same device, inode, size, mtime and ctime for the quiet time,
counted from the last change that was *observed* (the first look starts the clock: `cp -p` brings any mtime
with it), no writer, more than no bytes, readable, and nothing beside it that says a download goes on. Every
figure below was measured against real writers: some hold the file open and pause, some allocate it whole,
some write it through mmap, some append and close.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from watcherd.job import Identity

RENAMED = 0.5  # seconds of quiet for a file renamed from a partial name: the rename said "complete"
LEASELESS = 15.0  # seconds of quiet where nobody can tell whether a writer has the file open
LONGEST = 6 * 3600.0  # seconds after which a file that keeps changing is reported
SPACING = 0.1  # seconds between two looks at one file, however many events it makes


class Kind(StrEnum):
    """What a path turned out to be."""

    FILE = "file"
    GONE = "gone"
    SYMLINK = "symbolic link"
    FOLDER = "folder"
    SPECIAL = "FIFO, socket or device"
    IGNORED = "below a marker that says to leave everything alone"
    COVERED = "a file with all its sidecars beside it"


class Lease(StrEnum):
    """Whether some program has the file open for writing, as the kernel's lease tells."""

    FREE = "free"
    BUSY = "busy"
    UNKNOWN = "unknown"
    """Not our file, not this file system, or writers on other machines: nobody can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a path. `identity` is set for a plain file; `beside` are those names asked for that exist.

    `error` says why a plain file cannot be opened, in the system's words; empty when it can.
    """

    kind: Kind
    identity: Identity | None = None
    lease: Lease = Lease.UNKNOWN
    beside: frozenset[bytes] = frozenset()
    error: str = ""


GONE = Look(kind=Kind.GONE)


class Note(StrEnum):
    """Why an arrival is still one, for the status."""

    SETTLING = "settling"
    WRITING = "a program has it open for writing"
    GROWING = "still changing after 6 hours"
    HELD = "a partial download lies beside it"
    EMPTY = "empty"
    UNREADABLE = "cannot be read"
    TAKEN = "changed under its job, which is not finished yet"


PASSING = frozenset({Note.SETTLING, Note.WRITING, Note.TAKEN})
"""What passes by itself; anything else waits for a person or another program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A file that was noticed and is not settled.

    `since` is when it was noticed, `changed` when a change was last observed, `restless` when the present
    stretch of changes began, `looked` when it was last looked at (`look`). `renamed` says that it came from a
    partial name, `held` that a partial file lies beside it.
    """

    path: bytes
    since: float
    changed: float
    restless: float
    looked: float
    look: Look | None = None
    renamed: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """Finished arriving, as this very file."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class LookAt:
    """Not finished: look again at a monotonic time, unless something happens before."""

    when: float
    note: Note


def noticed(path: bytes, now: float, *, renamed: bool = False) -> Arrival:
    """A new arrival; its clock starts with the first look."""
    return Arrival(path=path, since=now, changed=now, restless=now, looked=now, renamed=renamed)


def observe(arrival: Arrival, look: Look, *, asked: float, now: float, held: bool) -> Arrival:
    """The arrival after a look at a plain file. A change of any kind, or a writer, restarts its clock.

    The look was made at some time from `asked` to `now`, which slow storage may hold far apart; whichever is
    safe counts: nothing changed later than `now`, nothing was seen later than `asked`.
    """
    last = arrival.look
    same = last is not None and last.identity == look.identity
    return replace(
        arrival,
        look=look,
        looked=asked,
        held=held,
        changed=arrival.changed if same and look.lease is not Lease.BUSY else now,
        restless=now if last is None or _stuck(last, held=arrival.held) is not None else arrival.restless,
        renamed=arrival.renamed and (last is None or same),
    )


def quiet_time(look: Look, settle: float, *, renamed: bool) -> float:
    """How many seconds a file must rest; `settle` is the folder's setting."""
    if look.error:
        return settle
    if look.lease is Lease.UNKNOWN:
        return max(settle, LEASELESS)
    return min(settle, RENAMED) if renamed else settle


def verdict(arrival: Arrival, settle: float) -> Settled | LookAt:
    """What the looks so far amount to. Total; the next look never lies before the last one, or at it."""
    look = arrival.look
    if look is None:
        return LookAt(arrival.looked, Note.SETTLING)
    quiet = quiet_time(look, settle, renamed=arrival.renamed)
    due = arrival.changed + quiet
    stuck = _stuck(look, held=arrival.held)
    if look.lease is Lease.BUSY or (arrival.looked < due and stuck is not Note.HELD):
        latest = max(arrival.looked, arrival.changed)
        return LookAt(min(due, latest + max(quiet / 2, SPACING)), _moving(arrival, look))
    if stuck is not None or look.identity is None:
        return LookAt(arrival.looked + max(quiet, arrival.looked - arrival.changed), stuck or Note.UNREADABLE)
    return Settled(look.identity)


def _moving(arrival: Arrival, look: Look) -> Note:
    if arrival.looked - arrival.restless >= LONGEST:
        return Note.GROWING
    return Note.WRITING if look.lease is Lease.BUSY else Note.SETTLING


def _stuck(look: Look, *, held: bool) -> Note | None:
    """Why quiet alone does not settle it. Looks at it become ever rarer; scans and events go on."""
    if look.error:
        return Note.UNREADABLE
    if held:
        return Note.HELD
    return Note.EMPTY if look.identity is not None and look.identity.size == 0 else None
