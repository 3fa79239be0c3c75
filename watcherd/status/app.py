"""The application: Control and the journal in, the routes of the API out. FastAPI; runs in the daemon's loop.

Every route is a coroutine: the framework's own threads would be waited for at the end, a hung disk and all.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watcherd import __version__
from watcherd.clock import Clock
from watcherd.control import Control, RefusedError
from watcherd.faults import FaultError
from watcherd.inbox.storage import Storage
from watcherd.journal.reader import reading
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
from watcherd.status.snapshot import Record, daemon_of, plain, read_record, shown, status_of

LARGEST_REQUEST = 4 << 20  # bytes; ten thousand long paths
_REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"model": Trouble, "description": "There is no endpoint or inbox of that name."},
    409: {"model": Trouble, "description": "An endpoint and an inbox have that name."},
    503: {"model": Trouble, "description": "The journal cannot be written now."},
}


def application(control: Control, *, journal: Path, storage: Storage, clock: Clock) -> FastAPI:
    """Make the application; `storage` are the threads in which the journal is read."""
    app = FastAPI(
        title="watcherd",
        version=__version__,
        description="What the daemon is doing, and what may be asked of it.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # those pages load their scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(BoundedRequests)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(FaultError, _failing)
    app.add_exception_handler(sqlite3.Error, _unreadable)
    app.add_exception_handler(Exception, _mistaken)
    routes = _Routes(control, journal=journal, storage=storage, clock=clock)
    app.add_api_route("/api/v1/status", routes.status, methods=["GET"])
    app.add_api_route("/api/v1/retry", routes.retry, methods=["POST"], responses=_REFUSALS)
    app.add_api_route("/api/v1/pause", routes.pause, methods=["POST"], responses=_REFUSALS)
    app.add_api_route("/api/v1/resume", routes.resume, methods=["POST"], responses=_REFUSALS)
    app.add_api_route("/api/v1/reload", routes.reload, methods=["POST"])
    return app


class _Routes:
    """What the API does; each method's docstring is its description in the OpenAPI document."""

    def __init__(self, control: Control, *, journal: Path, storage: Storage, clock: Clock) -> None:
        self._control = control
        self._journal = journal
        self._storage = storage
        self._clock = clock

    async def status(self) -> Status:
        """What the daemon is doing."""
        record = await self._storage.call(_record, self._journal)
        live = self._control.live()
        return status_of(
            record,
            daemon=daemon_of(live),
            inboxes=live.inboxes,
            endpoints=live.endpoints,
            now=self._clock.now(),
        )

    async def retry(self, wanted: RetryRequest) -> RetryAnswer:
        """Move failed files back into their inboxes, where they go round again."""
        files = None if wanted.files is None else [path_of(file) for file in wanted.files]
        results = await self._control.retry(files, fresh=wanted.fresh)
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


class BoundedRequests:
    """Ends a request whose body is larger than anything that belongs here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, its body counted."""
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > LARGEST_REQUEST:
                raise HTTPException(413, f"a request has at most {LARGEST_REQUEST:,} bytes")
            return message

        await self._app(scope, counted, send)


def _record(journal: Path) -> Record:
    with reading(journal) as reader:
        return read_record(reader)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    status = 409 if error.code == "ambiguous_name" else 404
    return _answer(status, Trouble(code=error.code, message=error.message, hint=error.hint))


async def _failing(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FaultError)
    fault = error.fault
    return _answer(503, Trouble(code=fault.code, message=plain(fault.message), hint=plain(fault.hint)))


async def _unreadable(_: Request, error: Exception) -> JSONResponse:
    message = f"the journal cannot be read: {error}"
    hint = "Look at the disk and at the rights of the state folder."
    return _answer(503, Trouble(code="journal_failing", message=message, hint=hint))


async def _mistaken(_: Request, __: Exception) -> JSONResponse:
    """A bug; the server logs its traceback."""
    hint = "The log holds the traceback: please report it."
    return _answer(500, Trouble(code="internal_error", message="watcherd made a mistake", hint=hint))


def _answer(status: int, trouble: Trouble) -> JSONResponse:
    return JSONResponse(trouble.model_dump(), status_code=status)
