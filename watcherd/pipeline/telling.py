"""Telling: a job after a move and the event that moved it in, one log line out."""

from __future__ import annotations

from typing import assert_never

import structlog

from watcherd.job import (
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
    Withdrawn,
)

log = structlog.get_logger()


def tell(job: Job, event: Event) -> None:  # noqa: C901, PLR0912 - a line for each event
    """One log line for each step that a person would want to see."""
    line = log.bind(job=job.id, inbox=job.inbox, file=job.path)
    match event:
        case Started() | Due() | Interrupted():
            line.debug(f"job.{type(event).__name__.lower()}", state=job.state)
        case Sending():
            line.info("part.sent", part=event.part, attempt=job.attempts, bytes=event.size)
        case Unanswered():
            line.debug(
                "part.unanswered", part=event.part, fault=event.fault.code, message=event.fault.message
            )
        case Chosen():
            line.debug("job.chosen", model=event.settings.model, request=event.settings.key)
        case Cut():
            part = event.part
            line.debug("part.cut", part=part.number, start=part.start, end=part.end, silent=part.silent)
        case Divided():
            line.info("part.divided", part=event.number, into=[part.number for part in event.into])
        case Listened():
            line.debug("job.listened", seconds=event.duration, silences=len(event.silences))
        case Replied():
            line.info("part.translated", **_answer(event))
        case Reused():
            line.info("part.reused", **_answer(event))
        case Recognised():
            line.debug("job.recognised", sha256=event.sha256)
        case Refused():
            line.warning("reply.refused", fault=event.fault.code, message=event.fault.message)
        case Planned():
            line.debug("delivery.planned", name=event.plan.original, folder=event.plan.folder)
        case Delivered() if job.fault is not None:
            fault = job.fault
            line.error("job.failed", fault=fault.code, message=fault.message, hint=fault.hint)
        case Delivered():
            line.info("job.done", warnings=list(job.warnings))
        case Postponed():
            fault = event.fault
            line.warning(
                "job.waiting", reason=event.reason, until=event.until, fault=fault.code, message=fault.message
            )
        case Withdrawn():
            line.info("job.skipped", why=event.why)
        case _ as unreachable:
            assert_never(unreachable)


def _answer(event: Replied | Reused) -> dict[str, object]:
    """What there is to say of an answer: how far the file is with it, if that has several parts."""
    said: dict[str, object] = {"part": event.part, "bytes": len(event.body), "format": event.format}
    return said | ({"answered": event.answered, "parts": event.parts} if event.parts > 1 else {})
