"""Spoken: segments in, their pieces with the time at which each is said out. Pure.

Where a server gave the times of words, they are taken. Else a segment's time is shared out by characters:

    silences   what lies within one is not said there: a segment that begins or ends in a silence is cut to
               what is heard, and a silence in the middle falls between two words, at the end of a sentence
               or clause if there is one near
    too fast   text that nobody could read in its segment's time is taken to go on into the pause behind it
    too slow   text that is over long before its segment is, is taken to be said at its beginning
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from watcherd.subtitles.breaks import Break, between
from watcherd.subtitles.merge import UNKNOWN_END
from watcherd.subtitles.pieces import Piece, pieces
from watcherd.subtitles.shape import Shape
from watcherd.transcript import Segment, Transcript, Word

FASTEST = 30  # characters a second; nobody says more
SLOWEST = 5  # characters a second; what takes longer is waiting, not speech
IMPOSSIBLE = 1.25  # times what is heard; text that takes longer to read is not from there alone
PAUSE = 0.25  # seconds; a shorter silence is part of a word
NEAR = 1.5  # seconds; how far a word may be from where its characters put it, for a silence's sake
# By Break: how many seconds further away a silence may be and still fall there rather than on the next.
_RELUCTANCE = (0.0, 0.2, 0.4, 0.5, 0.7, 1.0, 1.2, 3.0)

Silence = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Speech:
    """Pieces in order, each with start and end in seconds, and with what ends before it; `limit` ends all."""

    limit: float
    pieces: list[Piece] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)


def spoken(transcript: Transcript, shape: Shape, silences: Sequence[Silence]) -> Speech:
    """Return all pieces of a merged transcript."""
    speech = Speech(UNKNOWN_END if transcript.duration is None else transcript.duration)
    pauses = [silence for silence in silences if silence[1] - silence[0] >= PAUSE]
    segments = transcript.segments
    limits = [*(segment.start for segment in segments[1:]), speech.limit]
    for segment, limit in zip(segments, limits, strict=False):
        found = pieces(segment.text, max_chars=shape.max_chars)
        if found:
            breaks = [_opening(speech.pieces, found[0]), *_inner_breaks(found)]
            times = _times_of_words(segment, found) or _shared(segment, found, breaks, limit, shape, pauses)
            speech.pieces.extend(found)
            speech.breaks.extend(breaks)
            speech.starts.extend(start for start, _ in times)
            speech.ends.extend(end for _, end in times)
    return speech


def _inner_breaks(found: Sequence[Piece]) -> Iterator[Break]:
    return (between(one.text, next_.text, spaced=next_.spaced) for one, next_ in pairwise(found))


def _opening(before: Sequence[Piece], first: Piece) -> Break:
    """Say what ends where a segment begins: at least a clause, unless its last word asks for the next."""
    if not before:
        return Break.SENTENCE
    found = between(before[-1].text, first.text)
    return min(found, Break.CLAUSE) if found < Break.CLOSE else found


# Times by the words of a reply -----------------------------------------------------------------------


def _times_of_words(segment: Segment, found: Sequence[Piece]) -> list[Silence] | None:
    """Find the time of each piece by counting letters; None where the words are not those of the text."""
    if not segment.words:
        return None
    counts = [_letters(word.text) for word in segment.words]
    own = [_letters(piece.text) for piece in found]
    if not sum(own) or sum(counts) != sum(own):
        return None
    edges = list(accumulate(counts, initial=0))
    position = segment.start
    times: list[Silence] = []
    for first, last in pairwise(accumulate(own, initial=0)):
        start = end = position
        if last > first:
            start, _ = _letter(segment.words, edges, first)
            _, end = _letter(segment.words, edges, last - 1)
        start = min(max(start, position), segment.end)
        position = min(max(end, start), segment.end)
        times.append((start, position))
    return times


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _letter(words: Sequence[Word], edges: Sequence[int], number: int) -> Silence:
    """Find when a letter is said, by its number."""
    at = bisect_right(edges, number) - 1
    word, count = words[at], edges[at + 1] - edges[at]
    share = (word.end - word.start) / count
    start = word.start + share * (number - edges[at])
    return start, start + share


# Times by characters ---------------------------------------------------------------------------------


def _shared(
    segment: Segment,
    found: Sequence[Piece],
    breaks: Sequence[Break],
    limit: float,
    shape: Shape,
    pauses: Sequence[Silence],
) -> list[Silence]:
    """Share out the time of a segment that must be over when the next begins, at `limit`."""
    edges = list(accumulate((piece.width + piece.spaced for piece in found), initial=0))
    start, end = _heard(segment.start, segment.end, edges[-1], pauses)
    inner = _within(start, end, pauses)
    heard = end - start - sum(to - at for at, to in inner)
    full = edges[-1] / shape.max_rate + shape.gap * (1 + edges[-1] / (shape.max_lines * shape.max_chars))
    if not inner or full > heard * IMPOSSIBLE:
        inner, heard = [], 0.0
        end = min(max(end, start + full), max(limit, end), start + max(edges[-1] / SLOWEST, full))
    marks = [(0, start, start), *_marks(edges, breaks, start, heard, inner), (len(found), end, end)]
    times: list[Silence] = []
    for (first, _, at), (last, to, _) in pairwise(marks):
        share = (to - at) / (edges[last] - edges[first])
        moments = [at + share * (edge - edges[first]) for edge in edges[first:last]] + [to]
        times.extend(pairwise(moments))
    return times


def _heard(start: float, end: float, columns: int, pauses: Sequence[Silence]) -> Silence:
    """Cut a segment to what is heard of it, unless too little is left to say its text in."""
    least = columns / FASTEST
    for at, to in _around(start, pauses):
        if at <= start < to and end - to >= least:
            start = to
    for at, to in _around(end, pauses):
        if at < end <= to and at - start >= least:
            end = at
    return start, end


def _around(moment: float, pauses: Sequence[Silence]) -> Sequence[Silence]:
    place = bisect_right(pauses, (moment, UNKNOWN_END))
    return pauses[max(0, place - 2) : place + 1]


def _within(start: float, end: float, pauses: Sequence[Silence]) -> list[Silence]:
    first = bisect_right(pauses, (start, UNKNOWN_END))
    last = bisect_right(pauses, (end, UNKNOWN_END))
    return [(at, to) for at, to in pauses[first:last] if to < end]


def _marks(
    edges: Sequence[int], breaks: Sequence[Break], start: float, heard: float, inner: Sequence[Silence]
) -> Iterator[tuple[int, float, float]]:
    """Yield the piece that each silence stands before, where there is one near, and the silence itself."""
    rate = heard / edges[-1]
    behind, silent = 1, 0.0
    for at, to in inner:
        said = at - start - silent
        silent += to - at
        near = range(behind, len(breaks))
        best = min(near, key=lambda k: abs(edges[k] * rate - said) + _RELUCTANCE[breaks[k]], default=None)
        if best is not None and abs(edges[best] * rate - said) <= NEAR:
            yield best, at, to
            behind = best + 1
