"""The API: Control and the journal in, the routes under /api/v1, /healthz, /readyz and /metrics out. FastAPI.

Every route is a coroutine: the framework's own threads would be waited for at the end, a hung disk and all.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from watcherd.clock import Clock
from watcherd.control import Control, RefusedError
from watcherd.delivery.pieces import Piece
from watcherd.escaping import plain
from watcherd.inbox.storage import Storage
from watcherd.job import Job, State
from watcherd.journal.reader import Reader, Wanted
from watcherd.status import files
from watcherd.status.health import Alive, Health, Ready
from watcherd.status.jobs import from_journal, place_from, read_job, read_list
from watcherd.status.jobshapes import JobDetail, JobList
from watcherd.status.metrics import Metrics
from watcherd.status.shapes import (
    NameAnswer,
    NameRequest,
    ReloadAnswer,
    RetryAnswer,
    RetryRequest,
    Status,
    Trouble,
    path_of,
)
from watcherd.status.snapshot import daemon_of, read_record, shown, status_of
from watcherd.status.standing import Counted, Standing, count

T = TypeVar("T")
Responses = dict[int | str, dict[str, Any]]

_PATIENCE = 5.0  # seconds that /metrics waits for the journal: the rest is worth having without it
_NO_JOURNAL: Responses = {503: {"model": Trouble, "description": "The journal cannot be used now."}}
_NO_NAME: Responses = _NO_JOURNAL | {
    404: {"model": Trouble, "description": "There is no endpoint or inbox of that name."},
    409: {"model": Trouble, "description": "An endpoint and an inbox have that name."},
}
_NO_JOB: Responses = _NO_JOURNAL | {
    404: {"model": Trouble, "description": "There is no such job, or not any more."}
}
_CONTENT = {"application/json": {}, "*/*": {"schema": {"type": "string", "format": "binary"}}}
_FILE: Responses = {
    200: {"description": "The whole file.", "content": _CONTENT},
    206: {"description": "The range that was asked for.", "content": _CONTENT},
    304: {"description": "The client has it: nothing was written to it since."},
    404: {"model": Trouble, "description": "There is no such job or file, or not any more."},
    416: {"description": "The file has none of these bytes."},
    503: {"model": Trouble, "description": "The journal or the file's storage cannot be used now."},
}
_NOT_READY: Responses = {503: {"model": Ready, "description": "No: the reasons."}}
_METRICS: Responses = {200: {"description": "In Prometheus' text format.", "content": {"text/plain": {}}}}

JobNumber = Annotated[int, InPath(ge=1, lt=2**63, description="The job's number.")]
Place = Annotated[str | None, Query(pattern=r"^[0-9]{1,12}(\.[0-9]{1,9})?-[0-9]{1,18}$")]


def router(control: Control, *, journal: Path, storage: Storage, clock: Clock, metrics: Metrics) -> APIRouter:
    """Every route; `storage` are the threads in which the journal is read."""
    routes = APIRouter()
    status = _Status(control, journal, storage, clock, metrics)
    routes.add_api_route("/api/v1/status", status.status, methods=["GET"], responses=_NO_JOURNAL)
    jobs = _Jobs(control, journal, storage)
    routes.add_api_route("/api/v1/jobs", jobs.list, methods=["GET"], responses=_NO_JOURNAL)
    routes.add_api_route("/api/v1/jobs/{job}", jobs.one, methods=["GET"], responses=_NO_JOB)
    place = "/api/v1/jobs/{job}/files/{name}"
    binary: dict[str, Any] = {"responses": _FILE, "response_class": Response}
    routes.add_api_route(place, jobs.file, methods=["GET"], **binary)
    routes.add_api_route(place, jobs.file, methods=["HEAD"], include_in_schema=False)
    actions = _Actions(control)
    routes.add_api_route("/api/v1/retry", actions.retry, methods=["POST"], responses=_NO_JOURNAL)
    routes.add_api_route("/api/v1/pause", actions.pause, methods=["POST"], responses=_NO_NAME)
    routes.add_api_route("/api/v1/resume", actions.resume, methods=["POST"], responses=_NO_NAME)
    routes.add_api_route("/api/v1/reload", actions.reload, methods=["POST"])
    routes.add_api_route("/healthz", status.healthz, methods=["GET"])
    routes.add_api_route(
        "/readyz", status.readyz, methods=["GET"], responses=_NOT_READY, response_model=Ready
    )
    routes.add_api_route(
        "/metrics", status.metrics, methods=["GET"], responses=_METRICS, response_class=Response
    )
    return routes


class _Status:
    """How everything is; each method's docstring is its description in the OpenAPI document."""

    def __init__(
        self, control: Control, journal: Path, storage: Storage, clock: Clock, metrics: Metrics
    ) -> None:
        self._control = control
        self._read = partial(_read, storage, journal)
        self._clock = clock
        self._metrics = metrics
        self._health = Health(control, clock)

    async def status(self) -> Status:
        """What the daemon is doing."""
        record = await self._read(read_record)
        live = self._control.live()
        return status_of(
            record,
            daemon=daemon_of(live),
            inboxes=live.inboxes,
            endpoints=live.endpoints,
            now=self._clock.now(),
        )

    async def healthz(self) -> Alive:
        """Whether the daemon is alive: it answers."""
        return Alive()

    async def readyz(self) -> JSONResponse:
        """Whether the daemon can do its work: it watches an inbox, and its journal can be written."""
        found = await self._health.ready()
        return JSONResponse(found.model_dump(), status_code=200 if found.ready else 503)

    async def metrics(self) -> Response:
        """Counters, times and gauges for Prometheus."""
        counted: Counted | None = None
        with contextlib.suppress(sqlite3.Error, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                counted = await self._read(count)
        live = self._control.live()
        standing = Standing(
            counted=counted, inboxes=live.inboxes, endpoints=live.endpoints, now=self._clock.now()
        )
        return Response(self._metrics.exposed(standing), media_type=CONTENT_TYPE_LATEST)


class _Jobs:
    """Single jobs, and what they left behind."""

    def __init__(self, control: Control, journal: Path, storage: Storage) -> None:
        self._control = control
        self._read = partial(_read, storage, journal)

    async def list(
        self,
        state: Annotated[list[State], Query(max_length=len(State))] = [],  # noqa: B006 - FastAPI's way; nobody changes it
        inbox: Annotated[str | None, Query(max_length=1000)] = None,
        q: Annotated[str, Query(max_length=1000, description="Is somewhere in the path.")] = "",
        before: Place = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> JobList:
        """Jobs in these states (in any, where none is named), the one that moved last first.

        `next` of one answer is `before` of the question for the jobs after it.
        """
        place = None if before is None else place_from(before)
        wanted = Wanted(states=frozenset(state), inbox=inbox, text=q, before=place)
        return await self._read(lambda reader: read_list(reader, wanted, limit))

    async def one(self, job: JobNumber) -> JobDetail:
        """One job whole."""
        inboxes = self._control.live().inboxes
        found = await self._read(lambda reader: read_job(reader, job, inboxes=inboxes))
        if found is None:
            raise _unknown_job(job)
        return found

    async def file(
        self,
        job: JobNumber,
        name: Annotated[str, InPath(description="As the job's `files` have it, percent-encoded.")],  # noqa: ARG002 - documented; read from the raw path
        request: Request,
        download: Annotated[str | None, Query(description="If it is there: as a download.")] = None,
    ) -> Response:
        """A file that a finished job left behind: its original, a sidecar, or the report of its failure."""
        wanted = files.name_of(request)
        found = await self._read(lambda reader: reader.job(job))
        if found is None:
            raise _unknown_job(job)
        form = files.format_of(found, wanted)
        read = partial(self._piece, found, wanted)
        first = None if form is None else await read(0, 0)
        if first is None or form is None:
            raise RefusedError(
                "unknown_file",
                f"job {job} has no such file, or not any more",
                "See its page for what it has.",
            )
        return files.answer(request, first, read, name=wanted, form=form, download=download is not None)

    async def _piece(self, job: Job, name: bytes, offset: int, size: int) -> Piece | None:
        return await self._control.piece(job, name, offset=offset, size=size)


class _Actions:
    """What may be asked of the daemon."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def retry(self, wanted: RetryRequest) -> RetryAnswer:
        """Move failed files back into their inboxes, where they go round again."""
        named = None if wanted.files is None else [path_of(file) for file in wanted.files]
        results = await self._control.retry(named, fresh=wanted.fresh)
        return RetryAnswer(results=[shown(result) for result in results])

    async def pause(self, wanted: NameRequest) -> NameAnswer:
        """Pause an endpoint or an inbox until it is resumed; restarts do not end it."""
        target = await self._control.pause(wanted.name)
        return NameAnswer(kind=target.kind.value, name=target.name)

    async def resume(self, wanted: NameRequest) -> NameAnswer:
        """End a pause by hand, and one that a fault of the endpoint caused."""
        target = await self._control.resume(wanted.name)
        return NameAnswer(kind=target.kind.value, name=target.name)

    async def reload(self) -> ReloadAnswer:
        """Apply the configuration file as it is now, whole or not at all."""
        problems = await self._control.reload()
        return ReloadAnswer(applied=not problems, problems=[plain(problem) for problem in problems])


async def _read(storage: Storage, journal: Path, read: Callable[[Reader], T]) -> T:
    return await storage.call(from_journal, journal, read)


def _unknown_job(number: int) -> RefusedError:
    hint = "Jobs are forgotten after a time (keep.jobs); the list has those that are known."
    return RefusedError("unknown_job", f"there is no job {number}", hint)
