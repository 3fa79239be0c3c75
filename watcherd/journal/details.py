"""Details: what an event carries in, written beside the job's move and in the same transaction. Blocks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence

from watcherd.job import (
    Chosen,
    Cut,
    Delivered,
    Divided,
    Event,
    Job,
    Listened,
    Part,
    Recognised,
    Refused,
    Replied,
    Reused,
    Sending,
    State,
    Unanswered,
    Withdrawn,
)
from watcherd.journal.kept import written_text
from watcherd.journal.rows import fault_text, settings_text

Execute = Callable[[str, Sequence[object]], sqlite3.Cursor]

_LAST = "id = (SELECT max(id) FROM requests WHERE job_id = ? AND part = ?)"


def columns_of(event: Event) -> dict[str, object]:
    """What an event sets in the job's own row, by column."""
    match event:
        case Chosen():
            return {"settings": settings_text(event.settings)}
        case Listened():
            return {"heard": json.dumps([event.duration, event.silences, event.warnings])}
        case Recognised():
            return {"quick": event.quick, "sha256": event.sha256, "request": event.request}
        case Delivered() if event.written:
            return {"written": written_text(event.written)}
        case _:
            return {}


def record_detail(  # noqa: C901, PLR0912 - a case for each event
    execute: Execute, before: Job, job: Job, event: Event, *, now: float
) -> None:
    """Record parts, requests and replies as the event says; `before` is the job before it.

    Its own row has what `columns_of` the event says by then.
    """
    match event:
        case Cut():
            _insert_part(execute, job, event.part)
        case Divided():
            execute("DELETE FROM parts WHERE job_id = ? AND number = ?", (job.id, event.number))
            for part in event.into:
                _insert_part(execute, job, part)
        case Sending():
            last = "(SELECT coalesce(max(round), 0) FROM requests WHERE job_id = ?)"
            another = int(before.state is not State.TRANSLATING)
            execute(
                "INSERT INTO requests (endpoint, job_id, part, round, sent_at, seconds, bytes)"
                f" VALUES (?, ?, ?, {last} + ?, ?, ?, ?)",
                (event.endpoint, job.id, event.part, job.id, another, now, event.seconds, event.size),
            )
        case Recognised() if event.seconds is not None:  # known only by now
            unknown = "job_id = ? AND seconds IS NULL"
            execute(f"UPDATE requests SET seconds = ? WHERE {unknown}", (event.seconds, job.id))
        case Replied() | Reused():
            execute(
                "INSERT OR REPLACE INTO replies (job_id, part, format, body, received_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (job.id, event.part, event.format, event.body, now),
            )
            if isinstance(event, Replied):
                execute(f"UPDATE requests SET ended_at = ? WHERE {_LAST}", (now, job.id, event.part))
        case Refused():  # the answer was none
            execute("DELETE FROM replies WHERE job_id = ? AND part = ?", (job.id, event.part))
            _end_request(execute, job, event, now)
        case Unanswered():
            _end_request(execute, job, event, now)
        case Delivered() if job.plan is not None and job.plan.stays:
            _keep(execute, job)
        case Withdrawn() if event.kept:
            _keep(execute, job)
        case Withdrawn():  # an answer for known content serves when that content comes again
            unknown = "(SELECT id FROM jobs WHERE id = ? AND sha256 IS NULL)"
            execute(f"DELETE FROM replies WHERE job_id = {unknown}", (job.id,))
        case _:
            pass


def _keep(execute: Execute, job: Job) -> None:
    """The file stays as it is: it arrives again when it changes."""
    folder = job.path.rpartition(b"/")[0]
    execute(
        "INSERT OR REPLACE INTO kept (inbox, folder, path, size, mtime_ns, job_id) VALUES (?, ?, ?, ?, ?, ?)",
        (job.inbox, folder, job.path, job.identity.size, job.identity.mtime_ns, job.id),
    )


def _insert_part(execute: Execute, job: Job, part: Part) -> None:
    execute(
        "INSERT INTO parts (job_id, number, start, end, own_start, own_end, silent)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (job.id, part.number, part.start, part.end, part.own_start, part.own_end, part.silent),
    )


def _end_request(execute: Execute, job: Job, event: Refused | Unanswered, now: float) -> None:
    execute(
        f"UPDATE requests SET ended_at = coalesce(ended_at, ?), fault = ? WHERE {_LAST}",
        (now, fault_text(event.fault), job.id, event.part),
    )
