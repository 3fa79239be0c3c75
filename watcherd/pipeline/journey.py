"""The journey of one job, from settled to delivered, readable top to bottom. A job in, events out.

Every event is on disk before the journey goes on: so a reply is kept before it is read, a plan before it is
carried out, and a journey that was cut off anywhere begins again with what the journal holds.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Container, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from watcherd.delivery import beside, files, names, report
from watcherd.endpoint.gate import ClosedError, OverBudgetError
from watcherd.faults import Fault, FaultError, Remedy, Scope, storage_fault
from watcherd.job import (
    CRASHES,
    Delivered,
    Event,
    Job,
    Outcome,
    Plan,
    Planned,
    Postponed,
    WaitReason,
    Withdrawn,
)
from watcherd.logs import escaped
from watcherd.pipeline.answering import Answering
from watcherd.pipeline.asking import fault_of
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.original import Original, WithdrawnError
from watcherd.pipeline.relay import Relay
from watcherd.pipeline.shipping import CutShortError
from watcherd.place import Place
from watcherd.retry import STORAGE_PAUSE, GiveUp, PauseEndpoint, RetryAt, Split, decide, tried_for
from watcherd.subtitles.cues import cues
from watcherd.subtitles.formats import render
from watcherd.subtitles.shape import Shape, shape_of
from watcherd.transcript import Transcript

LONG = 500  # segments; the cues of fewer are shaped in a moment


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
            async with aclosing(self._delivered()) as events:
                async for event in events:
                    yield event
        except WithdrawnError as error:
            yield Withdrawn(error.why)
        except CutShortError:
            yield Withdrawn("changed")
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
            self._original.close()

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
        relay = Relay()
        async with aclosing(relay.events(self._answering.run(relay.tell))) as events:
            async for event in events:
                yield event

    # Faults: what waits, and why.

    async def _postponed(self, fault: Fault) -> Postponed | None:
        """The wait that a fault calls for; None when the file fails."""
        bench = self._bench
        rounds = [(one.sent_at, one.fault) for one in await bench.journal.attempts(self._job.id)]
        now, draw = bench.clock.now(), random.random()  # noqa: S311 - jitter, not a secret
        tried = tried_for(rounds, now=now)
        match decide(fault, self._answering.attempts, bench.policy, tried=tried, now=now, uniform=draw):
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

    # Delivery: from the transcript (or the fault) to the done (or failed) folder.

    async def _delivered(self) -> AsyncGenerator[Event, None]:
        """Choose names, record them, carry the plan out; with other names if one was taken meanwhile."""
        bench = self._bench
        plan = self._job.plan
        transcript = self._answering.transcript() if self._fault is None else None
        while True:
            if plan is None:
                async with bench.planning:
                    plan = await self._choose_names()
                    yield Planned(plan, () if transcript is None else transcript.warnings, self._fault)
            match await self._carried_out(plan, await self._contents(plan, transcript)):
                case files.Delivered():
                    yield Delivered()
                    return
                case files.NameTaken():
                    plan = None
                case files.Vanished():
                    raise WithdrawnError("vanished")
                case files.Changed():
                    raise WithdrawnError("changed")

    async def _carried_out(self, plan: Plan, contents: Mapping[bytes, bytes]) -> files.Result:
        bench = self._bench
        if bench.beside is not None:
            await self._original.check()
            return await bench.storage.call(beside.write, bench.beside, contents, job_id=self._job.id)
        return await bench.storage.call(
            files.deliver,
            plan,
            job_id=self._job.id,
            inbox_fd=self._original.inbox_fd,
            path=self._job.path,
            identity=self._job.identity,
            target=self._target(plan.outcome),
            contents=contents,
        )

    async def _choose_names(self) -> Plan:
        bench, path = self._bench, self._job.path
        outcome = Outcome.DONE if self._fault is None else Outcome.FAILED
        formats = bench.folder.formats if self._fault is None else ("report",)
        folder, _, name = path.rpartition(b"/")
        target, below, standing = self._target(outcome), folder, b""
        if bench.beside is not None:
            target, below, standing = Place(bench.beside), b"", name
        else:
            # A file that was moved back from failed leaves its old report there: it is out of date.
            await bench.storage.call(files.clear_report, bench.places.failed, path)
        plan = await bench.storage.call(
            files.choose,
            target,
            below,
            partial(_planned, path, outcome, formats, bench.folder.sidecar_name),
            reserved=await bench.journal.planned_names(folder),
            passed_over=standing,
        )
        if bench.beside is not None and self._fault is not None:
            plan = replace(plan, sidecars=())  # who asked is there and reads the fault itself
        return replace(plan, at=bench.clock.now())

    async def _contents(self, plan: Plan, transcript: Transcript | None) -> Mapping[bytes, bytes]:
        if transcript is not None:
            shape, silences = shape_of(self._bench.folder.cues), self._answering.silences
            if len(transcript.segments) < LONG:
                return _rendered(plan, transcript, shape, silences)
            # Hours of speech take seconds, in which the loop has other things to do.
            return await asyncio.to_thread(_rendered, plan, transcript, shape, silences)
        assert self._fault is not None, "no transcript and no fault"
        folder, endpoint = self._bench.folder, self._bench.endpoint
        settings = report.Settings(
            endpoint=endpoint.name,
            base_url=endpoint.base_url,
            model=self._bench.model,
            prompt=folder.prompt,
            temperature=folder.temperature,
            formats=folder.formats,
            inbox=folder.inbox,
        )
        attempts = await self._bench.journal.attempts(self._job.id)
        body = report.render(
            self._job,
            self._fault,
            settings=settings,
            attempts=[(attempt.sent_at, attempt.fault) for attempt in attempts],
            now=plan.at,
        )
        return {sidecar.name: body for sidecar in plan.sidecars}

    def _target(self, outcome: Outcome) -> Place:
        return self._bench.places.done if outcome is Outcome.DONE else self._bench.places.failed


def _rendered(
    plan: Plan, transcript: Transcript, shape: Shape | None, silences: Sequence[tuple[float, float]]
) -> Mapping[bytes, bytes]:
    shaped = cues(transcript, shape, silences=silences)
    return {sidecar.name: render(sidecar.format, shaped, transcript) for sidecar in plan.sidecars}


def _planned(
    path: bytes, outcome: Outcome, formats: Sequence[str], sidecar_name: str, taken: Container[bytes]
) -> Plan:
    return names.plan(path=path, outcome=outcome, formats=formats, sidecar_name=sidecar_name, taken=taken)


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
