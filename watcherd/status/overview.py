"""The overview: the journal's rows and the daemon's live values in, its sections as HTML out. Blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watcherd.control import Live
from watcherd.job import State
from watcherd.journal.reader import Reader, Seen
from watcherd.status import drawing, history
from watcherd.status.shapes import Status
from watcherd.status.snapshot import Record, daemon_of, read_record, status_of
from watcherd.status.stream import Picture

ESTIMATED = 20  # jobs in flight whose time left is told


@dataclass(frozen=True, slots=True)
class View:
    """What the overview shows; `left` are seconds that jobs still take, by their numbers."""

    status: Status
    left: Mapping[int, float]


def read_view(reader: Reader, live: Live, now: float) -> View:
    """Everything that the overview shows; `now` is UTC seconds. Raises sqlite3.Error."""
    record = read_record(reader)
    status = status_of(
        record, daemon=daemon_of(live), inboxes=live.inboxes, endpoints=live.endpoints, now=now
    )
    estimates = {seen.job.id: _seconds_left(reader, seen) for seen in _estimable(record)}
    return View(status, {job: seconds for job, seconds in estimates.items() if seconds is not None})


def sections_of(view: View) -> dict[str, str]:
    """Draw the sections."""
    return drawing.sections(view.status, view.left)


def picture_of(view: View) -> Picture:
    """Draw what live updates need."""
    status = view.status
    return Picture(
        sections=sections_of(view),
        marks={str(job.job): drawing.mark(job) for job in (*status.in_flight, *status.waiting)},
        summary=drawing.summary(status),
    )


def _estimable(record: Record) -> list[Seen]:
    """The jobs in flight that are long, and whose parts are all known."""
    return [
        seen
        for seen in record.in_flight
        if seen.job.state is State.TRANSLATING
        and (progress := record.progress.get(seen.job.id)) is not None
        and progress.whole
        and progress.known > 1
    ][:ESTIMATED]


def _seconds_left(reader: Reader, seen: Seen) -> float | None:
    requests, parts = reader.requests(seen.job.id), reader.slices(seen.job.id)
    return history.seconds_left(history.Known(seen=seen, requests=requests, parts=parts))
