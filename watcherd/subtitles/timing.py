"""Timing: when the words of each cue are said in, when it is shown out. Pure.

A cue comes with its first word, and stays until its last word is said and until it can be read: for the least
time, and for as long as its characters take at the greatest rate. What it needs beyond the start of the next
one's words pushes the next one back, and that the one after, until a pause takes up the delay. Such a run is
pushed if no cue in it comes more than `DRIFT` after its words: then every limit is kept in it, since the time
allows it. If one would, the time does not allow it: all of the run stay with their words, and those that are
too near to the next are shown too short. At the end of the audio it is the same the other way round: the last
cues come before their words, by at most `DRIFT`, if that gives all of them what they need.

Beyond that, always: in order and apart, from 0 to the end, none shorter than a glance, none longer than the
longest time; and the gap is kept before each cue that starts a glance and a gap after the one before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from watcherd.subtitles.merge import SHORTEST, UNKNOWN_END
from watcherd.subtitles.shape import Shape

DRIFT = 1.0  # seconds; how far a cue may be from its words
CHAINED = 0.5  # seconds; a shorter time without any cue is a flicker, so the cue stays until the next


@dataclass(frozen=True, slots=True)
class Said:
    """The words of one cue: when they begin and end, in seconds, and how many columns they take."""

    start: float
    end: float
    columns: int


def glance(end: float) -> int:
    """Return the least time of a cue in milliseconds, where the audio ends at `end` seconds."""
    return min(round(SHORTEST * 1000), math.floor(end * 1000))


def room(end: float) -> int:
    """Count the cues that there is a glance for."""
    return math.floor(end * 1000) // glance(end)


def times(said: Sequence[Said], shape: Shape, *, duration: float | None) -> list[tuple[float, float]]:
    """Return start and end of each cue in seconds, in whole milliseconds. There must be `room` for all."""
    if not said:
        return []
    end = UNKNOWN_END if duration is None else min(duration, UNKNOWN_END)
    limit, least, gap = math.floor(end * 1000), glance(end), round(shape.gap * 1000)
    wanted = [min(max(round(one.start * 1000), 0), limit) for one in said]
    needed = [need(one.columns, shape) for one in said]
    starts = _pulled(_pushed(wanted, needed, gap), wanted, needed, gap, limit)
    starts = _apart(starts, least, limit)
    return [
        (at / 1000, _stop(at, to, round(one.end * 1000), own, shape, least) / 1000)
        for one, own, (at, to) in zip(said, needed, pairwise([*starts, limit + gap]), strict=True)
    ]


def need(columns: int, shape: Shape) -> int:
    """Return how long a cue must be shown to be read, in milliseconds."""
    return math.ceil(min(max(shape.min_seconds, columns / shape.max_rate), shape.max_seconds) * 1000)


def _pushed(wanted: Sequence[int], needed: Sequence[int], gap: int) -> list[int]:
    """Start each cue with its words, or when the one before has been read, as far as drift allows."""
    starts: list[int] = []
    for first, last in _runs(wanted, needed, gap):
        run = list(
            accumulate(
                range(first + 1, last),
                lambda before, at: before + needed[at - 1] + gap,
                initial=wanted[first],
            )
        )
        drift = max(own - asked for own, asked in zip(run, wanted[first:last], strict=True))
        starts.extend(run if drift <= DRIFT * 1000 else wanted[first:last])
    return starts


def _runs(wanted: Sequence[int], needed: Sequence[int], gap: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of cues in which each pushes the next."""
    first, free = 0, wanted[0]
    for at, own in enumerate(wanted):
        if own >= free and at:
            yield first, at
            first = at
        free = max(free, own) + needed[at] + gap
    yield first, len(wanted)


def _pulled(
    starts: list[int], wanted: Sequence[int], needed: Sequence[int], gap: int, limit: int
) -> list[int]:
    """Start the last cues as early as the end of the audio asks for, as far as drift allows."""
    latest = limit + gap
    pulled = list(starts)
    for at in reversed(range(len(starts))):
        latest -= needed[at] + gap
        if starts[at] <= latest:
            return pulled
        if latest < 0 or wanted[at] - latest > DRIFT * 1000:
            return starts
        pulled[at] = latest
    return pulled


def _apart(starts: Sequence[int], least: int, limit: int) -> list[int]:
    """Give each cue its glance: put starts off, and bring forward those that the end leaves no time for."""
    apart = accumulate(starts, lambda before, own: max(own, before + least))
    fitted = accumulate(reversed(list(apart)), lambda after, own: min(own, after - least), initial=limit)
    return list(fitted)[:0:-1]


def _stop(at: int, to: int, said: int, needed: int, shape: Shape, least: int) -> int:
    """End a cue that starts at `at`, before the next one, which starts at `to`."""
    free = to - round(shape.gap * 1000)
    stop = max(at + needed, said)
    if free - stop < CHAINED * 1000:
        stop = free
    return max(min(stop, free, at + math.floor(shape.max_seconds * 1000)), at + least)
