"""Repair: one reply's segments with impossible times in, the same text with a sound place for each out. Pure.

Real answers have segments that end before they start, last no time, overlap, or lie past the end of the
audio; times that are no numbers; and text without any times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from watcherd.transcript import Segment

SHORTEST = 0.1  # seconds; one glance
PAST_END = 1.0  # seconds; models round, so a start this far past the end is no invention
LONGEST_PIECE = 84  # characters; two subtitle lines
SPEECH_RATE = 15  # characters a second
_SENTENCE_ENDS = frozenset(".!?…")
_CLOSING = "\"')]\u2019\u201d"


def righted(segments: Sequence[Segment], end: float) -> Iterator[Segment]:
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
            last = first + speech(segment.text)
        unchanged = (first, last) == (segment.start, segment.end)
        yield segment if unchanged else replace(segment, start=first, end=last)
        position = min(last, end)


def speech(text: str) -> float:
    """Return how long it takes to say this, in seconds; at least one."""
    return max(1.0, len(text) / SPEECH_RATE)


def spread(text: str, length: float) -> list[Segment]:
    """Cut bare text into pieces that share a length of time by their characters."""
    pieces = list(_pieces(text.split()))
    share = length / sum(map(len, pieces))
    bounds = [share * done for done in accumulate(map(len, pieces), initial=0)]
    return [
        Segment(start=start, end=end, text=piece)
        for piece, (start, end) in zip(pieces, pairwise(bounds), strict=True)
    ]


def placed(segments: Sequence[Segment], end: float) -> Iterator[Segment]:
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


def retold(segment: Segment, text: str) -> Segment:
    """The segment with another text: the times of its words are of no use then."""
    return replace(segment, text=text, words=())


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


def _milliseconds(seconds: float, end: float) -> int:
    return round(min(max(seconds, 0.0), end) * 1000)


def _joined(segments: Sequence[Segment], room: int) -> Sequence[Segment]:
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
