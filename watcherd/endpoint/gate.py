"""The gate: what limits the requests to one endpoint. Clients out to the pipeline, pauses in from faults.

A fault of the endpoint pauses the whole endpoint. When the pause is over one job is let through as a probe:
an answer opens the gate, another fault closes it for longer. Nothing of this costs a file an attempt.
"Too many requests" halves the requests in flight as well; every answer gives a part of one back.
A person's pause lasts until that person ends it; a day's budget of audio minutes keeps single files waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from watcherd.clock import Clock
from watcherd.config.model import Endpoint
from watcherd.endpoint.client import Client
from watcherd.endpoint.past import Past, Sent
from watcherd.endpoint.reply import ReplyFormat
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.notify.news import EndpointPaused, EndpointResumed, Hear, unheard
from watcherd.trouble import Trouble

log = structlog.get_logger()

CONFIGURE_PAUSE = 15 * 60.0  # a key file may have been rotated meanwhile; a restart probes at once
OUTAGE_PAUSE = 2.0, 5 * 60.0  # first and longest, seconds
QUOTA_PAUSE = 15 * 60.0, 6 * 3600.0
MODEL_PAUSE = 5 * 60.0, 15 * 60.0
REFUSALS = 3  # jobs in a row, after which it is not the jobs


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
    slow = {"quota_exhausted": QUOTA_PAUSE, "model_unavailable": MODEL_PAUSE}
    first, longest = slow.get(fault.code, OUTAGE_PAUSE)
    return min(longest, first * 2.0 ** min(pauses, 30))


class ClosedError(Exception):
    """No request may leave now: the job waits until then (UTC seconds), uncharged, because of the fault."""

    def __init__(self, fault: Fault, until: float) -> None:
        super().__init__(fault.code)
        self.fault = fault
        self.until = until


class OverBudgetError(ClosedError):
    """The day's audio minutes do not hold this request."""


class Gate:
    """One endpoint's slots, each with a client of its own, its rate, its pause and its budget.

    It sets `wake` when more jobs may run. What it learns and what it was told goes into `past`; methods
    that write there raise FaultError (scope machine) when the journal fails, after they took effect.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        client: Callable[[], Client],
        wake: asyncio.Event,
        clock: Clock,
        past: Past,
        hear: Hear = unheard,
    ) -> None:
        self.endpoint = endpoint
        self.pause = _half_open(endpoint.name, past, clock.now())
        self.answered_at: float | None = None  # UTC seconds
        self._wake = wake
        self._new_client = client
        self._clock = clock
        self._past = past
        self._hear = hear
        self._limit = float(endpoint.concurrency)
        self._freed = asyncio.Condition()
        self._next_start = float("-inf")  # monotonic
        self._idle: list[Client] = []
        self._pauses = 0
        self._era = 0  # pauses so far
        self._sending: Counter[int] = Counter()  # requests in flight, by the era in which they began
        self._refused: set[int] = set()  # jobs refused since the last answer
        self._troubles: defaultdict[str, Trouble] = defaultdict(Trouble)  # by the code of the fault
        self._told = self.pause is not None  # whether the pause was said aloud, so that its end is as well
        self._spent_until = 0.0  # UTC seconds: the day whose budget was said to be spent

    # Who may send.

    @property
    def is_open(self) -> bool:
        """Whether nothing is known to be wrong with the endpoint, and nobody paused it."""
        return self.pause is None and self.held_since is None

    def allowance(self) -> int:
        """How many jobs of this endpoint may be past `queued` now."""
        if self.held_since is not None:
            return 0
        if self.pause is None:
            return 2 * self.concurrency
        # What was sent before the pause may take minutes to end; it must not keep the probe waiting.
        return 1 + self._left_over if self._clock.now() >= self.pause.until else 0

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return self._sending.total()

    @property
    def _left_over(self) -> int:
        """How many of them were sent before the last pause began."""
        return self.in_flight - self._sending[self._era]

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight now."""
        return max(1, int(self._limit))

    @asynccontextmanager
    async def client(self, seconds: float | None = None) -> AsyncIterator[Client]:
        """A client of a free slot, for a request of `seconds` of audio; raises ClosedError.

        The client used last comes first, since its connection is warm. A fault of the endpoint that passes
        through here gives the seconds back.
        """
        self._reserve(seconds or 0.0)
        try:
            async with self._slot() as client:
                yield client
        except ClosedError:
            self.count(-(seconds or 0.0))
            raise
        except FaultError as error:
            if error.fault.scope is not Scope.FILE:
                self.count(-(seconds or 0.0))
            raise

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[Client]:
        async with self._freed:
            await self._freed.wait_for(lambda: self.in_flight < self.concurrency)
            era = self._era
            self._sending[era] += 1
        client = self._idle.pop() if self._idle else self._new_client()
        try:
            await self._turn()
            self._check()
            yield client
        except FaultError as error:
            # Before the slot is free: who waits for it must not send. A gateway's timeout may be the file's.
            if error.fault.scope is Scope.ENDPOINT and error.fault.code != "gateway_timeout":
                await self.close_for(error.fault)
            raise
        finally:
            self._idle.append(client)
            self._sending[era] -= 1
            self._sending = +self._sending  # the eras that are over
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

    def _check(self) -> None:
        """Stop what was let in before the endpoint was paused; its one probe passes."""
        now = self._clock.now()
        if self.held_since is not None:
            raise ClosedError(_held(self.endpoint.name), now)
        if self.pause is not None and (now < self.pause.until or self._sending[self._era] > 1):
            raise ClosedError(self.pause.fault, self.pause.until)

    # Pauses.

    @property
    def held_since(self) -> float | None:
        """Since when a person keeps the endpoint paused (UTC seconds); None when nobody does."""
        return self._past.held_since(self.endpoint.name)

    async def served(self) -> None:
        """The endpoint translated something: what it refused before, it refused for good reasons."""
        self._refused.clear()
        await self.answered()

    async def answered(self) -> None:
        """The endpoint answered a request, if only with a refusal: whatever pause there was is over."""
        self.answered_at = self._clock.now()
        if self.pause is not None and self.answered_at < self.pause.until:
            return  # it was sent before the pause, and says nothing about what came later
        self._pauses = 0
        self._limit = min(self.endpoint.concurrency, self._limit + 1 / self._limit)
        if self.pause is not None:
            log.log(
                logging.INFO if self._told else logging.DEBUG,
                "endpoint.resumed",
                endpoint=self.endpoint.name,
                seconds=round(self._clock.now() - self.pause.since, 1),
            )
            self.pause, self._told = None, False
            self._wake.set()
            self.report()
            await self._past.resumed(self.endpoint.name)

    def reopen(self) -> None:
        """Let the next request probe whether the endpoint's fault is over: something was mended."""
        self._pauses = 0
        self._refused.clear()
        if self.pause is not None:
            self.pause = replace(self.pause, until=min(self.pause.until, self._clock.now()))
            log.info("endpoint.reopened", endpoint=self.endpoint.name)
        self._wake.set()

    async def hold(self) -> None:
        """Pause by a person's word, until `resume`. What is in flight ends, nothing more is sent."""
        if self.held_since is None:
            log.warning("endpoint.held", endpoint=self.endpoint.name)
            await self._past.held(self.endpoint.name, since=self._clock.now())
            self.report()

    async def resume(self) -> None:
        """End every pause by a person's word: the next request is the probe."""
        self.reopen()
        await self._past.released(self.endpoint.name)
        self.report()

    def report(self) -> None:
        """Say whether it is paused, and why; whoever hears it knows what was said last."""
        name, pause = self.endpoint.name, self.pause
        if self.held_since is not None:
            self._hear(EndpointPaused(name, _held(name), None))
        elif pause is not None:
            self._hear(EndpointPaused(name, pause.fault, pause.until))
        else:
            self._hear(EndpointResumed(name))

    async def close_for(self, fault: Fault) -> Pause:
        """Pause the endpoint after its fault, longer if the last pause's probe failed too."""
        now = self._clock.now()
        if self.pause is not None and now < self.pause.until:
            return self.pause
        until = now + pause_seconds(fault, self._pauses)
        since = now if self.pause is None else self.pause.since
        pause = self.pause = Pause(fault, since, until)
        self._pauses += 1
        self._era += 1
        if fault.code == "rate_limited":
            self._limit = max(1.0, self._limit / 2)
        trouble = self._troubles[fault.code]
        said = trouble.met(self._clock.monotonic())  # a busy server may pause it twice a minute, for days
        self._told |= said
        log.log(
            logging.WARNING if said else logging.DEBUG,
            "endpoint.paused",
            endpoint=self.endpoint.name,
            times=trouble.count,
            fault=fault.code,
            message=fault.message,
            hint=fault.hint,
            seconds=round(until - now, 1),
        )
        self.report()
        await self._past.paused(self.endpoint.name, fault=fault, since=since, until=until)
        return pause

    def refused(self, job_id: int) -> bool:
        """Count a job whose request was refused for no reason that is its own.

        Whether the endpoint is to blame by now: it refused so many jobs, and answered none in between.
        """
        self._refused.add(job_id)
        return len(self._refused) >= REFUSALS

    # Budget.

    @property
    def minutes_today(self) -> float:
        """Minutes of audio that were sent on this local calendar day."""
        return self._sent.seconds / 60

    @property
    def _sent(self) -> Sent:
        return self._past.sent_today(self.endpoint.name, self._clock.now())

    def _reserve(self, seconds: float) -> None:
        """Count audio as sent; the first of a day goes even if it is longer than the whole budget."""
        sent, budget = self._sent, self.endpoint.budget
        if budget is not None and sent.seconds > 0 and sent.seconds + seconds > 60 * budget.minutes_per_day:
            self._say_spent(budget.minutes_per_day, sent.until)
            raise OverBudgetError(_over_budget(self.endpoint.name, budget.minutes_per_day), sent.until)
        sent.seconds += seconds

    def _say_spent(self, minutes: float, until: float) -> None:
        """Once a day, for all the files that wait for the next one."""
        if self._spent_until != until:
            self._spent_until = until
            log.warning("endpoint.budget_spent", endpoint=self.endpoint.name, minutes=minutes, until=until)

    def count(self, seconds: float) -> None:
        """Correct what was sent today, such as by audio whose length was known only from its answer."""
        self._sent.seconds = max(0.0, self._sent.seconds + seconds)

    # What the server taught us.

    def format_for(self, model: str) -> ReplyFormat:
        """The response format that this endpoint is known to honour for a model."""
        return ReplyFormat(self._learned(model, "format") or ReplyFormat.VERBOSE_JSON)

    async def learn_format(self, model: str, answered: ReplyFormat) -> None:
        """Remember what worked, so that the next file does not begin with a refusal."""
        if answered is not self.format_for(model):
            await self._learn(model, "format", answered)

    def max_upload(self, model: str) -> int:
        """The largest upload worth trying, in bytes."""
        return min(
            self.endpoint.max_upload, int(self._learned(model, "max_bytes") or self.endpoint.max_upload)
        )

    async def learn_size(self, model: str, refused: int) -> None:
        """Remember half of the size that was too large, unless that was known."""
        if refused <= self.max_upload(model):
            await self._learn(model, "max_bytes", str(max(1, refused // 2)))

    def max_seconds(self, model: str) -> float | None:
        """The longest audio worth trying, in seconds; None while nothing speaks against any length."""
        learned = self._learned(model, "max_seconds")
        return None if learned is None else float(learned)

    async def learn_length(self, model: str, seconds: float) -> None:
        """Remember the longest audio that the server says it takes, or that may still be in time."""
        known = self.max_seconds(model)
        if known is None or seconds < known:
            await self._learn(model, "max_seconds", str(seconds))

    def _learned(self, model: str, what: str) -> str | None:
        return self._past.learned(self.endpoint.base_url, model, what)

    async def _learn(self, model: str, what: str, value: str) -> None:
        log.info("endpoint.learned", endpoint=self.endpoint.name, model=model, what=what, value=value)
        await self._past.learn(self.endpoint.base_url, model, what, value, now=self._clock.now())

    async def close(self) -> None:
        """Close every connection."""
        while self._idle:
            await self._idle.pop().close()


def _half_open(endpoint: str, past: Past, now: float) -> Pause | None:
    """A pause that the last daemon left: the start is a reason to probe at once."""
    left = past.pause_of(endpoint)
    return None if left is None or left.fault is None else Pause(left.fault, left.since, now)


def _held(endpoint: str) -> Fault:
    return Fault(
        scope=Scope.ENDPOINT,
        code="paused_by_hand",
        message=f"endpoint {endpoint} is paused by hand",
        hint=f"watcherd resume {endpoint} lets it go on.",
        remedy=Remedy.PAUSE,
    )


def _over_budget(endpoint: str, minutes: float) -> Fault:
    return Fault(
        scope=Scope.ENDPOINT,
        code="budget_spent",
        message=f"today's {minutes:g} minutes of audio for endpoint {endpoint} do not hold this file as well",
        hint="It goes on by itself after midnight, or raise budget.minutes_per_day and reload.",
        remedy=Remedy.PAUSE,
    )
