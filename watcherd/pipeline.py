"""The journey of one job, from settled to delivered, readable top to bottom. A job in, events out.

Every event is on disk before the journey goes on: so a reply is kept before it is read, a plan before it is
carried out, and a journey that was cut off anywhere begins again with what the journal holds.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

from watcherd.clock import Clock
from watcherd.config.model import Endpoint, Folder
from watcherd.delivery import beside, files, names, report
from watcherd.endpoint.client import Ask, Upload
from watcherd.endpoint.gate import Gate
from watcherd.endpoint.reply import ReplyFormat, next_format, read_reply
from watcherd.faults import Fault, FaultError, Remedy, Scope, storage_fault
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import identity_of, open_beneath, open_root
from watcherd.job import (
    Delivered,
    Event,
    Job,
    Outcome,
    Plan,
    Planned,
    Postponed,
    Refused,
    Replied,
    Sending,
    WaitReason,
    Withdrawn,
)
from watcherd.journal.store import Journal
from watcherd.media.pool import MediaPool
from watcherd.retry import GiveUp, PauseEndpoint, Policy, RetryAt, decide
from watcherd.shipping import CutShortError, Shipping
from watcherd.subtitles.cues import cues
from watcherd.subtitles.formats import render
from watcherd.subtitles.merge import merge
from watcherd.transcript import Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the journeys of one inbox work with; `work` is our own folder for encoded audio.

    With `beside` the original stays where it is and its sidecars go into that folder.
    """

    folder: Folder
    gate: Gate
    storage: Storage
    media: MediaPool
    journal: Journal
    clock: Clock
    work: Path
    planning: asyncio.Lock
    beside: Path | None = None
    policy: Policy = field(default_factory=Policy)

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint of the inbox."""
        return self.gate.endpoint

    @property
    def model(self) -> str:
        """The model that the inbox asks for."""
        return self.folder.model or self.endpoint.model


class _WithdrawnError(Exception):
    """The file is not the one that settled any more; `why` is `vanished` or `changed`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Journey:
    """One job on its way. `events()` is its whole life; the rest is what it has in hand."""

    def __init__(self, job: Job, bench: Bench) -> None:
        self._job = job
        self._bench = bench
        self._attempts = job.attempts
        self._fault = job.fault if job.plan is not None else None
        self._transcript: Transcript | None = None
        self._inbox_fd = -1
        self._fd = -1

    async def events(self) -> AsyncGenerator[Event, None]:
        """Everything that happens to the job from here on; ends when it must wait or is final."""
        try:
            await self._open()
            try:
                async with aclosing(self._translated()) as events:
                    async for event in events:
                        yield event
            except FaultError as error:
                postponed = self._postponed(error.fault)
                if postponed is not None:
                    yield postponed
                    return
                self._fault = error.fault
            async with aclosing(self._delivered()) as events:
                async for event in events:
                    yield event
        except _WithdrawnError as error:
            yield Withdrawn(error.why)
        except CutShortError:
            yield Withdrawn("changed")
        except FaultError as error:
            yield self._waiting(error.fault)
        except OSError as error:
            where = os.fsdecode(error.filename or self._bench.folder.inbox)
            yield self._waiting(storage_fault(error, doing="reading or delivering a file", where=where))
        finally:
            await self._close()

    # The original, opened once and checked again at every turn.

    async def _open(self) -> None:
        call = self._bench.storage.call
        self._inbox_fd = await call(open_root, self._bench.folder.inbox)
        try:
            self._fd = await call(open_beneath, self._inbox_fd, self._job.path)
        except FileNotFoundError:
            # A delivery that was cut off may have moved it already: `deliver` knows.
            if self._job.plan is None:
                raise _WithdrawnError("vanished") from None
            return
        except (NotADirectoryError, IsADirectoryError):
            raise _WithdrawnError("changed") from None
        if self._job.plan is None:
            await self._check_unchanged()

    async def _check_unchanged(self) -> None:
        if identity_of(await self._bench.storage.call(os.fstat, self._fd)) != self._job.identity:
            raise _WithdrawnError("changed")

    async def _close(self) -> None:
        for descriptor in (self._fd, self._inbox_fd):
            if descriptor >= 0:
                await self._bench.storage.call(os.close, descriptor)

    # Translation: from the original to a transcript.

    async def _translated(self) -> AsyncGenerator[Event, None]:
        """Ask the endpoint, unless the journal has its reply or the job is to be reported as failed."""
        if self._fault is not None:
            return
        stored = await self._bench.journal.reply(self._job.id)
        if stored is not None:
            try:
                self._transcript = read_reply(stored.body, asked=ReplyFormat(stored.format), last=True)
            except FaultError as error:
                yield Refused(error.fault)
            else:
                return
        async with aclosing(self._asked()) as events:
            async for event in events:
                yield event

    async def _asked(self) -> AsyncGenerator[Event, None]:
        """One round of requests: the fall-backs that a refusal calls for belong to the same attempt."""
        gate, model = self._bench.gate, self._bench.model
        asked, plain, untimed = gate.format_for(model), False, False
        async with self._shipping() as shipping:
            upload = await shipping.first_choice()
            self._attempts += 1
            yield Sending()
            while True:
                try:
                    async with aclosing(self._request(upload, asked, plain=plain, last=untimed)) as events:
                        async for event in events:
                            yield event
                except FaultError as error:
                    fault = error.fault
                    following = next_format(asked)
                    if fault.remedy is Remedy.FORMAT and following is not None:
                        asked, untimed = following, untimed or fault.code == "untimed"
                    elif fault.remedy is Remedy.TRANSCODE and not shipping.encoded:
                        upload = await shipping.encode()
                    elif fault.remedy is Remedy.PLAIN and not plain:
                        plain = True
                    elif fault.remedy is Remedy.SILENT:
                        self._transcript = Transcript(segments=(), warnings=("nothing_heard",))
                        return
                    else:
                        raise
                else:
                    gate.learn_format(model, asked)
                    return

    def _shipping(self) -> Shipping:
        bench = self._bench
        return Shipping(
            self._fd,
            self._job.identity.size,
            endpoint=bench.endpoint,
            storage=bench.storage,
            media=bench.media,
            work=bench.work,
        )

    async def _request(
        self, upload: Upload, asked: ReplyFormat, *, plain: bool, last: bool
    ) -> AsyncGenerator[Event, None]:
        """One request; sets the transcript, or raises the FaultError that its answer amounts to."""
        folder, gate = self._bench.folder, self._bench.gate
        ask = Ask(
            model=self._bench.model,
            prompt=folder.prompt,
            temperature=folder.temperature,
            format=asked,
            plain=plain,
        )
        try:
            async with gate.client() as client:
                answer = await client.translate(upload, ask)
        except FaultError as error:
            if (
                error.fault.scope is Scope.FILE
                and error.fault.status is not None
                and error.fault.status < 500
            ):
                gate.answered()
            raise
        yield Replied(answer.body, asked)
        await self._check_unchanged()
        try:
            self._transcript = read_reply(answer.body, asked=asked, last=last or next_format(asked) is None)
        except FaultError as error:
            yield Refused(error.fault)
            raise
        gate.answered()

    # Faults: what waits, and why.

    def _postponed(self, fault: Fault) -> Postponed | None:
        """The wait that a fault calls for; None when the file fails."""
        bench = self._bench
        now, draw = bench.clock.now(), random.random()  # noqa: S311 - jitter, not a secret
        match decide(fault, self._attempts, bench.policy, now=now, uniform=draw):
            case GiveUp():
                return None
            case PauseEndpoint():
                pause = bench.gate.close_for(fault)
                return Postponed(WaitReason.ENDPOINT_PAUSED, pause.until, fault)
            case RetryAt(time, charged):
                reason = WaitReason.BACKOFF if fault.scope is Scope.FILE else _storage_reason(fault)
                return Postponed(reason, time, fault, charged=charged)

    def _waiting(self, fault: Fault) -> Postponed:
        """The wait for storage that is not a file's fault, whatever the file's own state."""
        held = replace(fault, scope=Scope.INBOX) if fault.scope is Scope.FILE else fault
        postponed = self._postponed(held)
        assert postponed is not None, "only a file's fault gives up"
        return postponed

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
                    raise _WithdrawnError("vanished")
                case files.Changed():
                    raise _WithdrawnError("changed")

    async def _carried_out(self, plan: Plan, contents: Mapping[bytes, bytes]) -> files.Result:
        bench = self._bench
        if bench.beside is not None:
            await self._check_unchanged()
            return await bench.storage.call(beside.write, bench.beside, contents, job_id=self._job.id)
        return await bench.storage.call(
            files.deliver,
            plan,
            job_id=self._job.id,
            inbox_fd=self._inbox_fd,
            path=self._job.path,
            identity=self._job.identity,
            target=self._target(plan.outcome),
            contents=contents,
        )

    async def _repaired(self) -> Transcript | None:
        """The transcript with its times repaired; None when the file has failed."""
        if self._transcript is None:
            return None
        duration = self._transcript.duration
        if duration is None and not self._transcript.timed and self._fd >= 0:
            duration = (await self._bench.media.probe(self._fd)).duration
        return merge(self._transcript, duration=duration)

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
