"""The history of a job: its rows in, steps, parts and the time left out. Pure.

Not all of a job is on record: of its waits there are the present one, and the gaps between its rounds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from watcherd.escaping import escaped, plain
from watcherd.faults import Fault
from watcherd.job import FINAL, State
from watcherd.journal.notices import Ending, Notice
from watcherd.journal.reader import Asked, Seen, Slice
from watcherd.status.jobshapes import Outcome, PartDetail, Problem, Step, Warned
from watcherd.status.snapshot import moment, moment_of

_WARNINGS = {
    "untimed": "The endpoint gave text without times: the times are guesses, by the length of the text.",
    "times_unusable": "The endpoint's times made no sense: they are guesses, by the length of the text.",
    "times_repaired": "Some of the endpoint's times were impossible, and were guessed from their neighbours.",
    "past_end": "Text that was said to come after the end of the audio was dropped ({}).",
    "loops": "A sentence was repeated over and over, as Whisper does; the repetitions were dropped ({}).",
    "invented": "Text that nobody said, such as thanks for watching over silence, was dropped ({}).",
    "nothing_heard": "Nothing is said in it, so the subtitles are empty.",
    "not_english": "The text looks like another language ({}): the endpoint may not have translated it.",
    "broken_packets": "Some of the audio could not be decoded, and counts as silence.",
    "format_changed": "The audio changed its format on the way; it was followed.",
    "clock_jumped": "The file's own clock jumped; subtitles may be early or late after that.",
    "shorter_than_said": "The file holds less than its header says: it may have been cut off.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the journal holds of one job; requests oldest first, parts in the order of their starts."""

    seen: Seen
    requests: Sequence[Asked]
    parts: Sequence[Slice]
    notices: Sequence[Notice] = ()


def explained(warning: str) -> Warned:
    """What a warning means; its detail, such as how many, stands after a colon."""
    code, _, detail = warning.partition(": ")
    return Warned(code=warning, text=_WARNINGS.get(code, "Look at the subtitles.").format(detail))


def problem_of(fault: Fault) -> Problem:
    """A fault with all that is known of it."""
    return Problem(
        code=fault.code,
        message=plain(fault.message),
        hint=plain(fault.hint),
        scope=fault.scope.value,
        status=fault.status,
        said=plain(fault.said),
        request_id=None if fault.request_id is None else plain(fault.request_id),
    )


# Parts.


def part_details(known: Known) -> list[PartDetail]:
    """Each part, and what is to be done about it."""
    asked = {request.part for request in known.requests if _is_under_way(request, known)}
    return [
        PartDetail(
            number=part.number,
            start=part.start,
            end=None if math.isinf(part.end) else part.end,
            state="silent"
            if part.silent
            else "answered"
            if part.answered_at is not None
            else "asked"
            if part.number in asked
            else "waiting",
        )
        for part in known.parts
    ]


def seconds_left(known: Known) -> float | None:
    """How long the parts without an answer will take, at the pace of those with one.

    The pace is audio answered in the time in which anything was asked, so that a pause counts for nothing.
    """
    answered = {part.number: part.end - part.start for part in known.parts if part.answered_at is not None}
    missing = [part for part in known.parts if part.answered_at is None and not part.silent]
    spans = [
        (request.sent_at, request.ended_at)
        for request in known.requests
        if request.part in answered and request.ended_at is not None and request.fault is None
    ]
    heard = sum(
        answered[request.part]
        for request in known.requests
        if request.fault is None and request.ended_at is not None and request.part in answered
    )
    busy = _covered(spans)
    rest = sum(part.end - part.start for part in missing)
    if known.seen.job.state in FINAL or not busy or not heard or math.isinf(rest) or math.isinf(heard):
        return None
    return round(rest * busy / heard, 1)


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """How long at least one of the spans lasts."""
    total, until = 0.0, -math.inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


# Steps.


def steps(known: Known) -> list[Step]:
    """The whole history, the oldest step first."""
    seen, job = known.seen, known.seen.job
    found = [
        (job.settled_at, Step(what="settled", at=moment(job.settled_at), text="It had finished arriving.")),
        *((request.sent_at, _request(request, known)) for request in known.requests),
        *_waits(known.requests),
        *_reused(known),
    ]
    if job.plan is not None and job.state in FINAL:
        names = ", ".join(escaped(sidecar.name) for sidecar in job.plan.sidecars) or "nothing"
        found.append(
            (job.plan.at, Step(what="planned", at=moment(job.plan.at), text=f"To be written: {names}."))
        )
    found.append((seen.changed_at, _end(seen)))
    found += [(notice.draft.at, _notice(notice)) for notice in known.notices]
    return [step for _, step in sorted(found, key=lambda entry: entry[0])]


def _is_under_way(request: Asked, known: Known) -> bool:
    """Whether an answer may still come: a daemon that was killed leaves requests without an end."""
    last = max(one.round for one in known.requests)
    return request.ended_at is None and request.round == last and known.seen.job.state is State.TRANSLATING


def _request(request: Asked, known: Known) -> Step:
    outcome: Outcome
    what = "The whole file" if request.part == 0 else f"Part {request.part}"
    under_way = _is_under_way(request, known)
    if request.fault is not None:
        outcome, said = "failed", plain(request.fault.message)
    elif request.ended_at is not None:
        outcome, said = "ok", f"answered after {request.ended_at - request.sent_at:.1f} s"
    else:
        outcome, said = ("under way", "under way") if under_way else ("cut off", "cut off")
    return Step(
        what="request",
        at=moment(request.sent_at),
        ended_at=moment_of(request.ended_at),
        text=f"{what}: {said}",
        outcome=outcome,
        endpoint=plain(request.endpoint),
        part=request.part,
        audio_seconds=request.seconds,
        bytes=request.size,
        problem=None if request.fault is None else problem_of(request.fault),
    )


def _waits(requests: Sequence[Asked]) -> Iterator[tuple[float, Step]]:
    """The time between the end of a round of requests and the beginning of the next."""
    rounds: defaultdict[int, list[Asked]] = defaultdict(list)
    for request in requests:
        rounds[request.round].append(request)
    for before, after in pairwise(rounds[number] for number in sorted(rounds)):
        ended = max(request.ended_at or request.sent_at for request in before)
        began = min(request.sent_at for request in after)
        text = f"Waited for {began - ended:.0f} s, and was tried again."
        yield ended, Step(what="waited", at=moment(ended), ended_at=moment(began), text=text)


def _reused(known: Known) -> Iterator[tuple[float, Step]]:
    """Answers that nobody was asked for in this job."""
    asked = {request.part for request in known.requests}
    times = [
        part.answered_at for part in known.parts if part.answered_at is not None and part.number not in asked
    ]
    if times:
        what = "It was" if len(times) == len(known.parts) else f"{len(times)} of its parts were"
        text = f"{what} answered before, for the same content: nothing was asked again."
        yield min(times), Step(what="reused", at=moment(min(times)), text=text)


def _end(seen: Seen) -> Step:
    """Where the job stands, since its last move."""
    job, problem = seen.job, None
    if job.fault is not None and job.state is not State.DONE:
        problem = problem_of(job.fault)
    return Step(
        what=job.state.value,
        at=moment(seen.changed_at),
        ended_at=moment_of(job.until),
        text=_standing(seen),
        outcome="failed" if job.state is State.FAILED else "ok" if job.state in FINAL else "under way",
        problem=problem,
    )


def _standing(seen: Seen) -> str:
    job = seen.job
    match job.state:
        case State.DONE | State.FAILED if job.plan is not None:
            where = "It stays where it is" if job.plan.stays else f"It is now {escaped(job.plan.original)}"
            return f"{where}, in the {job.state} folder." if not job.plan.stays else f"{where}."
        case State.WAITING:
            return f"It waits: {job.reason}."
        case State.SKIPPED:
            return "The file went away, changed, or had nothing left to be done."
        case State.QUEUED:
            return "It is in line."
        case _:
            return f"It is {job.state}."


def _notice(notice: Notice) -> Step:
    draft = notice.draft
    outcome: Outcome = "ok" if notice.ending is Ending.TOLD else "failed"
    said = "not told yet" if notice.ending is None else notice.ending.value
    detail = f" ({plain(notice.detail)})" if notice.detail else ""
    times = "attempt" if notice.attempts == 1 else "attempts"
    return Step(
        what="notice",
        at=moment(draft.at),
        ended_at=moment_of(notice.ended_at),
        text=f"{draft.kind.value} {plain(draft.target)}: {said}{detail}, {notice.attempts} {times}",
        outcome="under way" if notice.ending is None else outcome,
        output=plain(notice.output),
    )
