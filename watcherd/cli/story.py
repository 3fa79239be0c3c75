"""The story of a file: the rules it met, what the journal knows of it, and what comes next, as lines. Pure.

Times are UTC seconds in and local time out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from watcherd.cli.checks import Check
from watcherd.cli.outlook import Verdict
from watcherd.config.model import Folder
from watcherd.escaping import escaped
from watcherd.faults import Fault
from watcherd.job import ACTIVE, FINAL, Job, Outcome, State
from watcherd.journal.ledger import StoredPause
from watcherd.journal.reader import Asked, Seen

# What to do about a rule that a file fails; what it found is said before.
_ADVICE = {
    "inbox": "Look at the disk, the mount or the rights of the inbox.",
    "own folder": "Move it into the inbox itself to have it translated.",
    "recursive": "Move it into the inbox itself, or set recursive: true.",
    "folder": "Move it out of that folder to have it translated.",
    "own file": "watcherd finishes it, or removes it, by itself.",
    "hidden": "Rename it when it is complete: a name that begins with a point is left alone.",
    "include": "Add a pattern for it to include, or rename it.",
    "extension": "Rename it, or name its extension in a pattern of include, if it is audio or video.",
    "exclude": "Change exclude, or rename it, to have it translated.",
    "finished": "Rename it when it is complete.",
    "existing": "Delete one of its sidecars to have it translated.",
    "download": "It is, when the download has ended; if that was given up, remove what it left.",
    "marker": "Remove .watcherdignore to have it translated.",
    "plain file": "Put the file itself into the inbox.",
    "writer": "It is, when that program has closed it.",
    "readable": "Give the user that watcherd runs as the right to read it.",
    "empty": "Copy it again, or remove it.",
    "quiet": "It is, when it has been left unchanged for that long.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One job of the file, with its requests, and where its parts begin and end by their numbers."""

    seen: Seen
    requests: Sequence[Asked]
    parts: Mapping[int, tuple[float, float]]

    @property
    def job(self) -> Job:
        """The job itself."""
        return self.seen.job


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that is known of a file, which need not exist any more.

    `path` is its own in the inbox, `there` says whether a file stands there; `checks` are the rules for it,
    none where a delivered file was asked for. `chapters` are its jobs, the oldest first, `about` is the one
    whose files were asked for, else the newest. `pauses` are those of its inbox and its endpoint.
    """

    folder: Folder
    path: bytes
    there: bool
    checks: Sequence[Check]
    chapters: Sequence[Chapter]
    about: Chapter | None
    pauses: Sequence[StoredPause]
    running: bool


def tell(story: Story) -> Iterator[str]:
    """The whole story."""
    folder = story.folder
    yield f"{escaped(story.path)} in inbox {folder.name} ({_shown(folder.inbox)}, endpoint {folder.endpoint})"
    if story.checks:
        yield from ("", "rules")
        yield from _rules(story)
    for chapter in story.chapters:
        yield ""
        yield from _chapter(chapter, folder)
    if not story.chapters:
        yield from ("", "The journal knows of no job for it.")
    yield from ("", " ".join(_conclusion(story)))


def _rules(story: Story) -> Iterator[str]:
    for check in story.checks:
        if check.verdict is None:
            yield f"  {'ok':<10}  {check.rule}"
        else:
            verdict = check.verdict if story.there else "gone"
            yield f"  {verdict:<10}  {check.rule}"
            yield f"  {'':<10}  -> {check.found}"


# What happened.


def _chapter(chapter: Chapter, folder: Folder) -> Iterator[str]:
    job = chapter.job
    yield f"job {job.id}: {escaped(job.path)}, {job.identity.size:,} bytes"
    yield _event(job.settled_at, "settled: it had finished arriving")
    for request in chapter.requests:
        yield _event(request.sent_at, f"request to {request.endpoint}: {_request(request, chapter.parts)}")
        if request.fault is not None:
            yield from _explained(request.fault)
    if not chapter.requests and job.state is State.DONE:
        yield _event(None, "no request: answered before, for the same content")
    yield from _end(chapter, folder)


def _request(request: Asked, parts: Mapping[int, tuple[float, float]]) -> str:
    start, end = parts.get(request.part, (0.0, math.inf))
    what = "the whole file" if request.part == 0 else f"part {request.part}"
    if not math.isinf(end):
        what += f" ({_clock(start)} to {_clock(end)})"
    length = "" if request.seconds is None else f", {request.seconds:.1f} s of audio"
    return f"{what}{length}, {request.size:,} bytes: {_outcome(request)}"


def _outcome(request: Asked) -> str:
    after = "" if request.ended_at is None else f" after {request.ended_at - request.sent_at:.1f} s"
    if request.fault is not None:
        return f"no answer{after}"
    return f"answered{after}" if request.ended_at is not None else "not ended, or cut off"


def _end(chapter: Chapter, folder: Folder) -> Iterator[str]:
    job, at = chapter.job, chapter.seen.changed_at
    match job.state:
        case State.DONE | State.FAILED:
            yield _event(at, f"{job.state}: {_delivered(job, folder)}")
        case State.WAITING:
            until = "" if job.until is None else f" until {_time(job.until)}"
            yield _event(at, f"waiting ({job.reason}){until}")
        case State.SKIPPED:
            yield _event(at, "ended: the file went away, changed, or had nothing left to be done")
        case State.QUEUED:
            yield _event(at, "queued")
        case _:
            yield _event(at, f"{job.state} since then")
    if job.fault is not None and job.state is not State.DONE:
        yield from _explained(job.fault)
    if job.warnings:
        yield _event(None, f"warnings: {', '.join(map(_plain, job.warnings))}")


def _delivered(job: Job, folder: Folder) -> str:
    if job.plan is None:
        return "nothing was written"
    sidecars = [escaped(sidecar.name) for sidecar in job.plan.sidecars]
    if job.plan.stays:
        return f"{', '.join(sidecars) or 'nothing'} written" + (
            " beside it" if job.plan.outcome is Outcome.DONE else " into the state folder"
        )
    return f"{', '.join([escaped(job.plan.original), *sidecars])} in {_place(job, folder)}"


def _place(job: Job, folder: Folder) -> str:
    assert job.plan is not None
    target = folder.done if job.plan.outcome is Outcome.DONE else folder.failed
    below = escaped(job.plan.folder)
    return f"{_shown(target)}/{below}" if below else _shown(target)


def _explained(fault: Fault) -> Iterator[str]:
    yield _event(None, f"-> {_plain(fault.message)}")
    said = f" (it said: {_plain(fault.said)})" if fault.said else ""
    if said:
        yield _event(None, f"  {said.strip()}")
    yield _event(None, f"   {_plain(fault.hint)}")


# What comes next.


def _conclusion(story: Story) -> Iterator[str]:
    """One plain sentence or two: how things stand, and what to do."""
    about = story.about
    failed = story.checks[-1] if story.checks and story.checks[-1].verdict is not None else None
    if about is not None and about.job.state not in FINAL:
        yield from _open(story, about.job)
    elif about is not None and about.job.state is not State.SKIPPED and _is_at_rest(story, failed):
        yield from _over(about, story.folder)
    elif not story.there:
        yield "There is no such file: look at the spelling, or put it there."
    elif failed is not None:
        how = "It is left alone" if failed.verdict is Verdict.LEAVE else "It is not taken yet"
        yield from (f"{how}: {failed.found}.", _ADVICE.get(failed.name, ""))
    else:
        yield from _coming(story)


def _is_at_rest(story: Story, failed: Check | None) -> bool:
    """Whether the last job was the last word, and no file has come in its place."""
    return not story.there or (failed is not None and failed.name in {"existing", "kept"})


def _over(chapter: Chapter, folder: Folder) -> Iterator[str]:
    job, at = chapter.job, _time(chapter.seen.changed_at)
    if job.state is State.DONE:
        yield f"Nothing: it was translated on {at}; {_delivered(job, folder)}."
        if job.plan is not None and job.plan.stays:
            yield f"To have subtitles made again, remove them and say: watcherd retry {_path(job, folder)}"
        return
    yield f"It failed on {at}: {_ended(job.fault.message) if job.fault else 'see above.'}"
    if job.fault is not None:
        yield _ended(job.fault.hint)
    yield f"Then say: watcherd retry {_path(job, folder)}"


def _path(job: Job, folder: Folder) -> str:
    return escaped(bytes(folder.inbox) + b"/" + job.path)


def _open(story: Story, job: Job) -> Iterator[str]:
    held = next((pause for pause in story.pauses if pause.by_hand), None)
    if held is not None:
        yield f"It is waiting: {_held(held)}."
    elif job.state is State.WAITING:
        until = "" if job.until is None else f"; tried again at {_time(job.until)}"
        message = "" if job.fault is None else f": {_plain(job.fault.message).rstrip('.')}"
        yield f"It is waiting ({job.reason}){message}{until}."
        if job.fault is not None:
            yield _ended(job.fault.hint)
    elif faulted := next(iter(story.pauses), None):
        yield from _paused(faulted)
    elif job.state in ACTIVE:
        yield f"It is being worked on ({job.state})." if story.running else "It goes on where it was."
    else:
        yield "It is next in line."
    if not story.running:
        yield "watcherd is not running: start it."


def _held(pause: StoredPause) -> str:
    return f"{pause.kind} {pause.name} is paused by hand until: watcherd resume {pause.name}"


def _paused(pause: StoredPause) -> Iterator[str]:
    until = "" if pause.until is None else f"; tried again at {_time(pause.until)}"
    message = "" if pause.fault is None else f": {_plain(pause.fault.message).rstrip('.')}"
    yield f"It is waiting for {pause.kind} {pause.name}{message}{until}."
    if pause.fault is not None:
        yield _ended(pause.fault.hint)


def _coming(story: Story) -> Iterator[str]:
    held = next((pause for pause in story.pauses if pause.by_hand), None)
    if held is not None:
        yield f"It is taken, and then waits: {_held(held)}."
    elif story.running:
        yield "Nothing: it is taken up in a moment."
    else:
        yield "It will be translated: watcherd is not running, and takes it up when it starts."


# Words.


def _event(at: float | None, text: str) -> str:
    return f"  {'' if at is None else _time(at):<19}  {text}"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _plain(text: str) -> str:
    return escaped(text.encode("utf-8", "surrogateescape"))


def _shown(path: Path) -> str:
    return escaped(bytes(path))


def _ended(sentence: str) -> str:
    """A sentence with its first letter large and a full stop."""
    text = _plain(sentence).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
