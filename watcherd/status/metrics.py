"""The metrics: what happens, as it happens, and how things stand in; Prometheus' text out. prometheus-client.

Counters and times begin with the daemon; how things stand is read when somebody asks (see standing). Labels
are names of the configuration, states and codes, never files.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from watcherd import __version__
from watcherd.clock import Clock
from watcherd.inbox.desk import Meter
from watcherd.job import (
    FINAL,
    Delivered,
    Event,
    Job,
    Planned,
    Postponed,
    Recognised,
    Refused,
    Replied,
    Reused,
    Sending,
    Started,
    State,
    Unanswered,
)
from watcherd.moving import Listener
from watcherd.notify.news import EndpointPaused, EndpointResumed, News
from watcherd.status.standing import Standing, StandingCollector


class _Series:
    """Every counter and histogram, by its labels; what each is, is its help text.

    Found labels are kept: prometheus-client takes longer to look them up than to count.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(f"watcherd_{name}", text, labels, registry=registry).labels)

        def histogram(name: str, text: str, label: str, *buckets: float) -> Callable[..., Histogram]:
            made = Histogram(f"watcherd_{name}_seconds", text, (label,), buckets=buckets, registry=registry)
            return cache(made.labels)

        self.arrivals = counter("arrivals", "Files that were noticed.", "inbox")
        self.settled = counter("settled", "Files that finished arriving.", "inbox")
        self.missed = counter("missed_by_events", "Files that a scan found, and no event told of.", "inbox")
        self.ended = counter("jobs_ended", "Jobs that ended, by how.", "inbox", "state")
        self.requests = counter("requests", "Requests that ended, by how.", "endpoint", "outcome")
        self.reused = counter("replies_reused", "Parts that had been answered before.", "inbox")
        self.refused = counter("replies_refused", "Replies that held an error.", "inbox", "reason")
        self.retries = counter("retries", "Jobs put off to be tried again, by why.", "inbox", "reason")
        self.pauses = counter("pauses", "Pauses of endpoints, by why.", "endpoint", "reason")
        self.audio = counter("sent_audio_seconds", "Length of the audio that was sent.", "endpoint")
        self.bytes = counter("sent_bytes", "Size of the uploads that were sent.", "endpoint")
        self.settle = histogram(
            "settle", "From noticed to settled.", "inbox", 1, 2, 5, 10, 30, 60, 300, 1800, 7200
        )
        self.wait = histogram(
            "wait", "From queued to taken up.", "inbox", 0.1, 1, 10, 60, 300, 1800, 7200, 86400
        )
        self.request = histogram(
            "request",
            "From sending to answered, or not.",
            "endpoint",
            0.5,
            1,
            2,
            5,
            10,
            30,
            60,
            120,
            300,
            600,
        )
        self.delivery = histogram(
            "delivery", "From names chosen to files in place.", "inbox", 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300
        )


@dataclass(slots=True)
class _Open:
    """What is remembered of a job until it is over; times are monotonic where nothing else is said."""

    queued_at: float | None = None  # UTC seconds
    asked: dict[int, tuple[str, float]] = field(default_factory=dict)  # by part: endpoint, and since when
    unmeasured: Tally[str] = field(default_factory=Tally)  # requests of unknown length, by endpoint
    delivering_since: float | None = None


class Metrics(Meter):
    """Counts from its making on; it is a meter of inboxes, `listening` hears moves and `hear` news."""

    _ANSWERED: ClassVar = "answered"
    _CUT_OFF: ClassVar = "cut_off"

    def __init__(self, clock: Clock) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # nobody asked when each series began
        self._clock = clock
        self._jobs: dict[int, _Open] = {}
        self._paused: dict[str, str] = {}  # endpoints, and the code of what was told of them last
        self._registry = CollectorRegistry()
        self._series = _Series(self._registry)
        self._standing = StandingCollector()
        self._registry.register(self._standing)
        ProcessCollector(registry=self._registry)
        build = Info("watcherd_build", "The version that runs.", registry=self._registry)
        build.info({"version": __version__})

    def exposed(self, standing: Standing) -> bytes:
        """Everything, as Prometheus reads it. A series that begins at its first event would have no rate."""
        series = self._series
        for inbox in standing.inboxes:
            for metric in (series.arrivals, series.settled, series.missed, series.reused):
                metric(inbox.name)
            for state in FINAL:
                series.ended(inbox.name, state)
        for endpoint in standing.endpoints:
            for metric in (series.audio, series.bytes):
                metric(endpoint.name)
            series.requests(endpoint.name, self._ANSWERED)
        self._standing.now = standing
        return generate_latest(self._registry)

    # Inboxes.

    def noticed(self, inbox: str) -> None:
        """Count an arrival."""
        self._series.arrivals(inbox).inc()

    def settled(self, inbox: str, seconds: float, *, missed: bool) -> None:
        """Count its end."""
        self._series.settled(inbox).inc()
        self._series.missed(inbox).inc(missed)
        self._series.settle(inbox).observe(seconds)

    # Endpoints.

    def hear(self, news: News) -> None:
        """Count a pause once, however often it is told and prolonged."""
        match news:
            case EndpointPaused(endpoint, fault):
                if self._paused.get(endpoint) != fault.code:
                    self._series.pauses(endpoint, fault.code).inc()
                self._paused[endpoint] = fault.code
            case EndpointResumed(endpoint):
                self._paused.pop(endpoint, None)
            case _:
                pass

    # Jobs.

    def listening(self, other: Listener | None) -> Listener:
        """A listener to every move of every job, and another one behind it."""

        def listen(job: Job, event: Event) -> None:
            self._count(job, event)
            if other is not None:
                other(job, event)

        return listen

    def _count(self, job: Job, event: Event) -> None:
        known = self._jobs.get(job.id)
        if known is None:
            known = self._jobs[job.id] = _Open()
        self._time(job, event, known)
        self._tell_requests(job, event, known)
        series = self._series
        match event:
            case Reused():
                series.reused(job.inbox).inc()
            case Refused():
                series.refused(job.inbox, event.fault.code).inc()
            case Postponed():
                series.retries(job.inbox, event.reason.value.replace(" ", "_")).inc()
            case _:
                pass
        if job.state in FINAL:
            series.ended(job.inbox, job.state).inc()
            del self._jobs[job.id]

    def _time(self, job: Job, event: Event, known: _Open) -> None:
        """Measure how long it was queued, and how long its delivery took without a break."""
        if isinstance(event, Started):
            since = job.settled_at if known.queued_at is None else known.queued_at
            self._series.wait(job.inbox).observe(max(0.0, self._clock.now() - since))
        elif isinstance(event, Delivered) and known.delivering_since is not None:
            seconds = self._clock.monotonic() - known.delivering_since
            self._series.delivery(job.inbox).observe(seconds)
        if job.state is State.QUEUED:
            known.queued_at = self._clock.now()
        if isinstance(event, Planned):
            known.delivering_since = self._clock.monotonic()
        elif job.state is not State.DELIVERING:
            known.delivering_since = None

    def _tell_requests(self, job: Job, event: Event, known: _Open) -> None:
        series = self._series
        match event:
            case Sending(endpoint, size, seconds, part):
                known.asked[part] = endpoint, self._clock.monotonic()
                series.bytes(endpoint).inc(size)
                if seconds is None:
                    known.unmeasured[endpoint] += 1
                else:
                    series.audio(endpoint).inc(seconds)
            case Recognised(seconds=float(seconds)):
                for endpoint, requests in known.unmeasured.items():
                    series.audio(endpoint).inc(requests * seconds)
                known.unmeasured.clear()
            case Replied():
                self._end_request(known, event.part, self._ANSWERED)
            case Unanswered():
                self._end_request(known, event.part, event.fault.code)
            case _:
                pass
        if job.state is not State.TRANSLATING:
            for part in tuple(known.asked):
                self._end_request(known, part, self._CUT_OFF)

    def _end_request(self, known: _Open, part: int, outcome: str) -> None:
        if part in known.asked:
            endpoint, since = known.asked.pop(part)
            self._series.requests(endpoint, outcome).inc()
            self._series.request(endpoint).observe(self._clock.monotonic() - since)
