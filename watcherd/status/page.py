"""The page: Control and the journal in, HTML for people out. The router of everything that is no API.

Every page works without a script: forms are posted, and lead back to a page that says what became of it.
Where they come from, and whether they may, is the guard's to see.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from fastapi.routing import APIRoute

from watcherd.clock import Clock
from watcherd.control import Control, Live, RefusedError, Retried, Target
from watcherd.escaping import plain
from watcherd.faults import FaultError
from watcherd.inbox.storage import Storage
from watcherd.job import FINAL, Job, State
from watcherd.journal.reader import Reader, Wanted
from watcherd.status import drawing
from watcherd.status.drawing import Message
from watcherd.status.jobs import from_journal, place_from, read_job, read_list
from watcherd.status.jobshapes import FileDetail, JobDetail
from watcherd.status.overview import picture_of, read_view, sections_of
from watcherd.status.shapes import path_of
from watcherd.status.snapshot import shown
from watcherd.status.stream import Camera, Picture, events
from watcherd.subtitles.formats import read_srt, write_vtt

T = TypeVar("T")
ROWS = 50  # jobs on a page of the list
_LASTING = "public, max-age=31536000, immutable"
_LARGEST_SRT = 16 << 20  # bytes; a hundred hours
_USUAL = (State.DONE, State.FAILED)
_Answer = Callable[[Request], Coroutine[Any, Any, Response]]


def router(control: Control, *, journal: Path, storage: Storage, clock: Clock) -> APIRouter:
    """Make the routes; `storage` are the threads in which the journal is read."""
    pages = _Pages(control, journal=journal, storage=storage, clock=clock)
    routes = APIRouter(include_in_schema=False, route_class=_Route)
    for path, page in (
        ("/", pages.overview),
        ("/jobs", pages.jobs),
        ("/jobs/{number}", pages.job),
        ("/jobs/{number}/subtitles.vtt", pages.subtitles),
        ("/static/{name}", pages.static),
        ("/api/v1/events", pages.events),
    ):
        routes.add_api_route(path, page, methods=["GET"], response_model=None)
    for path, wish in (
        ("/pause", pages.pause),
        ("/resume", pages.resume),
        ("/retry", pages.retry_all),
        ("/jobs/{number}/retry", pages.retry),
    ):
        routes.add_api_route(path, wish, methods=["POST"], response_model=None)
    return routes


class _Pages:
    """What each address shows or does."""

    def __init__(self, control: Control, *, journal: Path, storage: Storage, clock: Clock) -> None:
        self._control = control
        self._journal = journal
        self._storage = storage
        self._clock = clock
        self._camera = Camera(self._picture)

    # To be seen.

    async def overview(self, request: Request) -> Response:
        """Everything at a glance."""
        live, now = self._control.live(), self._clock.now()
        drawn = await self._read(lambda reader: sections_of(read_view(reader, live, now)))
        return _page(request, live, "overview.html", here="overview", follows=True, drawn=drawn)

    async def jobs(self, request: Request) -> Response:
        """The list: newest first, by a part of the path, by state, by inbox."""
        asked = {name: request.query_params.get(name, "") for name in ("q", "state", "inbox", "before")}
        wanted, live = _wanted(asked), self._control.live()
        found, counts = await self._read(lambda reader: (read_list(reader, wanted, ROWS), reader.counts()))
        failed = sum(states.get(State.FAILED, 0) for states in counts.values())
        kept = {name: value for name, value in asked.items() if value and name != "before"}
        return _page(
            request,
            live,
            "jobs.html",
            here="jobs",
            asked=asked,
            found=found,
            inboxes=sorted({*map(plain, counts), *(plain(inbox.name) for inbox in live.inboxes)}),
            failed=failed if asked["state"] == State.FAILED else 0,
            newest=f"/jobs?{urlencode(kept)}",
            older=f"/jobs?{urlencode(kept | {'before': found.next or ''})}",
        )

    async def job(self, number: str, request: Request) -> Response:
        """One job: how it stands, its history, its subtitles."""
        live, job = self._control.live(), await self._job(number)
        return _page(
            request,
            live,
            "job.html",
            follows=job.state not in FINAL,
            job=job,
            mark=drawing.mark(job),
            left=drawing.Left({} if job.seconds_left is None else {job.job: job.seconds_left}),
            media=_playable(job),
            subtitles=_subtitles(job),
        )

    async def subtitles(self, number: str) -> Response:
        """What a player shows, made of the srt where no vtt was written."""
        job = await self._recorded(number)
        sidecars = () if job is None or job.plan is None else job.plan.sidecars
        name = next((sidecar.name for sidecar in sidecars if sidecar.format == "srt"), None)
        if job is None or name is None:
            raise _no_subtitles()
        piece = await self._control.piece(job, name, offset=0, size=_LARGEST_SRT)
        if piece is None:
            raise _no_subtitles()
        vtt = await self._storage.call(_converted, piece.content)
        return Response(vtt, media_type="text/vtt")

    async def static(self, name: str) -> Response:
        """What pages load; its address says which version it is."""
        found = drawing.STATIC.get(name)
        if found is None:
            raise _NotDoneError(404, "Not found", Message("There is no such file."))
        return Response(found.content, media_type=found.media_type, headers={"cache-control": _LASTING})

    async def events(self) -> Response:
        """What has changed, as soon as it has."""
        return StreamingResponse(events(self._camera), media_type="text/event-stream")

    # To be done.

    async def pause(self, request: Request) -> Response:
        """Pause an endpoint or an inbox."""
        return await _steered(request, self._control.pause, did="paused")

    async def resume(self, request: Request) -> Response:
        """Resume an endpoint or an inbox."""
        return await _steered(request, self._control.resume, did="resumed")

    async def retry_all(self) -> Response:
        """Move all failed files back."""
        return await self._again(None, fresh=False, back="/jobs?state=failed")

    async def retry(self, number: str, request: Request) -> Response:
        """Move a job's failed file back."""
        fields, job = await _fields(request), await self._job(number)
        back = f"/jobs/{job.job}"
        if job.retry_as is None:
            said = Message(f"Only failed files are retried; this one is {job.state}.")
            raise _NotDoneError(409, "Not retried", said, back=back)
        return await self._again([path_of(job.retry_as)], fresh="fresh" in fields, back=back)

    async def _again(self, files: list[bytes] | None, *, fresh: bool, back: str) -> Response:
        results = await self._control.retry(files, fresh=fresh)
        left = [_reason(result) for result in results if result.back_as is None]
        moved = len(results) - len(left)
        if left:
            said = f"{drawing.files(len(left))} could not go back; {moved} did." if moved else "Not retried."
            raise _NotDoneError(409, "Not retried", Message(said, lines=tuple(left)), back=back)
        return _lead(back, did="retried", count=str(moved))

    # What the journal says.

    async def _read(self, read: Callable[[Reader], T]) -> T:
        return await self._storage.call(from_journal, self._journal, read)

    async def _job(self, number: str) -> JobDetail:
        """The job of a number; raises _NotDoneError where there is none."""
        job = None
        if _is_number(number):
            inboxes = self._control.live().inboxes
            job = await self._read(lambda reader: read_job(reader, int(number), inboxes=inboxes))
        if job is None:
            said = Message("There is no such job.", "What ended long ago is forgotten (keep.jobs).")
            raise _NotDoneError(404, "No such job", said, back="/jobs")
        return job

    async def _recorded(self, number: str) -> Job | None:
        return await self._read(lambda reader: reader.job(int(number))) if _is_number(number) else None

    async def _picture(self) -> Picture:
        live, now = self._control.live(), self._clock.now()
        return await self._read(lambda reader: picture_of(read_view(reader, live, now)))


class _NotDoneError(Exception):
    """What was asked for cannot be shown or done."""

    def __init__(self, status: int, title: str, message: Message, *, back: str = "/") -> None:
        super().__init__(message.text)
        self.status = status
        self.title = title
        self.message = message
        self.back = back


class _Route(APIRoute):
    """A page's route: what goes wrong is said to a person, in HTML."""

    def get_route_handler(self) -> _Answer:
        """Answer a request, whatever comes of it."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except (_NotDoneError, RefusedError, FaultError, sqlite3.Error) as error:
                return _wrong(request, _explained(error))

        return answer


def _explained(error: Exception) -> _NotDoneError:
    match error:
        case _NotDoneError():
            return error
        case RefusedError():
            status = 409 if error.code == "ambiguous_name" else 404
            return _NotDoneError(status, "Not done", Message(plain(error.message), plain(error.hint)))
        case FaultError():
            message = Message(plain(error.fault.message), plain(error.fault.hint))
            return _NotDoneError(503, "Not done", message)
        case _:
            hint = "Look at the disk and at the rights of the state folder."
            return _NotDoneError(503, "Not shown", Message(f"The journal cannot be read: {error}", hint))


def _wrong(request: Request, error: _NotDoneError) -> Response:
    message = Message(error.message.text, error.message.hint, good=False, lines=error.message.lines)
    html = drawing.draw(
        "wrong.html", title=error.title, back=error.back, message=message, session=_has_session(request)
    )
    return HTMLResponse(html, status_code=error.status)


def _page(request: Request, live: Live, template: str, **values: object) -> Response:
    given = {"message": _said(request.query_params, live), "session": _has_session(request)}
    return HTMLResponse(drawing.draw(template, **given, **values))


def _has_session(request: Request) -> bool:
    """Whether somebody logged in, and may log out."""
    return bool(getattr(request.state, "session", False))


# Forms, and what became of them.


async def _fields(request: Request) -> dict[str, str]:
    try:
        return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=10))
    except ValueError:
        raise _NotDoneError(400, "Not done", Message("The form was not understood.")) from None


async def _steered(request: Request, wish: Callable[[str], Awaitable[Target]], *, did: str) -> Response:
    target = await wish((await _fields(request)).get("name", ""))
    return _lead("/", did=did, what=f"{target.kind}:{target.name}")


def _lead(to: str, **said: str) -> Response:
    """Lead to a page that says what was done; loading it again does nothing again."""
    joint = "&" if "?" in to else "?"
    return RedirectResponse(f"{to}{joint}{urlencode(said)}", status_code=303)


def _said(query: Mapping[str, str], live: Live) -> Message | None:
    """What was done, by an address: anybody can write one, so only what can be true is said."""
    kind, _, name = query.get("what", "").partition(":")
    endpoints, inboxes = [one.name for one in live.endpoints], [one.name for one in live.inboxes]
    is_known = name in {"endpoint": endpoints, "inbox": inboxes}.get(kind, [])
    match query.get("did"):
        case "paused" if is_known:
            return Message(
                f"The {kind} {plain(name)} is paused until you resume it; a restart does not end it."
            )
        case "resumed" if is_known:
            return Message(f"The {kind} {plain(name)} goes on.")
        case "retried" if query.get("count", "").isdecimal() and len(query["count"]) < 8:
            count = int(query["count"])
            go = "goes" if count == 1 else "go"
            return Message(f"{drawing.files(count)} {go} round again, as new jobs.")
        case _:
            return None


def _reason(result: Retried) -> tuple[str, str]:
    answer = shown(result)
    return answer.file, answer.text


# A list, a job.


def _wanted(asked: Mapping[str, str]) -> Wanted:
    """Which jobs an address asks for; raises _NotDoneError."""
    state = asked["state"]
    try:
        return Wanted(
            states=_USUAL if not state else () if state == "all" else (State(state),),
            inbox=asked["inbox"] or None,
            text=asked["q"],
            before=place_from(asked["before"]) if asked["before"] else None,
        )
    except ValueError:
        raise _NotDoneError(400, "No such list", Message("There is no such list."), back="/jobs") from None


def _is_number(text: str) -> bool:
    """Whether it can be a job's: so many digits SQLite's numbers surely hold."""
    return text.isdecimal() and len(text) <= 18


def _converted(srt: bytes) -> str:
    return write_vtt(read_srt(srt.decode("utf-8", "replace")))


def _no_subtitles() -> _NotDoneError:
    return _NotDoneError(404, "Not found", Message("There are no such subtitles, or not any more."))


def _playable(job: JobDetail) -> FileDetail | None:
    """The original, where a browser may play it."""
    return next((file for file in job.files if file.type.startswith(("audio/", "video/"))), None)


def _subtitles(job: JobDetail) -> str | None:
    """Where a player finds the subtitles."""
    by_format = {file.format: file.url for file in job.files}
    made = f"/jobs/{job.job}/subtitles.vtt" if "srt" in by_format else None
    return by_format.get("vtt", made)
