"""The journey of one job, from settled to delivered, readable top to bottom. A job in, events out.

Every event is on disk before the journey goes on: so a reply is kept before it is read, a plan before it is
carried out, and a journey that was cut off anywhere begins again with what the journal holds.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from watcherd.endpoint.gate import ClosedError, OverBudgetError
from watcherd.escaping import escaped
from watcherd.faults import Fault, FaultError, Remedy, Scope, storage_fault
from watcherd.job import (
    CRASHES,
    Event,
    Job,
    Postponed,
    WaitReason,
    Withdrawn,
)
from watcherd.journal.store import Attempt
from watcherd.pipeline.answering import Answering
from watcherd.pipeline.asking import fault_of
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.delivering import Delivering
from watcherd.pipeline.original import Original
from watcherd.pipeline.relay import Relay
from watcherd.pipeline.staying import Staying
from watcherd.pipeline.withdrawn import WithdrawnError
from watcherd.retry import STORAGE_PAUSE, GiveUp, PauseEndpoint, RetryAt, Split, decide, tried_for


class Journey:
    """One job on its way. `events()` is its whole life; the rest is what it has in hand."""

    def __init__(self, job: Job, bench: Bench) -> None:
        self._job = job
        self._bench = bench
        self._original = Original(job, bench)
        self._answering = Answering(job, bench, self._original)
        self._fault = job.fault if job.plan is not None else None

    async def events(self) -> AsyncGenerator[Event, None]:
        """Everything that happens to the job from here on; ends when it must wait or is final."""
        try:
            await self._original.open()
            try:
                async with aclosing(self._translated()) as events:
                    async for event in events:
                        yield event
            except FaultError as error:
                postponed = await self._postponed(error.fault)
                if postponed is not None:
                    yield postponed
                    return
                self._fault = error.fault
            async with aclosing(self._delivering().events()) as events:
                async for event in events:
                    yield event
        except WithdrawnError as error:
            yield Withdrawn(error.why, error.kept)
        except ClosedError as error:
            over = isinstance(error, OverBudgetError)
            reason = WaitReason.BUDGET if over else WaitReason.ENDPOINT_PAUSED
            yield Postponed(reason, error.until, error.fault)
        except FaultError as error:
            yield self._waiting(error.fault)
        except OSError as error:
            where = escaped(os.fsencode(error.filename or self._bench.folder.inbox))
            yield self._waiting(storage_fault(error, doing="reading or delivering a file", where=where))
        finally:
            await self._original.close()

    async def _translated(self) -> AsyncGenerator[Event, None]:
        """Get a transcript, unless the job is to be reported as failed."""
        if self._fault is not None:
            return
        await self._answering.recall()
        if self._job.plan is not None:
            assert self._answering.complete, "a delivery that was planned had its answers"
            return
        if self._job.crashes >= CRASHES:
            raise FaultError(_deadly())
        if self._bench.folder.stays:
            await Staying(self._job, self._bench, self._original).see_need(self._answering.settings.key)
        relay = Relay()
        async with aclosing(relay.events(self._answering.run(relay.tell))) as events:
            async for event in events:
                yield event

    # Faults: what waits, and why.

    async def _postponed(self, fault: Fault) -> Postponed | None:
        """The wait that a fault calls for; None when the file fails."""
        bench = self._bench
        made = await bench.journal.attempts(self._job.id)
        rounds = [(one.sent_at, one.fault) for one in made]
        attempts = min(self._answering.attempts, _fruitless(made))
        now, draw = bench.clock.now(), random.random()  # noqa: S311 - jitter, not a secret
        tried = tried_for(rounds, now=now)
        match decide(fault, attempts, bench.policy, tried=tried, now=now, uniform=draw):
            case RetryAt(time, charged):
                reason = WaitReason.BACKOFF if fault.scope is Scope.FILE else _storage_reason(fault)
                return Postponed(reason, time, fault, charged=charged)
            case PauseEndpoint():
                return await self._paused(fault)
            case GiveUp() | Split() if self._endpoint_is_suspect(fault, rounds):
                endpoints = await fault_of(bench)
                return None if endpoints is None else await self._paused(_failing(endpoints))
            case GiveUp() | Split():  # what can be cut has been
                return None

    async def _paused(self, fault: Fault) -> Postponed:
        pause = await self._bench.gate.close_for(fault)
        return Postponed(WaitReason.ENDPOINT_PAUSED, pause.until, fault)

    def _endpoint_is_suspect(self, fault: Fault, rounds: Sequence[tuple[float, Fault | None]]) -> bool:
        """Whether the endpoint might fail for every file, so that this one must not be blamed yet."""
        if fault.code == "request_refused":
            return self._bench.gate.refused(self._job.id)
        if fault.remedy is Remedy.RETRY or fault.code == "gateway_timeout":
            answered = self._bench.gate.answered_at
            return answered is None or not rounds or answered <= rounds[0][0]
        return False

    def _waiting(self, fault: Fault) -> Postponed:
        """The wait for storage or machine, whatever the file's own state."""
        reason = _storage_reason(fault)
        return Postponed(reason, self._bench.clock.now() + STORAGE_PAUSE, fault)

    def _delivering(self) -> Delivering:
        transcript = self._answering.transcript() if self._fault is None else None
        return Delivering(
            self._job,
            self._bench,
            self._original,
            transcript=transcript,
            fault=self._fault,
            silences=self._answering.silences,
            asked=self._answering.settings,
        )


def _fruitless(rounds: Sequence[Attempt]) -> int:
    """How many rounds there were since a part got its answer: a file that gets on is worth going on with."""
    since = next((number for number, one in enumerate(reversed(rounds)) if one.answered), len(rounds))
    return max(1, since)


def _storage_reason(fault: Fault) -> WaitReason:
    return WaitReason.DISK_FULL if fault.code == "disk_full" else WaitReason.STORAGE


def _failing(fault: Fault) -> Fault:
    """What keeps a file from its answer, once a clip that any endpoint understands had none either."""
    return replace(
        fault,
        scope=Scope.ENDPOINT,
        message=f"the endpoint answers no file: {fault.message}",
        remedy=Remedy.CONFIGURE if fault.remedy is Remedy.PLAIN else Remedy.PAUSE,
    )


def _deadly() -> Fault:
    return Fault(
        scope=Scope.FILE,
        code="crashed_repeatedly",
        message=f"watcherd was ended {CRASHES} times in the middle of this file",
        hint=(
            "Look into the system's log for the reason (out of memory?),"
            " then move the file back into the inbox."
        ),
        remedy=Remedy.FAIL,
    )
