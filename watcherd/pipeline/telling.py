"""Telling: a job after a move and the event that moved it in, one log line out.

What makes many files wait is said once for them all: a pause and a budget by the gate, storage by `Teller`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from typing import assert_never

import structlog

from watcherd.clock import Clock
from watcherd.faults import Fault
from watcherd.job import (
    FINAL,
    Chosen,
    Cut,
    Delivered,
    Divided,
    Due,
    Event,
    Interrupted,
    Job,
    Listened,
    Planned,
    Postponed,
    Recognised,
    Refused,
    Replied,
    Reused,
    Sending,
    Started,
    Unanswered,
    WaitReason,
    Withdrawn,
)
from watcherd.logs import heard
from watcherd.trouble import Trouble

log = structlog.get_logger()


class Teller:
    """Tells every move of every job. A full disk is said with its first file and then ever more rarely."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._storages: defaultdict[tuple[str, WaitReason], _Storage] = defaultdict(_Storage)

    def tell(self, job: Job, event: Event) -> None:
        """One log line; a second one for the end of an inbox's trouble with storage."""
        tell(job, event, self._level(job, event) if isinstance(event, Postponed) else logging.WARNING)
        if job.state in FINAL:
            self._let_go(job)

    def _level(self, job: Job, event: Postponed) -> int:
        """How loud a wait is: a warning where nothing else says it, for debugging otherwise."""
        match event.reason:
            case WaitReason.BACKOFF:
                return logging.WARNING
            case WaitReason.ENDPOINT_PAUSED | WaitReason.BUDGET:
                return logging.DEBUG
            case WaitReason.DISK_FULL | WaitReason.STORAGE:
                storage = self._storages[job.inbox, event.reason]
                storage.waiting.add(job.id)
                said = storage.trouble.met(self._clock.monotonic())
                return logging.WARNING if said else logging.DEBUG
            case _ as unreachable:
                assert_never(unreachable)

    def _let_go(self, job: Job) -> None:
        """It is over when the last file that waited is through: small ones find room before large ones."""
        for (inbox, reason), storage in self._storages.items():
            if inbox == job.inbox:
                storage.waiting.discard(job.id)
                if not storage.waiting and storage.trouble.over():
                    log.info("inbox.recovered", inbox=inbox, after=reason)


@dataclass(slots=True)
class _Storage:
    """One inbox's trouble with storage, and the jobs that wait for its end."""

    trouble: Trouble = field(default_factory=Trouble)
    waiting: set[int] = field(default_factory=set)


def tell(job: Job, event: Event, waiting: int = logging.WARNING) -> None:
    """One log line for each step that a person would want to see; `waiting` is the level of a wait's."""
    level, line, said = _line(job, event, waiting)
    if heard(level):
        log.log(level, line, job=job.id, inbox=job.inbox, file=job.path, **said)


def _line(  # noqa: C901, PLR0911, PLR0912 - a line for each event
    job: Job, event: Event, waiting: int
) -> tuple[int, str, dict[str, object]]:
    """The level, the name and the fields of an event's line."""
    said: dict[str, object]
    match event:
        case Started() | Due() | Interrupted():
            return logging.DEBUG, f"job.{type(event).__name__.lower()}", {"state": job.state}
        case Sending():
            said = {"part": event.part, "attempt": job.attempts, "bytes": event.size}
            return logging.INFO, "part.sent", said
        case Unanswered():
            return logging.DEBUG, "part.unanswered", {"part": event.part, **_fault(event.fault)}
        case Chosen():
            said = {"model": event.settings.model, "request": event.settings.key}
            return logging.DEBUG, "job.chosen", said
        case Cut():
            part = event.part
            said = {"part": part.number, "start": part.start, "end": part.end, "silent": part.silent}
            return logging.DEBUG, "part.cut", said
        case Divided():
            said = {"part": event.number, "into": [part.number for part in event.into]}
            return logging.INFO, "part.divided", said
        case Listened():
            said = {"seconds": event.duration, "silences": len(event.silences)}
            return logging.DEBUG, "job.listened", said
        case Replied():
            return logging.INFO, "part.translated", _answer(event)
        case Reused():
            return logging.INFO, "part.reused", _answer(event)
        case Recognised():
            return logging.DEBUG, "job.recognised", {"sha256": event.sha256}
        case Refused():
            return logging.WARNING, "reply.refused", _fault(event.fault)
        case Planned():
            said = {"name": event.plan.original, "folder": event.plan.folder}
            return logging.DEBUG, "delivery.planned", said
        case Delivered() if job.fault is not None:
            return logging.ERROR, "job.failed", {**_fault(job.fault), "hint": job.fault.hint}
        case Delivered():
            return logging.INFO, "job.done", {"warnings": list(job.warnings)}
        case Postponed():
            said = {"reason": event.reason, "until": event.until, **_fault(event.fault)}
            return waiting, "job.waiting", said
        case Withdrawn():
            return logging.INFO, "job.skipped", {"why": event.why}
        case _ as unreachable:
            assert_never(unreachable)


def _fault(fault: Fault) -> dict[str, object]:
    return {"fault": fault.code, "message": fault.message}


def _answer(event: Replied | Reused) -> dict[str, object]:
    """What there is to say of an answer: how far the file is with it, if that has several parts."""
    said: dict[str, object] = {"part": event.part, "bytes": len(event.body), "format": event.format}
    return said | ({"answered": event.answered, "parts": event.parts} if event.parts > 1 else {})
