"""Merge: a transcript as the endpoint gave it in, the same text on a sound time line out. Pure.

Real answers have segments that end before they start, last no time, overlap, or lie past the end of the
audio; times that are no numbers; and text without any times. Afterwards every segment has a place of its
own: in order, apart, at least `SHORTEST` long, within the audio. Text is kept word for word; where it cannot
be, or where times are guesses, a warning says so:

    untimed         the endpoint gave bare text, which is spread over the audio by its length
    times_unusable  not one segment lay within the audio; spread likewise
    times_repaired  some times were impossible and have been guessed
    past_end        segments that started after the end of the audio were dropped: invented by the model
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, pairwise

from watcherd.transcript import Segment, Transcript

SHORTEST = 0.1  # seconds; one glance
PAST_END = 1.0  # seconds; models round, so a start this far past the end is no invention
LONGEST_PIECE = 84  # characters; two subtitle lines
SPEECH_RATE = 15  # characters a second
UNKNOWN_END = 100 * 3600.0 - 0.001  # seconds; the last time that SRT can write
_SENTENCE_ENDS = frozenset(".!?…")
_CLOSING = "\"')]\u2019\u201d"


def merge(transcript: Transcript, *, duration: float | None) -> Transcript:
    """Return the transcript with every time repaired and the warnings added.

    `duration` is the audio's length in seconds as measured here, None where it could not be: then the
    server's figure counts. It counts as well where it is clearly longer, since the server decoded that much.
    """
    known = _length(duration, transcript.duration)
    end = UNKNOWN_END if known is None else min(known, UNKNOWN_END)
    spoken = [segment for segment in transcript.segments if segment.text.strip()]
    righted = list(_righted(spoken, end)) if transcript.timed else []
    kept = [segment for segment in righted if segment.start < end + PAST_END]
    warnings = [*transcript.warnings, *_warnings(spoken, righted, kept)]
    if spoken and not kept:
        kept = _spread(transcript.text, end if known else None)
    return replace(
        transcript,
        segments=tuple(_placed(sorted(kept, key=lambda segment: segment.start), end)),
        duration=known,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _length(measured: float | None, said: float | None) -> float | None:
    """Return the audio's length; figures that are no length (not finite, under 1 ms) are as good as none."""
    here, there = (x if x is not None and 0.001 <= x < math.inf else None for x in (measured, said))
    if here is None or there is None:
        return here or there
    return there if there > here + PAST_END else here


def _warnings(spoken: list[Segment], righted: list[Segment], kept: list[Segment]) -> Iterator[str]:
    if spoken and not righted:
        yield "untimed"
    elif spoken and not kept:
        yield "times_unusable"
    else:
        if righted != spoken:
            yield "times_repaired"
        if len(kept) < len(righted):
            yield "past_end"


def _righted(segments: list[Segment], end: float) -> Iterator[Segment]:
    """Yield each segment with times that are numbers, the end after the start.

    Segments come in the order of speech, so an inverted pair is swapped only where that keeps it behind the
    segment before; anything else that is impossible is guessed from there and from the length of the text.
    """
    position = 0.0
    for segment in segments:
        first, last = segment.start, segment.end
        if not math.isfinite(first):
            first = position
        if position <= last < first:
            first, last = last, first
        elif not first < last < math.inf:
            last = first + _speech(segment.text)
        yield replace(segment, start=first, end=last)
        position = min(last, end)


def _speech(text: str) -> float:
    """Return how long it takes to say this, in seconds; at least one."""
    return max(1.0, len(text) / SPEECH_RATE)


def _spread(text: str, length: float | None) -> list[Segment]:
    """Cut bare text into pieces that share the length (or the time that saying it takes) by characters."""
    pieces = list(_pieces(text.split()))
    share = (length or _speech(text)) / sum(map(len, pieces))
    bounds = [share * done for done in accumulate(map(len, pieces), initial=0)]
    return [
        Segment(start=start, end=end, text=piece)
        for piece, (start, end) in zip(pieces, pairwise(bounds), strict=True)
    ]


def _pieces(words: list[str]) -> Iterator[str]:
    """Yield runs of words: sentences, or what of a longer one fits; very short sentences share a piece."""
    piece = ""
    for word in words:
        if piece and len(piece) + 1 + len(word) > LONGEST_PIECE:
            yield piece
            piece = ""
        piece = f"{piece} {word}" if piece else word
        if len(piece) > LONGEST_PIECE // 4 and word.rstrip(_CLOSING)[-1:] in _SENTENCE_ENDS:
            yield piece
            piece = ""
    if piece:
        yield piece


def _placed(segments: list[Segment], end: float) -> Iterator[Segment]:
    """Yield the sorted segments with a place of its own for each, in whole milliseconds."""
    limit = math.floor(end * 1000)
    shortest = min(round(SHORTEST * 1000), limit)
    segments = _joined(segments, limit // shortest)
    wanted = (_milliseconds(segment.start, end) for segment in segments)
    apart = list(accumulate(wanted, lambda before, own: max(own, before + shortest)))
    fitted = accumulate(reversed(apart), lambda after, own: min(own, after - shortest), initial=limit)
    bounds = list(fitted)[::-1]
    for segment, (start, following) in zip(segments, pairwise(bounds), strict=True):
        stop = min(max(_milliseconds(segment.end, end), start + shortest), following)
        yield replace(segment, start=start / 1000, end=stop / 1000)


def _milliseconds(seconds: float, end: float) -> int:
    return round(min(max(seconds, 0.0), end) * 1000)


def _joined(segments: list[Segment], room: int) -> list[Segment]:
    """Return at most `room` segments, neighbours joined where there are more; their figures go."""
    size = -(-len(segments) // room)
    if size <= 1:
        return segments
    groups = [segments[at : at + size] for at in range(0, len(segments), size)]
    return [
        Segment(
            start=group[0].start,
            end=max(segment.end for segment in group),
            text=" ".join(segment.text.strip() for segment in group),
        )
        for group in groups
    ]
