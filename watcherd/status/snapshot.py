"""The snapshot: the journal's rows and the daemon's live values in, a Status out.

`read_record` blocks and belongs into a thread; the rest is pure.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from watcherd import __version__
from watcherd.control import EndpointLive, InboxLive, Live, Retried
from watcherd.escaping import escaped, plain
from watcherd.faults import Fault
from watcherd.job import State
from watcherd.journal.reader import Progress, Reader, Seen
from watcherd.status.shapes import (
    Counts,
    DaemonStatus,
    EndpointStatus,
    InboxStatus,
    JobStatus,
    PartsStatus,
    Rejected,
    RetryResult,
    Status,
    Trouble,
)

SHOWN = 100  # jobs in each list
PAUSED_BY_HAND = "paused by hand"
_CALM = {"watching", "starting", "not watched"}  # conditions beside which a pause by hand is the news


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the journal holds of it."""

    counts: Mapping[str, Mapping[State, int]]
    in_flight: list[Seen]
    waiting: list[Seen]
    recent: list[Seen]
    progress: Mapping[int, Progress]


NOTHING = Record(counts={}, in_flight=[], waiting=[], recent=[], progress={})


def read_record(reader: Reader) -> Record:
    """Everything of a status that the journal knows; raises sqlite3.Error."""
    in_flight, waiting = reader.in_flight(SHOWN), reader.waiting(SHOWN)
    return Record(
        counts=reader.counts(),
        in_flight=in_flight,
        waiting=waiting,
        recent=reader.recent(SHOWN),
        progress=reader.progress([seen.job.id for seen in (*in_flight, *waiting)]),
    )


def status_of(
    record: Record,
    *,
    daemon: DaemonStatus,
    inboxes: Sequence[InboxLive],
    endpoints: Sequence[EndpointLive],
    now: float,
) -> Status:
    """Put everything together; `now` is UTC seconds."""
    configured = {inbox.name for inbox in inboxes}
    return Status(
        version=__version__,
        at=moment(now),
        daemon=daemon,
        inboxes=[_inbox(inbox, _counts(record, inbox.name)) for inbox in inboxes],
        endpoints=[_endpoint(endpoint, now) for endpoint in endpoints],
        in_flight=[job_status(seen, record.progress.get(seen.job.id)) for seen in record.in_flight],
        waiting=[job_status(seen, record.progress.get(seen.job.id)) for seen in record.waiting],
        recent=[job_status(seen, None) for seen in record.recent],
        not_configured={name: _counts(record, name) for name in sorted(record.counts.keys() - configured)},
    )


def daemon_of(live: Live) -> DaemonStatus:
    """The running daemon about itself."""
    rejected = live.rejected
    return DaemonStatus(
        state="stopping" if live.stopping else "running",
        pid=live.pid,
        started_at=moment(live.started_at),
        control=None if live.control is None else escaped(os.fsencode(live.control)),
        page=live.page,
        page_problem=plain(live.page_problem),
        rejected=None
        if rejected is None
        else Rejected(at=moment(rejected.at), problems=[plain(problem) for problem in rejected.problems]),
    )


def moment(at: float) -> datetime:
    """A time for a person: whole seconds, UTC."""
    return datetime.fromtimestamp(int(at), UTC)


def shown(result: Retried) -> RetryResult:
    """What became of a file that was to go round again."""
    return RetryResult(
        file=escaped(result.file),
        inbox=None if result.inbox is None else plain(result.inbox),
        back_as=None if result.back_as is None else escaped(result.back_as),
        text=plain(result.text),
    )


def _counts(record: Record, inbox: str) -> Counts:
    return {state.value: n for state, n in sorted(record.counts.get(inbox, {}).items())}


def moment_of(at: float | None) -> datetime | None:
    """A time that may not be known."""
    return None if at is None else moment(at)


def trouble_of(fault: Fault | None) -> Trouble | None:
    """A fault for people."""
    if fault is None:
        return None
    return Trouble(code=fault.code, message=plain(fault.message), hint=plain(fault.hint))


def _inbox(inbox: InboxLive, jobs: Counts) -> InboxStatus:
    held = inbox.held_since is not None and inbox.condition in _CALM
    return InboxStatus(
        name=plain(inbox.name),
        path=escaped(inbox.path),
        endpoint=plain(inbox.endpoint),
        state=PAUSED_BY_HAND if held else inbox.condition,
        since=moment_of(inbox.held_since),
        text=plain(inbox.text),
        hint=plain(inbox.hint),
        arriving=inbox.arriving,
        jobs=jobs,
        scanned_at=moment_of(inbox.scanned_at),
    )


def _endpoint(endpoint: EndpointLive, now: float) -> EndpointStatus:
    held, until = endpoint.held_since is not None, endpoint.paused_until
    status = EndpointStatus(
        name=plain(endpoint.name),
        base_url=plain(endpoint.base_url),
        model=plain(endpoint.model),
        state="open",
        in_flight=endpoint.in_flight,
        concurrency=endpoint.concurrency,
        slots=endpoint.slots,
        minutes_today=round(endpoint.minutes_today, 1),
        minutes_per_day=endpoint.minutes_per_day,
    )
    if held:
        return status.model_copy(update={"state": PAUSED_BY_HAND, "since": moment_of(endpoint.held_since)})
    if until is None:
        return status
    pause = {
        "state": "paused" if now < until else "probing",
        "since": moment_of(endpoint.paused_since),
        "until": moment_of(until),
        "reason": trouble_of(endpoint.fault),
    }
    return status.model_copy(update=pause)


def job_status(seen: Seen, progress: Progress | None) -> JobStatus:
    """One job, and how far it has come where that is to be said."""
    job = seen.job
    return JobStatus(
        job=job.id,
        inbox=plain(job.inbox),
        file=escaped(job.path),
        state=job.state,
        reason=job.reason,
        until=moment_of(job.until),
        changed_at=moment(seen.changed_at),
        attempts=job.attempts,
        parts=None
        if progress is None
        else PartsStatus(answered=progress.answered, known=progress.known, all_known=progress.whole),
        fault=trouble_of(job.fault),
        warnings=[plain(warning) for warning in job.warnings],
    )
