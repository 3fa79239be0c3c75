"""Delivering: a job's transcript, or the fault that failed it, in; files in their places out, as events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Container, Mapping, Sequence
from dataclasses import replace
from functools import partial

from watcherd.delivery import beside, files, names, report
from watcherd.faults import Fault
from watcherd.job import Delivered, Event, Job, Outcome, Plan, Planned
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.original import Original
from watcherd.pipeline.staying import Staying, written
from watcherd.pipeline.withdrawn import WithdrawnError
from watcherd.place import Place
from watcherd.settings import Settings
from watcherd.subtitles.cues import cues
from watcherd.subtitles.formats import render
from watcherd.subtitles.shape import Shape, numbers_of, shape_of
from watcherd.transcript import Transcript

LONG = 500  # segments; the cues of fewer are shaped in a moment


class Delivering:
    """The end of one job's way, with its `transcript` or, failed, with its `fault`.

    `silences` are where nothing is heard, in seconds; `asked` is what it was asked for with.
    """

    def __init__(
        self,
        job: Job,
        bench: Bench,
        original: Original,
        *,
        transcript: Transcript | None,
        fault: Fault | None,
        silences: Sequence[tuple[float, float]],
        asked: Settings,
    ) -> None:
        self._job = job
        self._bench = bench
        self._original = original
        self._transcript = transcript
        self._fault = fault
        self._silences = silences
        self._asked = asked
        self._staying = Staying(job, bench, original)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Choose names, record them, carry the plan out; with other names if one was taken meanwhile."""
        plan, fresh = self._job.plan, self._job.plan is None
        while True:
            if plan is None:
                plan = replace(await self._choose_names(), cues=numbers_of(self._bench.folder.cues))
                warnings = () if self._transcript is None else self._transcript.warnings
                yield Planned(plan, warnings, self._fault)
            contents = await self._contents(plan)
            match await self._carried_out(plan, contents, fresh=fresh):
                case files.Delivered():
                    yield Delivered(written(contents) if plan.stays and self._fault is None else ())
                    return
                case files.NameTaken():
                    plan, fresh = None, False
                case files.Vanished():
                    raise WithdrawnError("vanished")
                case files.Changed():
                    raise WithdrawnError("changed")

    async def _carried_out(self, plan: Plan, contents: Mapping[bytes, bytes], *, fresh: bool) -> files.Result:
        bench = self._bench
        if plan.stays:
            return await self._staying.carry_out(plan, contents)
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
            fresh=fresh,
        )

    async def _choose_names(self) -> Plan:
        bench = self._bench
        if bench.folder.stays:
            return await self._staying.plan() if self._fault is None else self._staying.plan_report()
        while True:
            async with bench.planning:  # what is free is looked up and taken by one at a time
                plan = await self._free_names()
                # Beside files of the user's choice, the same name in another folder is no other's.
                if bench.beside is not None or bench.journal.names.take(self._job.id, plan):
                    break
        if bench.beside is not None and self._fault is not None:
            plan = replace(plan, sidecars=())  # who asked is there and reads the fault itself
        return replace(plan, at=bench.clock.now())

    async def _free_names(self) -> Plan:
        """Names that neither stand in the target folder nor belong to another delivery."""
        bench, path = self._bench, self._job.path
        outcome = Outcome.DONE if self._fault is None else Outcome.FAILED
        formats = bench.folder.formats if self._fault is None else ("report",)
        folder, _, name = path.rpartition(b"/")
        plan = partial(_planned, path, outcome, formats, bench.folder.sidecar_name)
        if bench.beside is not None:
            target = Place(bench.beside)
            return await bench.storage.call(files.choose, target, b"", plan, reserved=(), passed_over=name)
        target, failed = self._target(outcome), bench.places.failed
        reserved = bench.journal.names.within(folder)
        return await bench.storage.call(_chosen, target, folder, plan, reserved, failed=failed, path=path)

    async def _contents(self, plan: Plan) -> Mapping[bytes, bytes]:
        transcript = self._transcript
        if transcript is not None:
            shape, silences = shape_of(plan.cues), self._silences
            if len(transcript.segments) < LONG:
                return _rendered(plan, transcript, shape, silences)
            # Hours of speech take seconds, in which the loop has other things to do.
            return await asyncio.to_thread(_rendered, plan, transcript, shape, silences)
        assert self._fault is not None, "no transcript and no fault"
        folder, endpoint = self._bench.folder, self._bench.endpoint
        settings = report.Settings(
            endpoint=endpoint.name,
            base_url=endpoint.base_url,
            model=self._asked.model,
            prompt=self._asked.prompt,
            temperature=self._asked.temperature,
            formats=folder.formats,
            inbox=folder.inbox,
            stays=folder.stays,
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


def _chosen(
    target: Place,
    folder: bytes,
    plan: Callable[[Container[bytes]], Plan],
    reserved: Collection[bytes],
    *,
    failed: Place,
    path: bytes,
) -> Plan:
    """Choose names. A file that was moved back from failed left its old report there: it is out of date."""
    files.clear_report(failed, path)
    return files.choose(target, folder, plan, reserved=reserved)
