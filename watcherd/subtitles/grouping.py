"""Grouping: the pieces of all segments in, which of them share a cue out. Pure.

Every way to part the text is weighed, and the cheapest taken. A cue costs something for what it leaves empty,
so that short ones are joined; for what it ends on, so that it ends with a sentence or a clause; and for being
shown too short. Never does a cue hold more than its lines do, or go on over a long pause.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from watcherd.subtitles.breaks import Break
from watcherd.subtitles.lines import COSTS as LINE_COSTS
from watcherd.subtitles.pieces import Piece
from watcherd.subtitles.shape import Shape
from watcherd.subtitles.spoken import Speech

LONG_PAUSE = 1.0  # seconds; nobody waits for the second half of a cue for longer

Group = tuple[int, int]  # from this piece up to that one

_SENTENCE, _CLAUSE = Break.SENTENCE, Break.CLAUSE  # members are slow to look up
_COSTS = (0.0, 10.0, 14.0, 20.0, 28.0, 50.0, 80.0, 400.0)  # by Break: what a cue that ends there costs
_EMPTINESS = 11.0  # for a cue that is nearly empty, less the fuller it is
_NEW_SENTENCE = 20.0  # for each that begins within a cue
_TORN = 22.0  # for a cue that ends within a clause which has begun within it
_WAITING = 25.0  # for each second of silence within a cue
_FLEETING = 25.0  # for a cue that is hardly seen
_COMFORT = 1.5  # seconds; what is shown for as long is not fleeting
_TOO_SHORT = 600.0  # for a cue under the least time: more than all that joining it may cost
_RUSH = 40.0  # for a cue that must be read at twice the greatest rate
_OVERTIME = 30.0  # for each second that is said after the cue has gone


def groups(speech: Speech, shape: Shape, *, room: int) -> list[Group]:
    """Part the pieces into at most `room` cues; more lines than may be only if filled ones are too many."""
    if not speech.pieces:
        return []
    fullest = list(_fullest(speech.pieces, shape))
    if len(fullest) > room:
        size = -(-len(speech.pieces) // room)
        return [(at, min(at + size, len(speech.pieces))) for at in range(0, len(speech.pieces), size)]
    cheapest = _cheapest(speech, shape)
    return cheapest if len(cheapest) <= room else fullest


def _fullest(pieces: Sequence[Piece], shape: Shape) -> Iterator[Group]:
    """Fill cue after cue: no other way has fewer."""
    start, lines, taken = 0, 1, 0
    for at, piece in enumerate(pieces):
        if at == start:
            taken = piece.width
            continue
        taken += piece.spaced + piece.width
        if taken > shape.max_chars:
            lines, taken = lines + 1, piece.width
        if lines > shape.max_lines:
            yield start, at
            start, lines = at, 1
    yield start, len(pieces)


def _cheapest(speech: Speech, shape: Shape) -> list[Group]:
    count = len(speech.pieces)
    best = [0.0] + [float("inf")] * count
    origin = [0] * (count + 1)
    edges = list(accumulate((piece.width + piece.spaced for piece in speech.pieces), initial=0))
    gone = [start - shape.gap for start in speech.starts] + [speech.limit]
    inside, ending = _inside_and_ending(speech)
    for start, (begin, piece) in enumerate(zip(speech.starts, speech.pieces, strict=True)):
        before, left = best[start], edges[start] + piece.spaced
        for end, lines, inner, torn in _reachable(speech, shape, start, edges, inside):
            cost = before + inner
            if cost + ending[end] >= best[end]:
                continue  # too dear already, whatever the rest comes to
            shown, said = gone[end] - begin, speech.ends[end - 1] - begin
            cost += _cost(shape, edges[end] - left, said, shown, ending[end])
            if torn:
                cost += _TORN
            if cost < best[end] and lines == 2:
                cost += _line_end(speech, shape, start, end, edges)
            if cost < best[end]:
                best[end], origin[end] = cost, start
    return _way(origin)


def _way(origin: Sequence[int]) -> list[Group]:
    """Go back from the end by where each cue begins."""
    bounds = [len(origin) - 1]
    while bounds[-1]:
        bounds.append(origin[bounds[-1]])
    return list(pairwise(reversed(bounds)))


def _inside_and_ending(speech: Speech) -> tuple[list[float], list[float]]:
    """Say what it costs a cue to go on at each piece, infinity where none may; and what to end before it."""
    pauses = [max(0.0, start - end) for start, end in zip(speech.starts[1:], speech.ends, strict=False)]
    places = list(zip(pauses, speech.breaks[1:], strict=True))
    inside = [
        pause * _WAITING + (_NEW_SENTENCE if what == _SENTENCE else 0) if pause <= LONG_PAUSE else math.inf
        for pause, what in places
    ]
    return [0.0, *inside], [0.0, *(_COSTS[what] / (1 + 2 * pause) for pause, what in places), 0.0]


def _reachable(
    speech: Speech, shape: Shape, start: int, edges: Sequence[int], inside: Sequence[float]
) -> Iterator[tuple[int, int, float, bool]]:
    """Yield where a cue from here may end, its lines, what its inside costs, if its last clause is torn."""
    pieces, starts, breaks = speech.pieces, speech.starts, speech.breaks
    max_chars, max_lines, last_start = shape.max_chars, shape.max_lines, starts[start] + shape.max_seconds
    most = shape.max_rate * shape.max_seconds
    left = line = edges[start] + pieces[start].spaced
    lines, inner, clause = 1, 0.0, False
    for at in range(start + 1, len(pieces)):
        is_clause, right = breaks[at] <= _CLAUSE, edges[at + 1]
        yield at, lines, inner, clause and not is_clause
        if right - line > max_chars:
            lines, line = lines + 1, edges[at] + pieces[at].spaced
        inner += inside[at]
        if lines > max_lines or right - left > most or inner == math.inf or starts[at] >= last_start:
            return
        clause = clause or is_clause
    yield len(pieces), lines, inner, False


def _cost(shape: Shape, columns: int, said: float, shown: float, ending: float) -> float:
    """Say what a cue costs that is `said` and `shown` for so long, except for what is within it."""
    cost = _EMPTINESS * (1 - columns / (shape.max_lines * shape.max_chars)) ** 2
    if said > shape.max_seconds:
        cost += _OVERTIME * (said - shape.max_seconds)
    cost += ending
    shown = max(shown, 0.001)
    if shown < shape.min_seconds:
        cost += _TOO_SHORT * (1 + (shape.min_seconds - shown) / shape.min_seconds)
    elif shown < _COMFORT:
        cost += _FLEETING * (_COMFORT - shown) / _COMFORT
    rush = columns / (shape.max_rate * shown) - 1
    return cost + _RUSH * min(1.0, rush) if rush > 0 else cost


def _line_end(speech: Speech, shape: Shape, start: int, end: int, edges: Sequence[int]) -> float:
    """Say what the only line break of a cue costs, of those that leave no line too long the best."""
    first = bisect_left(edges, edges[end] - shape.max_chars - 1, start + 1, end - 1)
    if edges[end] - edges[first] - speech.pieces[first].spaced > shape.max_chars:
        first += 1
    last = bisect_right(edges, edges[start] + shape.max_chars + speech.pieces[start].spaced, first, end)
    return LINE_COSTS[min(speech.breaks[first:last])]
