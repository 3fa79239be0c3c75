"""The job: one settled file under one inbox's settings, its states and its legal moves. Pure values, no I/O.

queued -> preparing -> translating -> delivering -> done | failed
any of these -> waiting (with a reason and a time) -> queued or delivering
any of these -> skipped (the file went away or changed)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from watcherd.faults import Fault
from watcherd.settings import Settings


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    PREPARING = "preparing"
    TRANSLATING = "translating"
    DELIVERING = "delivering"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


FINAL = frozenset({State.DONE, State.FAILED, State.SKIPPED})
CRASHES = 3  # daemons that died with one file in hand, after which it is the file's fault
ACTIVE = frozenset({State.PREPARING, State.TRANSLATING, State.DELIVERING})
_ASKING = frozenset({State.PREPARING, State.TRANSLATING})


class WaitReason(StrEnum):
    """Why a job waits."""

    BACKOFF = "backoff"
    ENDPOINT_PAUSED = "endpoint paused"
    BUDGET = "budget"
    DISK_FULL = "disk full"
    STORAGE = "storage not answering"


class Outcome(StrEnum):
    """Where a delivery takes the original."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a file the same file as a moment ago: any change of content changes one of these."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A slice of a job's audio, asked for in one request. Times are seconds on the job's time line.

    Parts may overlap; `own_start` to `own_end` is the stretch that is this one's to tell. A file that is sent
    as it is is one part without bounds. Nothing is heard in a `silent` part, so it is not sent.
    """

    number: int
    start: float = 0.0
    end: float = math.inf
    own_start: float = -math.inf
    own_end: float = math.inf
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One file of a plan: its final name in the plan's folder, and what is written there."""

    name: bytes
    format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A delivery, chosen before anything is written: every final name, in one folder.

    `folder` is relative to the inbox's done or failed folder (b"" is that folder itself); `original` is
    the name the original gets there; `at` is when this was chosen, UTC seconds. With `stays` the original
    stays where it is: folder and name are its own, and the sidecars are written beside it. `cues` are the
    numbers of the shape that cues get, None where they stay as they are.
    """

    outcome: Outcome
    folder: bytes
    original: bytes
    sidecars: tuple[Sidecar, ...]
    at: float = 0.0
    stays: bool = False
    cues: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One settled file. `path` is relative to the inbox; times are seconds since the epoch, UTC.

    `attempts` counts the rounds of requests charged to the file, `crashes` how often a daemon died with the
    file in hand since it last got an answer; `until` is when a waiting job is due.
    """

    id: int
    inbox: str
    path: bytes
    identity: Identity
    settled_at: float
    state: State = State.QUEUED
    attempts: int = 0
    crashes: int = 0
    reason: WaitReason | None = None
    until: float | None = None
    plan: Plan | None = None
    fault: Fault | None = None
    warnings: tuple[str, ...] = ()

    @property
    def suspect(self) -> bool:
        """Whether one more death of a daemon would be held against the file."""
        return self.crashes >= CRASHES - 1


@dataclass(frozen=True, slots=True)
class Started:
    """The queue took the job up."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the audio is asked for with: on record before the first request, kept once there is a reply."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a part begins and ends is settled: on record before its first request."""

    part: Part


@dataclass(frozen=True, slots=True)
class Divided:
    """A part turned out to be too much for one request; others take its place."""

    number: int
    into: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Listened:
    """The whole audio was decoded: its length in seconds, where nothing is heard, what was wrong with it.

    All parts are on record by then.
    """

    duration: float
    silences: tuple[tuple[float, float], ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sending:
    """A request for a part is about to leave for `endpoint`; on record before, so that a crash counts.

    The first of a round is an attempt. `size` is of the upload in bytes, `seconds` of its audio where that is
    known.
    """

    endpoint: str
    size: int
    seconds: float | None = None
    part: int = 0


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request for a part ended with a fault."""

    fault: Fault
    part: int = 0


@dataclass(frozen=True, slots=True)
class Replied:
    """The endpoint answered for a part: `body` as it came, on disk before anything reads it.

    With it, `answered` of the `parts` known by now have their answers.
    """

    body: bytes
    format: str
    part: int = 0
    answered: int = 1
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Reused:
    """The endpoint answered for the same audio under the same request settings before."""

    body: bytes
    format: str
    part: int = 0
    answered: int = 1
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Recognised:
    """What the file holds is known.

    `quick` and `sha256` name its content, `request` the settings that it was asked for with; `seconds` is
    how long it is, where that is known.
    """

    quick: str
    sha256: str
    request: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The reply on record for a part is none: it held an error. It is forgotten, and the journey goes on."""

    fault: Fault
    part: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """Every name of the delivery is chosen; `fault` is set when the outcome is failed."""

    plan: Plan
    warnings: tuple[str, ...] = ()
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """Sidecars and original stand where the plan says.

    `written` are the sidecars beside an original that stays, with the SHA-256 of their contents.
    """

    written: tuple[tuple[bytes, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Postponed:
    """The job waits; `charged` says whether the request counts against the file."""

    reason: WaitReason
    until: float
    fault: Fault
    charged: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """The waiting is over."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The daemon stopped with the job in hand, or finds it so at the next start: then the attempt counts."""

    charged: bool


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The file went away or changed under its name; `why` is a code. If it is there, it settles anew.

    Not so where it is `kept`: it is in its place, and nothing is to be done for it until it changes.
    """

    why: str
    kept: bool = False


Event = (
    Started
    | Chosen
    | Cut
    | Divided
    | Listened
    | Sending
    | Unanswered
    | Replied
    | Reused
    | Recognised
    | Refused
    | Planned
    | Delivered
    | Postponed
    | Due
    | Interrupted
    | Withdrawn
)


class IllegalMoveError(Exception):
    """The event cannot happen in the job's state: a bug, never a user's mistake."""

    def __init__(self, job: Job, event: Event) -> None:
        super().__init__(f"job {job.id} is {job.state}: {type(event).__name__} cannot happen")


def step(job: Job, event: Event) -> Job:  # noqa: C901, PLR0911, PLR0912 - one total table, a line a move
    """The only way a job changes: total over states and events, raising IllegalMoveError."""
    state = job.state
    match event:
        case Started() if state is State.QUEUED:
            return replace(job, state=State.PREPARING, fault=None)
        case Sending() if state is State.PREPARING:
            return replace(job, state=State.TRANSLATING, attempts=job.attempts + 1)
        case Sending() | Unanswered() if state is State.TRANSLATING:
            return job
        case Replied() if state is State.TRANSLATING:  # a long file that gets on is not what daemons die of
            return replace(job, crashes=0)
        case Chosen() | Cut() | Divided() | Listened() | Reused() | Recognised() if state in _ASKING:
            return job
        case Refused() if state in {State.PREPARING, State.TRANSLATING}:
            return replace(job, fault=event.fault)
        case Planned() if state in ACTIVE:
            return replace(
                job, state=State.DELIVERING, plan=event.plan, warnings=event.warnings, fault=event.fault
            )
        case Delivered() if state is State.DELIVERING and job.plan is not None:
            return replace(job, state=State(job.plan.outcome.value))
        case Postponed() if state in ACTIVE:
            attempts = job.attempts if event.charged else _uncharged(job)
            fault = job.fault if state is State.DELIVERING else event.fault
            return replace(
                job,
                state=State.WAITING,
                attempts=attempts,
                reason=event.reason,
                until=event.until,
                fault=fault,
            )
        case Due() if state is State.WAITING:
            return _resumed(replace(job, reason=None, until=None))
        case Interrupted() if state in ACTIVE:
            if not event.charged:
                return _resumed(replace(job, attempts=_uncharged(job)))
            # A delivery only writes and renames: a death there is not the file's doing.
            return _resumed(job if state is State.DELIVERING else replace(job, crashes=job.crashes + 1))
        case Withdrawn() if state not in FINAL:
            return replace(job, state=State.SKIPPED, reason=None, until=None)
        case (
            Started()
            | Chosen()
            | Cut()
            | Divided()
            | Listened()
            | Sending()
            | Unanswered()
            | Replied()
            | Reused()
            | Recognised()
            | Refused()
            | Planned()
            | Delivered()
            | Postponed()
            | Due()
            | Interrupted()
            | Withdrawn()
        ):
            raise IllegalMoveError(job, event)
        case _ as unreachable:
            assert_never(unreachable)


def _uncharged(job: Job) -> int:
    """The attempts without the one under way: only a job that is translating has one."""
    return job.attempts - 1 if job.state is State.TRANSLATING else job.attempts


def _resumed(job: Job) -> Job:
    """A job goes on where its record stands: a planned delivery is finished, anything else queued."""
    return replace(job, state=State.QUEUED if job.plan is None else State.DELIVERING)
