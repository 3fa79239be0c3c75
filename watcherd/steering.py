"""Steering: Control as the running daemon does it. What is asked comes in, gates, queue and inboxes obey."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from watcherd.again import Again, Yard
from watcherd.config.model import Config, Endpoint, Folder
from watcherd.control import EndpointLive, InboxLive, Live, Rejected, Retried, Target, find
from watcherd.delivery.pieces import Piece, piece
from watcherd.endpoint.gates import Gates
from watcherd.escaping import escaped
from watcherd.faults import FaultError, storage_fault
from watcherd.inbox.condition import Condition
from watcherd.inbox.intake import Intake
from watcherd.inbox.storage import Storage
from watcherd.job import Job, State
from watcherd.journal.ledger import Kind
from watcherd.journal.store import Journal
from watcherd.pipeline.bench import Bench
from watcherd.queue import Queue
from watcherd.status.doors import Doors

READERS = 2  # of the threads of an inbox


@dataclass(slots=True, kw_only=True)
class Helm:
    """What the daemon shows to its steering: `config` is the one in force."""

    config: Config
    doors: Doors
    started_at: float
    stopping: asyncio.Event
    benches: Mapping[str, Bench]
    intakes: Mapping[str, Intake]
    reload: Callable[[], Awaitable[tuple[str, ...]]]
    rejected: Rejected | None = None
    locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """By inbox: one failed file at a time goes back."""
    readers: defaultdict[str, asyncio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(READERS))
    )
    """By inbox: who watches or downloads leaves threads for the work itself."""


class Steering:
    """The daemon's Control. `records` are the threads in which the journal at `path` is read."""

    def __init__(
        self, helm: Helm, *, gates: Gates, queue: Queue, journal: Journal, path: Path, records: Storage
    ) -> None:
        self._helm = helm
        self._gates = gates
        self._queue = queue
        self._journal = journal
        self._path = path
        self._records = records

    def live(self) -> Live:
        """What the daemon is doing now."""
        helm = self._helm
        return Live(
            pid=os.getpid(),
            started_at=helm.started_at,
            control=helm.doors.control,
            page=helm.doors.page,
            page_problem=helm.doors.problem,
            stopping=helm.stopping.is_set(),
            inboxes=tuple(self._inbox(folder) for folder in helm.config.folders),
            endpoints=tuple(self._endpoint(endpoint) for endpoint in helm.config.endpoints.values()),
            rejected=helm.rejected,
        )

    async def retry(self, files: Sequence[bytes] | None, *, fresh: bool) -> list[Retried]:
        """Move failed files back, and have their inboxes looked through."""
        helm = self._helm
        yards = [
            Yard(folder=bench.folder, places=bench.places, storage=bench.storage, lock=helm.locks[name])
            for name, bench in helm.benches.items()
        ]
        again = Again(yards, journal=self._journal, path=self._path, records=self._records)
        results = await (again.everything(fresh=fresh) if files is None else again.these(files, fresh=fresh))
        moved = {result.inbox for result in results if result.back_as is not None}
        for name, intake in helm.intakes.items():
            if name in moved:
                intake.rescan()
        return results

    async def pause(self, name: str) -> Target:
        """Pause an endpoint or an inbox."""
        target = self._find(name)
        match target.kind:
            case Kind.ENDPOINT:
                await self._gates[target.name].hold()
            case Kind.INBOX:
                await self._queue.hold(target.name)
            case _ as unreachable:
                assert_never(unreachable)
        return target

    async def resume(self, name: str) -> Target:
        """End a pause; jobs that waited for an endpoint are tried at once."""
        target = self._find(name)
        match target.kind:
            case Kind.ENDPOINT:
                await self._gates[target.name].resume()
                self._queue.retry_held_up()
            case Kind.INBOX:
                await self._queue.release(target.name)
            case _ as unreachable:
                assert_never(unreachable)
        return target

    async def piece(self, job: Job, name: bytes, *, offset: int = 0, size: int = 0) -> Piece | None:
        """Read from a file that a finished job left behind, in the threads of its inbox, few at a time."""
        bench, plan = self._helm.benches.get(job.inbox), job.plan
        if bench is None or plan is None or job.state not in {State.DONE, State.FAILED}:
            return None
        if name != plan.original and all(name != sidecar.name for sidecar in plan.sidecars):
            return None
        place, folder = bench.place_of(plan, name)
        async with self._helm.readers[job.inbox]:
            try:
                return await bench.storage.ask(piece, place, folder, name, offset=offset, size=size)
            except OSError as error:
                where = escaped(bytes(place.path))
                raise FaultError(storage_fault(error, doing="reading from", where=where)) from error

    async def see_journal(self) -> None:
        """Write to the journal."""
        await self._journal.see_it_writes()

    async def reload(self) -> tuple[str, ...]:
        """Apply the configuration file; returns its problems, with which nothing was changed."""
        return await self._helm.reload()

    def _find(self, name: str) -> Target:
        config = self._helm.config
        inboxes = [folder.name for folder in config.folders]
        return find(name, endpoints=config.endpoints, inboxes=inboxes)

    def _inbox(self, folder: Folder) -> InboxLive:
        intake = self._helm.intakes.get(folder.name)  # a reload may be making a new one
        state = None if intake is None else intake.state
        return InboxLive(
            name=folder.name,
            path=bytes(folder.inbox),
            endpoint=folder.endpoint,
            condition=Condition.STARTING if state is None else state.standing.condition,
            text="" if state is None else state.standing.text or state.limited,
            hint="" if state is None else state.standing.hint,
            arriving=0 if state is None else len(state.arrivals),
            held_since=self._queue.held.get(folder.name),
            scanned_at=None if state is None else state.scanned_at,
        )

    def _endpoint(self, endpoint: Endpoint) -> EndpointLive:
        gate = self._gates[endpoint.name]
        return EndpointLive(
            name=endpoint.name,
            base_url=endpoint.base_url,
            model=endpoint.model,
            slots=endpoint.concurrency,
            concurrency=gate.concurrency,
            in_flight=gate.in_flight,
            minutes_today=gate.minutes_today,
            minutes_per_day=None if endpoint.budget is None else endpoint.budget.minutes_per_day,
            held_since=gate.held_since,
            paused_since=None if gate.pause is None else gate.pause.since,
            paused_until=None if gate.pause is None else gate.pause.until,
            fault=None if gate.pause is None else gate.pause.fault,
            child=self._gates.child(endpoint.name),
        )
