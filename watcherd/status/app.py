"""The application: Control and the journal in, every route out, whatever goes wrong as a Trouble. FastAPI."""

from __future__ import annotations

import sqlite3
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watcherd import __version__
from watcherd.clock import Clock
from watcherd.control import Control, RefusedError
from watcherd.escaping import plain
from watcherd.faults import FaultError
from watcherd.inbox.storage import Storage
from watcherd.status import api, page
from watcherd.status.metrics import Metrics
from watcherd.status.shapes import Trouble

LARGEST_REQUEST = 4 << 20  # bytes; ten thousand long paths
_HINTS = {
    HTTPStatus.NOT_FOUND: "What there is stands in /api/v1/openapi.json.",
    HTTPStatus.METHOD_NOT_ALLOWED: "What may be done here stands in /api/v1/openapi.json.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Ask for less at a time.",
}


def application(
    control: Control, *, journal: Path, storage: Storage, clock: Clock, metrics: Metrics | None = None
) -> FastAPI:
    """Make the application; `storage` are the threads in which the journal is read."""
    app = FastAPI(
        title="watcherd",
        version=__version__,
        description="What the daemon is doing, and what may be asked of it.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # those pages load their scripts from elsewhere
        redoc_url=None,
        responses={"default": {"model": Trouble, "description": "What is wrong, and what to do about it."}},
    )
    app.add_middleware(BoundedRequests)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(FaultError, _failing)
    app.add_exception_handler(sqlite3.Error, _unreadable)
    app.add_exception_handler(RequestValidationError, _senseless)
    app.add_exception_handler(StarletteHTTPException, _impossible)
    app.add_exception_handler(Exception, _mistaken)
    app.include_router(
        api.router(control, journal=journal, storage=storage, clock=clock, metrics=metrics or Metrics(clock))
    )
    app.include_router(page.router(control, journal=journal, storage=storage, clock=clock))
    return app


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


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    status = 409 if error.code == "ambiguous_name" else 404
    return _answer(status, Trouble(code=error.code, message=plain(error.message), hint=plain(error.hint)))


async def _failing(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FaultError)
    fault = error.fault
    return _answer(503, Trouble(code=fault.code, message=plain(fault.message), hint=plain(fault.hint)))


async def _unreadable(_: Request, error: Exception) -> JSONResponse:
    message = f"the journal cannot be read: {error}"
    hint = "Look at the disk and at the rights of the state folder."
    return _answer(503, Trouble(code="journal_failing", message=message, hint=hint))


async def _senseless(_: Request, error: Exception) -> JSONResponse:
    """A request that is none of those described; what it holds is not said back."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(step) for step in first["loc"]).encode("utf-8", "backslashreplace").decode()
    message = f"{where}: {first['msg']}".encode("utf-8", "backslashreplace").decode()
    hint = "What a request may hold stands in /api/v1/openapi.json."
    return _answer(422, Trouble(code="request_wrong", message=plain(message), hint=hint))


async def _impossible(_: Request, error: Exception) -> JSONResponse:
    """What the framework refuses: a path that does not exist, a method that it has not, a body too large."""
    assert isinstance(error, StarletteHTTPException)
    status = HTTPStatus(error.status_code)
    hint = _HINTS.get(status, "See /api/v1/openapi.json for what a request may be.")
    code = status.phrase.lower().replace(" ", "_").replace("-", "_")
    answer = _answer(status, Trouble(code=code, message=plain(str(error.detail)).lower(), hint=hint))
    answer.headers.update(error.headers or {})
    return answer


async def _mistaken(_: Request, __: Exception) -> JSONResponse:
    """A bug; the server logs its traceback."""
    hint = "The log holds the traceback: please report it."
    return _answer(500, Trouble(code="internal_error", message="watcherd made a mistake", hint=hint))


def _answer(status: int, trouble: Trouble) -> JSONResponse:
    return JSONResponse(trouble.model_dump(), status_code=status)
