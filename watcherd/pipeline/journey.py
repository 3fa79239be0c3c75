"""The journey of one job, from settled to delivered, readable top to bottom. A job in, events out.

Every event is on disk before the journey goes on: so a reply is kept before it is read, a plan before it is
carried out, and a journey that was cut off anywhere begins again with what the journal holds.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from watcherd.delivery import beside, files, names, report
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
    Refused,
    WaitReason,
    Withdrawn,
)
from watcherd.pipeline.answering import Answering, fault_of
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.original import Original, WithdrawnError
from watcherd.pipeline.shipping import CutShortError
from watcherd.retry import STORAGE_PAUSE, GiveUp, PauseEndpoint, RetryAt, decide
from watcherd.subtitles.cues import cues
from watcherd.subtitles.formats import render
from watcherd.subtitles.merge import merge
from watcherd.transcript import Transcript


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
        except FaultError as error:
            yield self._waiting(error.fault)
        except OSError as error:
            where = os.fsdecode(error.filename or self._bench.folder.inbox)
            yield self._waiting(storage_fault(error, doing="reading or delivering a file", where=where))
        finally:
            self._original.close()

    async def _translated(self) -> AsyncGenerator[Event, None]:
        """Get a transcript, unless the job is to be reported as failed."""
        if self._fault is not None:
            return
        stored = await self._bench.journal.reply(self._job.id)
        if self._job.plan is not None:
            assert stored is not None, "a delivery that was planned had an answer"
            self._answering.take(stored)
            return
        if self._job.crashes >= CRASHES:
            raise FaultError(_deadly())
        if stored is not None:
            try:
                self._answering.take(stored)
            except FaultError as error:
                yield Refused(error.fault)
        async with aclosing(self._answering.events()) as events:
            async for event in events:
                yield event

    # Faults: what waits, and why.

    async def _postponed(self, fault: Fault) -> Postponed | None:
        """The wait that a fault calls for; None when the file fails."""
        bench = self._bench
        now, draw = bench.clock.now(), random.random()  # noqa: S311 - jitter, not a secret
        match decide(fault, self._answering.attempts, bench.policy, now=now, uniform=draw):
            case RetryAt(time, charged):
                reason = WaitReason.BACKOFF if fault.scope is Scope.FILE else _storage_reason(fault)
                return Postponed(reason, time, fault, charged=charged)
            case PauseEndpoint():
                return self._paused(fault)
            case GiveUp() if fault.remedy is Remedy.RETRY and not await self._endpoint_has_answered():
                endpoints = await fault_of(bench)
                return None if endpoints is None else self._paused(_failing(endpoints))
            case GiveUp():
                return None

    def _paused(self, fault: Fault) -> Postponed:
        pause = self._bench.gate.close_for(fault)
        return Postponed(WaitReason.ENDPOINT_PAUSED, pause.until, fault)

    async def _endpoint_has_answered(self) -> bool:
        """Whether it has answered anything since this file's first attempt: then the file is to blame."""
        attempts = await self._bench.journal.attempts(self._job.id)
        answered = self._bench.gate.answered_at
        return answered is not None and bool(attempts) and answered > attempts[0].sent_at

    def _waiting(self, fault: Fault) -> Postponed:
        """The wait for storage or machine, whatever the file's own state."""
        reason = _storage_reason(fault)
        return Postponed(reason, self._bench.clock.now() + STORAGE_PAUSE, fault)

    # Delivery: from the transcript (or the fault) to the done (or failed) folder.

    async def _delivered(self) -> AsyncGenerator[Event, None]:
        """Choose names, record them, carry the plan out; with other names if one was taken meanwhile."""
        bench = self._bench
        plan = self._job.plan
        transcript = await self._repaired()
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

    async def _repaired(self) -> Transcript | None:
        """The transcript with its times repaired; None when the file has failed."""
        if self._answering.transcript is None:
            return None
        duration = self._answering.transcript.duration
        if duration is None and not self._answering.transcript.timed and self._original.fd >= 0:
            duration = (await self._bench.media.probe(self._original.fd)).duration
        return merge(self._answering.transcript, duration=duration)

    async def _choose_names(self) -> Plan:
        bench = self._bench
        outcome = Outcome.DONE if self._fault is None else Outcome.FAILED
        formats = bench.folder.formats if self._fault is None else ("report",)
        folder, _, name = self._job.path.rpartition(b"/")
        if bench.beside is not None:
            taken = await bench.storage.call(files.list_names, bench.beside, b"") - {name}
        else:
            # A file that was moved back from failed leaves its old report there: it is out of date.
            await bench.storage.call(files.clear_report, bench.folder.failed, self._job.path)
            taken = await bench.storage.call(files.list_names, self._target(outcome), folder)
        taken |= await bench.journal.planned_names(folder)
        plan = names.plan(path=self._job.path, outcome=outcome, formats=formats, taken=taken)
        if bench.beside is not None and self._fault is not None:
            plan = replace(plan, sidecars=())  # who asked is there and reads the fault itself
        return replace(plan, at=bench.clock.now())

    async def _contents(self, plan: Plan, transcript: Transcript | None) -> Mapping[bytes, bytes]:
        if transcript is not None:
            shaped = cues(transcript)
            return {sidecar.name: render(sidecar.format, shaped) for sidecar in plan.sidecars}
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

    def _target(self, outcome: Outcome) -> Path:
        return self._bench.folder.done if outcome is Outcome.DONE else self._bench.folder.failed


def _storage_reason(fault: Fault) -> WaitReason:
    return WaitReason.DISK_FULL if fault.code == "disk_full" else WaitReason.STORAGE


def _failing(fault: Fault) -> Fault:
    """What keeps a file from its answer, once a clip that any endpoint understands had none either."""
    return replace(
        fault,
        scope=Scope.ENDPOINT,
        message=f"the endpoint answers no file: {fault.message}",
        remedy=Remedy.PAUSE,
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
