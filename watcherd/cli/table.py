"""The status as a table: a Status in, lines for a terminal out. Pure; times are local."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from watcherd.status.shapes import (
    Counts,
    DaemonStatus,
    EndpointStatus,
    InboxStatus,
    JobStatus,
    PartsStatus,
    Status,
)

ROWS = 10  # jobs under each heading
_DEEPER = " " * 14


def table(status: Status) -> str:
    """The whole status."""
    lines = [*_daemon(status.daemon), "", "inboxes"]
    for inbox in status.inboxes:
        lines += _inbox(inbox)
    for name, counts in status.not_configured.items():
        lines.append(f"  {name}: {_counts(counts)}  (not configured)")
    lines += ["", "endpoints"]
    for endpoint in status.endpoints:
        lines += _endpoint(endpoint)
    for title, jobs in (
        ("in flight", status.in_flight),
        ("waiting", status.waiting),
        ("last done and failed", status.recent),
    ):
        lines += _jobs(title, jobs)
    return "\n".join(lines)


def _daemon(daemon: DaemonStatus) -> Iterator[str]:
    process = "" if daemon.pid is None else f" (process {daemon.pid})"
    since = "" if daemon.started_at is None else f" since {_time(daemon.started_at)}"
    yield f"daemon: {daemon.state}{process}{since}"
    if daemon.page is not None:
        yield f"  page: {daemon.page}"
    elif daemon.page_problem:
        yield f"  no page: {daemon.page_problem}"
    if daemon.rejected is not None:
        yield f"  the reload of {_time(daemon.rejected.at)} was rejected; the older file is in force:"
        yield from (f"    {problem}" for problem in daemon.rejected.problems)


def _inbox(inbox: InboxStatus) -> Iterator[str]:
    state = inbox.state if inbox.since is None else f"{inbox.state} since {_time(inbox.since)}"
    arriving = f", {inbox.arriving} arriving" if inbox.arriving else ""
    yield f"  {inbox.name}: {_counts(inbox.jobs)}{arriving}  ({state}; {inbox.path} -> {inbox.endpoint})"
    yield from _explained(inbox.text, inbox.hint)


def _endpoint(endpoint: EndpointStatus) -> Iterator[str]:
    state: str = endpoint.state
    if endpoint.since is not None:
        state += f" since {_time(endpoint.since)}"
    if endpoint.until is not None and endpoint.state == "paused":
        state += f", tried again at {_time(endpoint.until)}"
    budget = "" if endpoint.minutes_per_day is None else f" of {endpoint.minutes_per_day:g}"
    requests = f"{endpoint.in_flight} of {endpoint.concurrency} requests in flight"
    minutes = f"{endpoint.minutes_today:g}{budget} minutes today"
    yield f"  {endpoint.name}: {state}  ({requests}, {minutes}; {endpoint.base_url}, {endpoint.model})"
    if endpoint.reason is not None:
        yield from _explained(endpoint.reason.message, endpoint.reason.hint)


def _jobs(title: str, jobs: list[JobStatus]) -> Iterator[str]:
    if not jobs:
        return
    yield from ("", title)
    for job in jobs[:ROWS]:
        yield from _job(job)
    if len(jobs) > ROWS:
        yield f"  and {len(jobs) - ROWS} more"


def _job(job: JobStatus) -> Iterator[str]:
    text = f"  {job.state:<11} {job.inbox}: {job.file}"
    if job.parts is not None and job.parts.known > 1:
        text += f"  [{_parts(job.parts)}]"
    if job.reason is not None:
        text += f"  [{job.reason}" + ("]" if job.until is None else f", until {_time(job.until)}]")
    if job.warnings:
        text += f"  ({', '.join(job.warnings)})"
    yield text
    if job.fault is not None:
        yield from _explained(job.fault.message, job.fault.hint)


def _parts(parts: PartsStatus) -> str:
    least = "" if parts.all_known else "at least "
    return f"{parts.answered} of {least}{parts.known} parts"


def _explained(*sentences: str) -> Iterator[str]:
    return (f"{_DEEPER}{sentence}" for sentence in sentences if sentence)


def _counts(counts: Counts) -> str:
    return ", ".join(f"{n} {state}" for state, n in counts.items()) or "nothing yet"


def _time(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
