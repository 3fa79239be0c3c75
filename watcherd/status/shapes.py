r"""The shapes: what the API and `status --json` speak, every field with its meaning. Plain values.

Times are UTC, ISO 8601. Control characters and bytes that are no UTF-8 in file names are shown as \xNN.
"""

from __future__ import annotations

import ast
import inspect
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_URI = "file://"


def path_of(file: str) -> bytes:
    """The path that a request names, as text or as a file: URI; raises ValueError for any other text."""
    path = unquote_to_bytes(file.removeprefix(_URI)) if file.startswith(_URI) else file.encode()
    if not path.startswith(b"/") or b"\0" in path:
        raise ValueError("write an absolute path or a file: URI")
    return path


def _checked(file: str) -> str:
    path_of(file)
    return file


def _said(text: str) -> str:
    text.encode()  # half a character, which JSON can name, is a ValueError
    return text


FilePath = Annotated[
    str, AfterValidator(_checked), Field(json_schema_extra={"pattern": r"^(/|file:///)[^\u0000]*$"})
]
Text = Annotated[str, AfterValidator(_said)]
Counts = dict[str, int]


def _explain(schema: dict[str, Any], shape: type[BaseModel]) -> None:
    """Give each field of a JSON schema the text that stands under it in the shape, or in one that it extends.

    Pydantic can do that itself, but at each start: it took more time than all else in this module.
    """
    for kind in (one for one in reversed(shape.__mro__) if issubclass(one, Shape)):
        (definition,) = ast.parse(inspect.getsource(kind)).body
        for field, text in pairwise(definition.body) if isinstance(definition, ast.ClassDef) else ():
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                    schema["properties"][name]["description"] = inspect.cleandoc(said)


class Shape(BaseModel):
    """A JSON object."""

    model_config = ConfigDict(frozen=True, json_schema_extra=_explain)


class Trouble(Shape):
    """What went wrong: `code` for programs, `message` and `hint` for people."""

    code: str
    message: str
    hint: str


class Rejected(Shape):
    """A reload that changed nothing, since the configuration file was wrong."""

    at: datetime
    problems: list[str]


class DaemonStatus(Shape):
    """The daemon itself."""

    state: Literal["running", "starting", "stopping", "not running", "not answering"]
    pid: int | None = None
    started_at: datetime | None = None
    control: str | None = None
    """Path of the control socket."""
    page: str | None = None
    """Address of the status page."""
    page_problem: str = ""
    """Why the page is not served, though it should be."""
    rejected: Rejected | None = None
    """The last reload, if it was rejected: the older configuration is in force."""


class InboxStatus(Shape):
    """One inbox."""

    name: str
    path: str
    endpoint: str
    state: str
    """watching, starting, missing, unreadable, busy, troubled, storage not answering, paused by hand; without
    a daemon: not watched."""
    since: datetime | None = None
    """When it was paused by hand."""
    text: str = ""
    """What is wrong, in one sentence."""
    hint: str = ""
    """What to do about it."""
    arriving: int = 0
    """Files that have not finished arriving."""
    jobs: Counts = {}
    """How many jobs stand in each state."""
    scanned_at: datetime | None = None
    """The end of the last look through the whole inbox."""


class EndpointStatus(Shape):
    """One endpoint."""

    name: str
    base_url: str
    model: str
    state: Literal["open", "paused", "probing", "paused by hand"]
    """`probing`: a pause is over, and one request finds out whether the endpoint works again."""
    reason: Trouble | None = None
    """Why it is paused; null when that is somebody's wish."""
    since: datetime | None = None
    until: datetime | None = None
    """When it is tried again by itself; null while it is open or paused by hand."""
    in_flight: int
    """Requests under way."""
    concurrency: int
    """Requests that may be under way now; fewer than `slots` after "too many requests"."""
    slots: int
    minutes_today: float
    """Minutes of audio sent on this calendar day, local time."""
    minutes_per_day: float | None = None
    """The budget."""


class PartsStatus(Shape):
    """How far a file has come. It is one part, or several where it is long; silent ones need no request."""

    answered: int
    """Parts that need nothing more."""
    known: int
    """Parts so far."""
    all_known: bool
    """Whether there are no others: a file's audio is cut while the first parts are asked for."""


class JobStatus(Shape):
    """One file's job."""

    job: int
    inbox: str
    file: str
    """Its path in the inbox."""
    state: str
    """queued, preparing, translating, delivering, waiting, done, failed, skipped."""
    reason: str | None = None
    """Why it waits."""
    until: datetime | None = None
    """When it is tried again."""
    changed_at: datetime
    attempts: int
    """Requests charged to the file."""
    parts: PartsStatus | None = None
    """How far it has come; null before the first part is cut, and once it is done or failed."""
    fault: Trouble | None = None
    warnings: list[str] = []


class Status(Shape):
    """What the daemon is doing. The lists of jobs are cut to the first 100; `inboxes` has whole counts."""

    version: str
    at: datetime
    daemon: DaemonStatus
    inboxes: list[InboxStatus]
    endpoints: list[EndpointStatus]
    in_flight: list[JobStatus]
    waiting: list[JobStatus]
    """The first one due first."""
    recent: list[JobStatus]
    """The last done and failed, newest first."""
    not_configured: dict[str, Counts] = {}
    """Jobs of inboxes that the configuration does not name any more."""


class RetryRequest(Shape):
    """Which failed files go round again: `files`, or all of them when it is null."""

    files: Annotated[list[FilePath], Field(max_length=10_000)] | None
    """Absolute paths of failed files, of their reports, or as they were in the inbox; a name that is no UTF-8
    as a file: URI."""
    fresh: Annotated[bool, Field(strict=True)] = False
    """Forget what was answered for them, so that they are sent (and paid for) again."""


class RetryResult(Shape):
    """What became of one file."""

    file: str
    inbox: str | None = None
    back_as: str | None = None
    """Its path in the inbox; null where it was not moved."""
    text: str = ""
    """Why it was not moved."""


class RetryAnswer(Shape):
    """What became of each file."""

    results: list[RetryResult]


class NameRequest(Shape):
    """An endpoint or an inbox by its name; `endpoint:NAME` or `inbox:NAME` where both have one."""

    name: Text


class NameAnswer(Shape):
    """What was paused or resumed."""

    kind: Literal["endpoint", "inbox"]
    name: str


class ReloadAnswer(Shape):
    """Whether the configuration file was applied; with problems nothing was changed."""

    applied: bool
    problems: list[str]
