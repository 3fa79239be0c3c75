"""The jobs: the journal's rows in, a page of the list or one job whole out, as status/jobshapes.py says.

`read_list` and `read_job` block and belong into a thread, such as

    await storage.call(from_journal, path, lambda reader: read_job(reader, 7, inboxes=live.inboxes))

They raise sqlite3.Error where the journal cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from watcherd.control import InboxLive
from watcherd.escaping import escaped, plain
from watcherd.job import FINAL, Job, State
from watcherd.journal.reader import Reader, Seen, Wanted, reading
from watcherd.status import history
from watcherd.status.jobshapes import FileDetail, JobDetail, JobList
from watcherd.status.mediatypes import type_of
from watcherd.status.snapshot import job_status, moment

T = TypeVar("T")
OTHERS = 20


def from_journal(journal: Path, read: Callable[[Reader], T]) -> T:
    """Read something from the journal; blocks."""
    with reading(journal) as reader:
        return read(reader)


def place_of(seen: Seen) -> str:
    """A job's place in the list, as `before` takes it."""
    return f"{seen.changed_at!r}-{seen.job.id}"


def place_from(text: str) -> tuple[float, int]:
    """Time of the last move and number of a job, from its place in the list; raises ValueError."""
    at, _, number = text.partition("-")
    return float(at), int(number)


def read_list(reader: Reader, wanted: Wanted, limit: int) -> JobList:
    """Up to `limit` of the wanted jobs, with the place of the last one where more may follow."""
    found = reader.listed(wanted, limit + 1)
    shown = found[:limit]
    progress = reader.progress([seen.job.id for seen in shown if seen.job.state not in FINAL])
    return JobList(
        jobs=[job_status(seen, progress.get(seen.job.id)) for seen in shown],
        next=place_of(shown[-1]) if len(found) > limit else None,
    )


def read_job(reader: Reader, number: int, *, inboxes: Sequence[InboxLive]) -> JobDetail | None:
    """One job whole; None where there is none of that number (any more)."""
    seen = reader.seen(number)
    if seen is None:
        return None
    job = seen.job
    requests, parts = reader.requests(number), reader.slices(number)
    seconds = reader.duration(number)
    progress = None if job.state in FINAL else reader.progress([number]).get(number)
    known = history.Known(seen=seen, requests=requests, parts=parts, notices=reader.notices(number))
    inbox = next((one for one in inboxes if one.name == job.inbox), None)
    wanted = reader.history(job.inbox, job.path)[::-1]
    whole = progress is not None and progress.whole
    return JobDetail(
        **dict(job_status(seen, progress)),
        size=job.identity.size,
        settled_at=moment(job.settled_at),
        audio_seconds=seconds,
        seconds_left=history.seconds_left(known) if whole else None,
        history=history.steps(known),
        each_part=history.part_details(known),
        explained=[history.explained(plain(warning)) for warning in job.warnings],
        files=[] if inbox is None else files_of(job),
        problem=None if job.fault is None or job.state is State.DONE else history.problem_of(job.fault),
        retry_as=None if inbox is None or job.state is not State.FAILED else uri_of(inbox.path, job.path),
        others=[job_status(other, None) for other in wanted if other.job.id != number][:OTHERS],
    )


def files_of(job: Job) -> list[FileDetail]:
    """What a finished job left behind: the original, then sidecars, or the report of its failure."""
    plan = job.plan
    if plan is None or job.state not in {State.DONE, State.FAILED}:
        return []
    named = [(plan.original, ""), *((sidecar.name, sidecar.format) for sidecar in plan.sidecars)]
    return [
        FileDetail(
            name=escaped(name),
            kind="report" if form == "report" else "sidecar" if form else "original",
            format=form,
            type=type_of(name, form),
            url=f"/api/v1/jobs/{job.id}/files/{quote(name, safe='')}",
        )
        for name, form in named
    ]


def uri_of(folder: bytes, path: bytes) -> str:
    """A file below a folder as a URI, which carries every name."""
    return "file://" + quote(folder.rstrip(b"/") + b"/" + path)
