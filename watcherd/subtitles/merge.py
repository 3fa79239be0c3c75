"""Merge: the transcripts of a job's parts in, one on the job's sound time line out. Pure.

Afterwards every segment has a place of its own: in order, apart, at least `SHORTEST` long, within the audio.
Text is kept word for word; where it cannot be, or where times are guesses, a warning says so:

    untimed         the endpoint gave bare text, which is spread over its part by its length
    times_unusable  not one segment lay within its part; spread likewise
    times_repaired  some times were impossible and have been guessed
    past_end: 2     so many segments that started after the end of the audio were dropped: invented
    loops: 2        so many segments in which the model repeated itself were dropped or shortened
    invented: 2     so many segments were dropped that nobody said: there is evidence
    nothing_heard   no text is left

A part's segment in a neighbour's own stretch is the neighbour's to tell, and kept only if it does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from watcherd.subtitles.inventions import Silences, heard, is_silent
from watcherd.subtitles.loops import collapsed, is_looping, unrolled
from watcherd.subtitles.phrases import is_listed
from watcherd.subtitles.repair import PAST_END, SHORTEST, placed, righted, speech, spread
from watcherd.transcript import Segment, Transcript

__all__ = ["PAST_END", "SHORTEST", "UNKNOWN_END", "PartTranscript", "is_doubtful", "merge"]

UNKNOWN_END = 100 * 3600.0 - 0.001  # seconds; the last time that SRT can write


@dataclass(frozen=True, slots=True)
class PartTranscript:
    """What was said in one part, its times counted from the part's beginning.

    `start` is where the part begins on the job's time line; parts may overlap, and `own_start` to `own_end`
    (on the job's time line, too) is the stretch that is this one's to tell. A whole file is one part.
    """

    transcript: Transcript
    start: float = 0.0
    own_start: float = -math.inf
    own_end: float = math.inf


@dataclass(frozen=True, slots=True)
class _Draft:
    """A part's segments on the job's time line, and what was done to them; `guessed` times are spread."""

    part: PartTranscript
    segments: list[Segment]
    guessed: bool = False
    warnings: tuple[str, ...] = ()
    past_end: int = 0
    loops: int = 0


def merge(parts: Sequence[PartTranscript], *, duration: float | None, silences: Silences = ()) -> Transcript:
    """Put the parts together, every time repaired, what nobody said taken out, and the warnings added.

    `duration` is the audio's length in seconds as measured here, None where it could not be: then the
    server's figure counts. It counts as well where it is clearly longer, since the server decoded that much.
    `silences` are the stretches of the job in which nothing is heard, where they are known.
    """
    known = _length(duration, _said_length(parts))
    end = UNKNOWN_END if known is None else min(known, UNKNOWN_END)
    drafts = _each_its_own([_draft(part, end) for part in parts])
    told = [segment for draft in drafts for segment in draft.segments]
    real = [segment for draft in drafts for segment in _heard(draft, silences)]
    single, repeated = collapsed(sorted(real, key=lambda segment: segment.start))
    counts = {
        "past_end": sum(draft.past_end for draft in drafts),
        "loops": repeated + sum(draft.loops for draft in drafts),
        "invented": len(told) - len(real),
    }
    warnings = [
        *(warning for draft in drafts for warning in draft.warnings if warning != "nothing_heard"),
        *(f"{name}: {count}" for name, count in counts.items() if count),
        *(() if single else ("nothing_heard",)),
    ]
    return Transcript(
        segments=tuple(placed(single, end)),
        duration=known,
        language=next((part.transcript.language for part in parts if part.transcript.language), None),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def is_doubtful(transcript: Transcript) -> bool:
    """Whether a silence map would tell more of this reply: it is empty, looping, or holds a listed phrase."""
    spoken = [segment.text for segment in transcript.segments if segment.text.strip()]
    return not spoken or is_looping(transcript) or any(map(is_listed, spoken))


def _length(measured: float | None, said: float | None) -> float | None:
    """Return the audio's length; figures that are no length (not finite, under 1 ms) are as good as none."""
    here, there = _sane(measured), _sane(said)
    if here is None or there is None:
        return here or there
    return there if there > here + PAST_END else here


def _said_length(parts: Sequence[PartTranscript]) -> float | None:
    ends = (part.start + said for part in parts if (said := _sane(part.transcript.duration)) is not None)
    return max(ends, default=None)


def _sane(length: float | None) -> float | None:
    return length if length is not None and 0.001 <= length < math.inf else None


def _draft(part: PartTranscript, end: float) -> _Draft:
    """Bring one part's segments to the job's time line, each with times that are possible."""
    transcript = part.transcript
    spoken = [segment for segment in transcript.segments if segment.text.strip()]
    once, loops = unrolled(spoken)
    limit = _end_of(part, end) - part.start
    timed = list(righted(once, limit)) if transcript.timed else []
    kept = [segment for segment in timed if segment.start < limit + PAST_END]
    guessed = bool(once) and not kept
    if guessed:
        found, past_end = _spread(part, once, end), 0
    else:
        found = [_shifted(segment, part.start, end) for segment in kept]
        past_end = len(timed) - len(kept)
    warnings = (*transcript.warnings, *_complaints(once, timed, guessed=guessed))
    return _Draft(part, found, guessed, warnings, past_end, loops)


def _complaints(spoken: list[Segment], timed: list[Segment], *, guessed: bool) -> Iterator[str]:
    if guessed:
        yield "times_unusable" if timed else "untimed"
    elif timed != spoken:
        yield "times_repaired"


def _end_of(part: PartTranscript, end: float) -> float:
    """Where the part's audio ends on the job's time line, as far as that is known; the job's end if not."""
    said = _sane(part.transcript.duration)
    if said is None or math.isinf(part.own_end):
        return end
    return min(end, max(part.own_end, part.start + said))


def _spread(part: PartTranscript, spoken: Sequence[Segment], end: float) -> list[Segment]:
    """Share the part's own stretch out among its text; without a known end, the time that saying it takes."""
    text = " ".join(segment.text.strip() for segment in spoken)
    first, last = max(part.start, part.own_start), min(part.own_end, end)
    length = last - first if first < last < UNKNOWN_END else speech(text)
    return [_shifted(segment, first, end) for segment in spread(text, length)]


def _shifted(segment: Segment, by: float, end: float) -> Segment:
    """Move a segment, and what it says of its words, to the job's time line, no further than its end."""
    if not by and segment.end <= end and not segment.words:
        return segment
    return replace(
        segment,
        start=min(segment.start + by, end),
        end=min(segment.end + by, end),
        words=tuple(replace(word, start=word.start + by, end=word.end + by) for word in segment.words),
    )


def _each_its_own(drafts: list[_Draft]) -> list[_Draft]:
    """Leave each moment to the part whose own it is; what that one does not tell, the other may."""
    if len(drafts) <= 1:
        return drafts
    kept = [[one for one in draft.segments if not _is_foreign(one, draft, drafts)] for draft in drafts]
    for own, draft in zip(kept, drafts, strict=True):
        for segment in draft.segments:
            others = (one for told in kept if told is not own for one in told)
            if _is_foreign(segment, draft, drafts) and not _is_told(segment, others):
                own.append(segment)
    return [replace(draft, segments=own) for own, draft in zip(kept, drafts, strict=True)]


def _is_foreign(segment: Segment, draft: _Draft, drafts: Sequence[_Draft]) -> bool:
    """Whether its middle lies in another part's own stretch."""
    middle = (segment.start + segment.end) / 2
    if draft.part.own_start <= middle < draft.part.own_end:
        return False
    return any(other.part.own_start <= middle < other.part.own_end for other in drafts)


def _is_told(segment: Segment, others: Iterator[Segment]) -> bool:
    """Whether others speak for at least half of its time."""
    told = sum(max(0.0, min(segment.end, one.end) - max(segment.start, one.start)) for one in others)
    return told > 0 and told >= (segment.end - segment.start) / 2


def _heard(draft: _Draft, silences: Silences) -> list[Segment]:
    """Drop what nobody said. Guessed times prove nothing, unless all of the part is silent."""
    segments = draft.segments
    if draft.guessed and segments and not is_silent(segments[0].start, segments[-1].end, silences):
        silences = ()
    return heard(segments, silences)
