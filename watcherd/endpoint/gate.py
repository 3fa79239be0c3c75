"""The gate: what limits the requests to one endpoint. Clients out to the pipeline, pauses in from faults.

A fault of the endpoint pauses the whole endpoint. When the pause is over one job is let through as a probe:
an answer opens the gate, another fault closes it for longer. Nothing of this costs a file an attempt.
"Too many requests" halves the requests in flight as well; every answer gives a part of one back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from watcherd.clock import Clock
from watcherd.config.model import Endpoint
from watcherd.endpoint.client import Client
from watcherd.endpoint.reply import ReplyFormat
from watcherd.faults import Fault, Remedy

log = structlog.get_logger()

CONFIGURE_PAUSE = 15 * 60.0  # a key file may have been rotated meanwhile; a restart probes at once
OUTAGE_PAUSE = 2.0, 5 * 60.0  # first and longest, seconds
QUOTA_PAUSE = 15 * 60.0, 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Why the endpoint waits, since and until when (UTC seconds)."""

    fault: Fault
    since: float
    until: float


def pause_seconds(fault: Fault, pauses: int) -> float:
    """How long to pause after `pauses` pauses without an answer between them; honours the server's wish."""
    if fault.retry_after is not None:
        return fault.retry_after
    if fault.remedy is Remedy.CONFIGURE:
        return CONFIGURE_PAUSE
    first, longest = QUOTA_PAUSE if fault.code.startswith("quota") else OUTAGE_PAUSE
    return min(longest, first * 2.0 ** min(pauses, 30))


class Gate:
    """One endpoint's slots, each with a client of its own, its rate and its pause.

    It sets `wake` when more jobs may run.
    """

    def __init__(
        self, endpoint: Endpoint, *, client: Callable[[], Client], wake: asyncio.Event, clock: Clock
    ) -> None:
        self.endpoint = endpoint
        self.pause: Pause | None = None
        self.answered_at: float | None = None  # UTC seconds
        self._wake = wake
        self._new_client = client
        self._clock = clock
        self._limit = float(endpoint.concurrency)
        self._in_flight = 0
        self._freed = asyncio.Condition()
        self._next_start = float("-inf")  # monotonic
        self._idle: list[Client] = []
        self._pauses = 0
        self._formats: dict[str, ReplyFormat] = {}

    def allowance(self) -> int:
        """How many jobs of this endpoint may be past `queued` now."""
        if self.pause is None:
            return 2 * self.concurrency
        return 1 if self._clock.now() >= self.pause.until else 0

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight now."""
        return max(1, int(self._limit))

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client of a free slot; the one used last comes first, since its connection is warm."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._in_flight < self.concurrency)
            self._in_flight += 1
        client = self._idle.pop() if self._idle else self._new_client()
        try:
            await self._turn()
            yield client
        finally:
            self._idle.append(client)
            self._in_flight -= 1
            async with self._freed:
                self._freed.notify_all()

    async def _turn(self) -> None:
        """Wait for this request's place in `requests_per_minute`: starts are spaced evenly."""
        if self.endpoint.requests_per_minute is None:
            return
        now = self._clock.monotonic()
        start = max(now, self._next_start)
        self._next_start = start + 60 / self.endpoint.requests_per_minute
        await asyncio.sleep(start - now)

    def answered(self) -> None:
        """The endpoint answered a request: whatever pause there was is over."""
        self._pauses = 0
        self.answered_at = self._clock.now()
        self._limit = min(self.endpoint.concurrency, self._limit + 1 / self._limit)
        if self.pause is not None:
            log.info(
                "endpoint.resumed",
                endpoint=self.endpoint.name,
                seconds=round(self._clock.now() - self.pause.since, 1),
            )
            self.pause = None
            self._wake.set()

    def reopen(self) -> None:
        """End a pause by a person's word: the next request is the probe."""
        self._pauses = 0
        if self.pause is not None:
            log.info("endpoint.reopened", endpoint=self.endpoint.name)
            self.pause = None
            self._wake.set()

    def close_for(self, fault: Fault) -> Pause:
        """Pause the endpoint after its fault, longer if the last pause's probe failed too."""
        now = self._clock.now()
        if self.pause is None or now >= self.pause.until:
            until = now + pause_seconds(fault, self._pauses)
            since = now if self.pause is None else self.pause.since
            self.pause = Pause(fault, since, until)
            self._pauses += 1
            if fault.code == "rate_limited":
                self._limit = max(1.0, self._limit / 2)
            log.warning(
                "endpoint.paused",
                endpoint=self.endpoint.name,
                fault=fault.code,
                message=fault.message,
                hint=fault.hint,
                seconds=round(until - now, 1),
            )
        return self.pause

    def format_for(self, model: str) -> ReplyFormat:
        """The response format that this endpoint is known to honour for a model."""
        return self._formats.get(model, ReplyFormat.VERBOSE_JSON)

    def learn_format(self, model: str, answered: ReplyFormat) -> None:
        """Remember what worked, so that the next file does not begin with a refusal."""
        self._formats[model] = answered

    async def close(self) -> None:
        """Close every connection."""
        while self._idle:
            await self._idle.pop().close()
