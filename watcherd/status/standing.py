"""How things stand for the metrics: the journal's counts and the daemon's live values in, gauges out.

Read when somebody asks. The only file that is looked at is the kernel's own about a child's memory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from watcherd.control import EndpointLive, InboxLive
from watcherd.inbox.condition import Condition
from watcherd.job import State
from watcherd.journal.reader import Reader

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What the journal knows: jobs by inbox and state, and when the oldest queued one of each settled."""

    jobs: Mapping[str, Mapping[State, int]] = field(default_factory=dict)
    queued_since: Mapping[str, float] = field(default_factory=dict)


def count(reader: Reader) -> Counted:
    """Read it; blocks, raises sqlite3.Error."""
    return Counted(jobs=reader.counts(), queued_since=reader.oldest_queued())


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Everything at one moment (UTC seconds); `counted` is None while the journal cannot be read."""

    counted: Counted | None = None
    inboxes: Sequence[InboxLive] = ()
    endpoints: Sequence[EndpointLive] = ()
    now: float = 0.0


class StandingCollector(Collector):
    """Tells `now`; a series goes when what it is about does."""

    def __init__(self) -> None:
        self.now = Standing()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every gauge."""
        readable = self.now.counted is not None
        yield GaugeMetricFamily(
            "watcherd_journal_readable", "Whether the journal can be read.", value=readable
        )
        if self.now.counted is not None:
            yield from _jobs(self.now.counted, self.now)
        yield from _inboxes(self.now.inboxes)
        yield from _endpoints(self.now.endpoints)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"watcherd_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _jobs(counted: Counted, now: Standing) -> Iterator[GaugeMetricFamily]:
    inboxes = sorted({inbox.name for inbox in now.inboxes} | counted.jobs.keys())
    jobs = GaugeMetricFamily("watcherd_jobs", "Jobs on record, by state.", labels=["inbox", "state"])
    for name in inboxes:
        for state in State:
            jobs.add_metric([name, state], counted.jobs.get(name, {}).get(state, 0))
    yield jobs
    ages = {name: max(0.0, now.now - counted.queued_since.get(name, now.now)) for name in inboxes}
    yield _gauge("queue_age_seconds", "Age of the oldest queued job.", "inbox", ages)


def _inboxes(inboxes: Sequence[InboxLive]) -> Iterator[GaugeMetricFamily]:
    arriving = {inbox.name: inbox.arriving for inbox in inboxes}
    yield _gauge("arriving_files", "Files that have not finished arriving.", "inbox", arriving)
    watched = {inbox.name: inbox.condition == Condition.WATCHING for inbox in inboxes}
    yield _gauge("inbox_watched", "Whether the inbox is there and watched.", "inbox", watched)
    held = {inbox.name: inbox.held_since is not None for inbox in inboxes}
    yield _gauge("inbox_held", "Whether somebody paused the inbox.", "inbox", held)


def _endpoints(endpoints: Sequence[EndpointLive]) -> Iterator[GaugeMetricFamily]:
    paused = {one.name: one.held_since is not None or one.paused_until is not None for one in endpoints}
    yield _gauge("endpoint_paused", "Whether the endpoint is paused.", "endpoint", paused)
    in_flight = {one.name: one.in_flight for one in endpoints}
    yield _gauge("requests_in_flight", "Requests under way.", "endpoint", in_flight)
    slots = {one.name: one.concurrency for one in endpoints}
    yield _gauge("request_slots", "Requests that may be under way now.", "endpoint", slots)
    seconds = {one.name: 60 * one.minutes_today for one in endpoints}
    yield _gauge("audio_today_seconds", "Audio sent on this local calendar day.", "endpoint", seconds)
    memory = {one.name: _memory(one.child) for one in endpoints if one.child is not None}
    yield _gauge("embedded_memory_bytes", "Memory of the embedded endpoint's process.", "endpoint", memory)


def _memory(pid: int) -> int:
    """Resident memory of a process; nothing where it has just ended."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE
    return 0
