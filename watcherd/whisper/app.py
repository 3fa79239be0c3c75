"""App: the HTTP contract over an engine. A multipart request in; json, text, srt, verbose_json or vtt out.

POST /v1/audio/translations and GET /v1/models, with the API's fields, formats and errors, so that any
client of the API works. Files are translated one at a time, in order; a client that hangs up ends its work.
In the child only.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any, assert_never

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from watcherd.subtitles.formats import write_srt, write_vtt
from watcherd.transcript import Cue
from watcherd.whisper.audio import UndecodableError
from watcherd.whisper.engine import AbandonedError, Translation, Translator

CLIENT_GONE = 499  # nginx's code; nobody reads it


class Format(StrEnum):
    """The API's response formats."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VERBOSE_JSON = "verbose_json"
    VTT = "vtt"


def application(engine: Translator, *, models: Sequence[str]) -> FastAPI:
    """Make the application. `models` are the names to list; a request may name any other."""
    app = FastAPI(openapi_url=None)
    turn = asyncio.Lock()

    @app.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "watcherd"} for name in models]
        return {"object": "list", "data": listed}

    @app.post("/v1/audio/translations")
    async def translate(
        request: Request,
        file: Annotated[UploadFile, File()],
        model: Annotated[str, Form(min_length=1)],  # noqa: ARG001 - required by the API, and any will do
        prompt: Annotated[str, Form()] = "",
        response_format: Annotated[Format, Form()] = Format.JSON,
        temperature: Annotated[float, Form(ge=0, le=1)] = 0,
    ) -> Response:
        abandoned = threading.Event()

        async def work() -> Translation:
            async with turn:
                return await asyncio.to_thread(
                    engine.translate,
                    file.file,
                    prompt=prompt,
                    temperature=temperature,
                    abandoned=abandoned.is_set,
                )

        async with _listening_for_hang_up(request, abandoned):
            return _answer(await work(), response_format)

    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UndecodableError, _undecodable)
    app.add_exception_handler(AbandonedError, _gone)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)
    return app


@asynccontextmanager
async def _listening_for_hang_up(request: Request, abandoned: threading.Event) -> AsyncIterator[None]:
    """Set `abandoned` when the client goes away; the request's body has been read, so nothing else comes."""

    async def listen() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        abandoned.set()

    listening = asyncio.create_task(listen())
    try:
        yield
    finally:
        listening.cancel()


def _answer(translation: Translation, form: Format) -> Response:
    match form:
        case Format.JSON:
            return JSONResponse({"text": translation.text})
        case Format.TEXT:
            return PlainTextResponse(f"{translation.text}\n")
        case Format.SRT:
            return PlainTextResponse(write_srt(_cues(translation)))
        case Format.VTT:
            return PlainTextResponse(write_vtt(_cues(translation)))
        case Format.VERBOSE_JSON:
            return JSONResponse(_verbose(translation))
        case _ as unreachable:
            assert_never(unreachable)


def _verbose(translation: Translation) -> dict[str, Any]:
    """Shape the verbose answer. `language` is the text's, always English, as the API has it."""
    return {
        "task": "translate",
        "language": "english",
        "detected_language": translation.spoken,
        "duration": round(translation.duration, 3),
        "text": translation.text,
        "segments": [asdict(segment) for segment in translation.segments],
    }


def _cues(translation: Translation) -> list[Cue]:
    return [Cue(segment.start, segment.end, segment.text.strip()) for segment in translation.segments]


def _error(
    status: int, message: str, *, kind: str = "invalid_request_error", param: str | None = None
) -> JSONResponse:
    return JSONResponse(
        {"error": {"message": message, "type": kind, "param": param, "code": None}}, status_code=status
    )


async def _invalid(_request: Request, error: Exception) -> Response:
    """Answer a form with missing or wrong fields as the API does: FastAPI itself would say 422."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return _error(400, f"Invalid value for '{name}': {first['msg']}.", param=name)


async def _undecodable(_request: Request, error: Exception) -> Response:
    return _error(400, f"The audio file could not be decoded: {error}.", param="file")


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


async def _refused(request: Request, error: Exception) -> Response:
    """Answer what no route takes, and a body that is no form."""
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path}"
    message = {404: f"Invalid URL ({where})", 405: f"Not allowed ({where})"}.get(
        error.status_code, str(error.detail)
    )
    return _error(error.status_code, message)


async def _failed(_request: Request, error: Exception) -> Response:
    """Answer anything unforeseen; the traceback goes to the child's last words."""
    return _error(500, f"The embedded Whisper failed: {type(error).__name__}.", kind="server_error")
