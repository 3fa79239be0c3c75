"""Grouping: the pieces of all segments in, which of them share a cue out. Pure.

Every way to part the text is weighed, and the cheapest taken. A cue costs something for what it leaves empty,
so that short ones are joined; for what it ends on, so that it ends with a sentence or a clause; and for being
shown too short. Never does a cue hold more than its lines do, or go on over a long pause.
"""

from __future__ import annotations

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
    for start in range(count):
        for end, lines, inner, clause in _reachable(speech, shape, start):
            cost = best[start] + inner + _cost(speech, shape, start, end, edges)
            if clause and end < count and speech.breaks[end] > Break.CLAUSE:
                cost += _TORN
            if cost < best[end] and lines == 2:
                cost += _line_end(speech, shape, start, end, edges)
            if cost < best[end]:
                best[end], origin[end] = cost, start
    bounds = [count]
    while bounds[-1]:
        bounds.append(origin[bounds[-1]])
    return list(pairwise(reversed(bounds)))


def _reachable(speech: Speech, shape: Shape, start: int) -> Iterator[tuple[int, int, float, bool]]:
    """Yield where a cue from here may end, its lines, what its inside costs, if a clause begins there."""
    pieces, starts, ends, breaks = speech.pieces, speech.starts, speech.ends, speech.breaks
    last_start = starts[start] + shape.max_seconds
    most = shape.max_rate * shape.max_seconds
    lines, taken, total, inner = 1, pieces[start].width, pieces[start].width, 0.0
    clause = False
    yield start + 1, 1, 0.0, clause
    for at in range(start + 1, len(pieces)):
        piece = pieces[at]
        total += piece.width + piece.spaced
        taken += piece.width + piece.spaced
        if taken > shape.max_chars:
            lines, taken = lines + 1, piece.width
        pause = starts[at] - ends[at - 1]
        if lines > shape.max_lines or total > most or pause > LONG_PAUSE or starts[at] >= last_start:
            return
        inner += max(0.0, pause) * _WAITING + (_NEW_SENTENCE if breaks[at] is Break.SENTENCE else 0)
        clause = clause or breaks[at] <= Break.CLAUSE
        yield at + 1, lines, inner, clause


def _cost(speech: Speech, shape: Shape, start: int, end: int, edges: Sequence[int]) -> float:
    """Say what a cue costs, except for what is within it."""
    columns = edges[end] - edges[start] - speech.pieces[start].spaced
    begin, over = speech.starts[start], speech.ends[end - 1]
    cost = _EMPTINESS * (1 - columns / (shape.max_lines * shape.max_chars)) ** 2
    cost += _OVERTIME * max(0.0, over - begin - shape.max_seconds)
    if end < len(speech.pieces):
        following = speech.starts[end] - shape.gap
        cost += _COSTS[speech.breaks[end]] / (1 + 2 * max(0.0, speech.starts[end] - over))
    else:
        following = speech.limit
    shown = max(following - begin, 0.001)
    if shown < shape.min_seconds:
        cost += _TOO_SHORT * (1 + (shape.min_seconds - shown) / shape.min_seconds)
    elif shown < _COMFORT:
        cost += _FLEETING * (_COMFORT - shown) / _COMFORT
    return cost + _RUSH * min(1.0, max(0.0, columns / (shape.max_rate * shown) - 1))


def _line_end(speech: Speech, shape: Shape, start: int, end: int, edges: Sequence[int]) -> float:
    """Say what the only line break of a cue costs, of those that leave no line too long the best."""
    first = bisect_left(edges, edges[end] - shape.max_chars - 1, start + 1, end - 1)
    if edges[end] - edges[first] - speech.pieces[first].spaced > shape.max_chars:
        first += 1
    last = bisect_right(edges, edges[start] + shape.max_chars + speech.pieces[start].spaced, first, end)
    return LINE_COSTS[min(speech.breaks[first:last])]
