"""The shapes of jobs: a page of the list, and one job whole, as the API and the page show them. Plain values.

`GET /api/v1/jobs` is a JobList, `GET /api/v1/jobs/{id}` a JobDetail; both are made by status/jobs.py, whose
`read_list` and `read_job` the HTML page calls as well. Texts are free of control characters, not of `<`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from watcherd.status.shapes import JobStatus, Shape, Trouble

Outcome = Literal["ok", "under way", "cut off", "failed"]


class JobList(Shape):
    """Some jobs, the one that moved last first."""

    jobs: list[JobStatus]
    next: str | None = None
    """What to write as `before` for the jobs after these; null where there are none."""


class Problem(Trouble):
    """What ended a request, or the whole job, and what the endpoint said."""

    scope: Literal["file", "endpoint", "inbox", "machine"]
    """What it costs: this file, everything sent to the endpoint, everything in the inbox, or everything."""
    status: int | None = None
    """The endpoint's HTTP status."""
    said: str = ""
    """What the endpoint answered, shortened."""
    request_id: str | None = None
    """The endpoint's name of the request, for its support."""


class Step(Shape):
    """One step of a job's history."""

    what: Literal[
        "settled", "request", "reused", "waited", "planned", "queued", "preparing", "translating",
        "delivering", "waiting", "done", "failed", "skipped", "notice",
    ]  # fmt: skip
    """`waited` is over; `notice` is a hook or a webhook; the last of the others is its state."""
    at: datetime | None = None
    """When it began, or happened."""
    ended_at: datetime | None = None
    """When it ended, or will be over; null where that is unknown, or it took no time."""
    text: str
    """The step in words."""
    outcome: Outcome = "ok"
    endpoint: str | None = None
    part: int | None = None
    """Which part was asked for; 0 where the whole file was sent."""
    audio_seconds: float | None = None
    bytes: int | None = None
    """Size of the upload."""
    problem: Problem | None = None
    output: str = ""
    """What a hook printed last, or a webhook's receiver answered."""


class PartDetail(Shape):
    """One part of a job's audio."""

    number: int
    start: float
    """Where it begins, in seconds."""
    end: float | None
    """Where it ends; null where that is the end of the file."""
    state: Literal["waiting", "asked", "answered", "silent"]
    """`asked`: a request is under way; `silent`: nothing is heard in it, so nobody is asked."""


class Warned(Shape):
    """A warning, and what it means."""

    code: str
    """As in `warnings`."""
    text: str


class FileDetail(Shape):
    """One file that the job left behind. It may have been moved or removed since."""

    name: str
    kind: Literal["original", "sidecar", "report"]
    format: str
    """srt, vtt, txt, …; `report` for a failure report; empty for the original."""
    type: str
    """Media type: audio/… or video/… for an original that may be played."""
    url: str
    """Where to get it; with `?download` as a download."""


class JobDetail(JobStatus):
    """One job whole. `explained` has a sentence for each of `warnings`."""

    size: int
    """Of the original, in bytes."""
    settled_at: datetime
    """When it had finished arriving."""
    audio_seconds: float | None = None
    """How long it is, where that is known by now."""
    seconds_left: float | None = None
    """How long the rest of its parts will take, by the pace of those answered; null where nobody can tell."""
    history: list[Step]
    each_part: list[PartDetail]
    """Empty before the first part is cut."""
    explained: list[Warned]
    files: list[FileDetail]
    """The original first; empty until the job is done or failed."""
    problem: Problem | None = None
    """Why it waits or failed, whole; `fault` is the same in short. The failure report says it, too."""
    retry_as: str | None = None
    """What to name in `POST /api/v1/retry`; null where there is nothing to be retried."""
    others: list[JobStatus]
    """Other jobs of the same path, newest first: a file that was retried, or came again."""
