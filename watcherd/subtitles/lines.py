"""Lines: the pieces of a cue in, its text with line breaks out. Pure.

A line ends where something ends: a sentence, a clause, else before a conjunction or a preposition, and after
an article or a preposition only where nothing else fits. Among such places lines of like length win.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import accumulate

from watcherd.subtitles.breaks import Break
from watcherd.subtitles.pieces import Piece, written
from watcherd.subtitles.shape import Shape

UNEVENNESS = 60.0  # what lines cost that differ as much as they can
TOP_HEAVY = 1.5  # a first line that is the longer one covers more of the picture
COSTS = (0.0, 3.0, 5.0, 8.0, 12.0, 22.0, 60.0, 300.0)  # by Break: what a line that ends there costs


def laid_out(pieces: Sequence[Piece], breaks: Sequence[Break], shape: Shape) -> str:
    """Return the text of a cue, on as few lines as it fits on; on more than its shape has if it must be.

    `breaks` says what ends before each piece.
    """
    ends = _filled(pieces, shape.max_chars)
    if 1 < len(ends) <= shape.max_lines:
        _, ends = best_lines(pieces, breaks, len(ends), max_chars=shape.max_chars)
    return "\n".join(written(pieces[start:end]) for start, end in zip([0, *ends], ends, strict=False))


def _filled(pieces: Sequence[Piece], max_chars: int) -> list[int]:
    """Fill line after line; return where each one ends."""
    ends: list[int] = []
    taken = 0
    for at, piece in enumerate(pieces):
        if at and taken + piece.spaced + piece.width > max_chars:
            ends.append(at)
            taken = piece.width
        else:
            taken += piece.width + (piece.spaced if at else 0)
    return [*ends, len(pieces)]


def best_lines(
    pieces: Sequence[Piece], breaks: Sequence[Break], count: int, *, max_chars: int
) -> tuple[float, list[int]]:
    """Find the best way to put pieces on a number of lines that holds them: its cost, and where each ends."""
    edges = [0, *accumulate(piece.width + piece.spaced for piece in pieces)]
    last = len(pieces)
    target = edges[last] / count

    @cache
    def best(start: int, left: int) -> tuple[float, tuple[int, ...]]:
        found: tuple[float, tuple[int, ...]] = (math.inf, (last,))
        for end in range(start + 1, last - left + 2) if left > 1 else (last,):
            own = edges[end] - edges[start] - pieces[start].spaced
            if own > max_chars:
                break
            cost = UNEVENNESS * ((own - target) / max_chars) ** 2
            ends: tuple[int, ...] = ()
            if left > 1:
                rest, ends = best(end, left - 1)
                cost += rest + COSTS[breaks[end]] + (TOP_HEAVY if own > target else 0)
            if cost < found[0]:
                found = cost, (end, *ends)
        return found

    cost, ends = best(0, count)
    return cost, list(ends)
