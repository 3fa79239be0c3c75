"""Files of jobs: a request for one in, the file or a range of it out. ASGI; Starlette.

A job's files are those of its plan, reached as the delivery reaches them and read piece by piece: between two
pieces nothing is open, so a client that takes its time, or leaves, holds up nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from urllib.parse import quote, unquote_to_bytes

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from watcherd.delivery.pieces import Piece
from watcherd.faults import FaultError
from watcherd.job import Job
from watcherd.status.mediatypes import type_of
from watcherd.status.ranges import Span, UnsatisfiableError, date_of, is_known, still_holds, tag_of, wanted

log = structlog.get_logger()

BLOCK = 256 * 1024
Read = Callable[[int, int], Awaitable[Piece | None]]
"""Reads so many bytes from an offset."""


def name_of(request: Request) -> bytes:
    """The last part of the path that was asked for, byte for byte."""
    raw: bytes = request.scope["raw_path"]
    return unquote_to_bytes(raw.rpartition(b"/")[2])


def format_of(job: Job, name: bytes) -> str | None:
    """The format of one of a job's files, empty for the original; None for the name of anything else."""
    if job.plan is None:
        return None
    formats = {sidecar.name: sidecar.format for sidecar in job.plan.sidecars} | {job.plan.original: ""}
    return formats.get(name)


def answer(request: Request, first: Piece, read: Read, *, name: bytes, form: str, download: bool) -> Response:
    """The whole file, the range that was asked for, or that the client has it already."""
    tag = tag_of(first)
    headers = {
        "etag": tag,
        "last-modified": date_of(first),
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "x-content-type-options": "nosniff",
        "content-disposition": _disposition(name, download=download),
    }
    asked = request.headers
    if is_known(asked.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    span, status = Span(0, first.size), 200
    if "range" in asked and still_holds(asked.get("if-range", ""), first):
        try:
            part = wanted(asked["range"], first.size)
        except UnsatisfiableError:
            return Response(status_code=416, headers=headers | {"content-range": f"bytes */{first.size}"})
        if part is not None:
            span, status = part, 206
            headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{first.size}"
    headers |= {"content-length": str(span.end - span.start), "content-type": type_of(name, form)}
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return _Pieces(first, span, read, status=status, headers=headers)


class _Pieces(StreamingResponse):
    """A span of a file. Where the rest of it cannot be had, the connection ends before the answer does."""

    def __init__(
        self, first: Piece, span: Span, read: Read, *, status: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(self._pieces(), status_code=status, headers=headers)
        self._first = first
        self._span = span
        self._read = read
        self._whole = False

    async def stream_response(self, send: Send) -> None:
        """Send it, and its end if that was reached."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for content in self._pieces():
            await send({"type": "http.response.body", "body": content, "more_body": True})
        if self._whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pieces(self) -> AsyncIterator[bytes]:
        at, end = self._span.start, self._span.end
        while at < end:
            try:
                piece = await self._read(at, min(BLOCK, end - at))
            except FaultError as error:
                log.warning("download.cut_off", fault=error.fault.code, message=error.fault.message)
                return
            if piece is None or not piece.content or _key(piece) != _key(self._first):
                return
            yield piece.content
            at += len(piece.content)
        self._whole = True


def _key(piece: Piece) -> tuple[object, ...]:
    return piece.inode, piece.size, piece.mtime_ns


def _disposition(name: bytes, *, download: bool) -> str:
    """How a browser is to take it; bytes that are no UTF-8 get a sign in their place."""
    shown = quote(name.decode("utf-8", "replace"), safe="")
    return f"{'attachment' if download else 'inline'}; filename*=UTF-8''{shown}"
