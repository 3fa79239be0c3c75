"""Cut: how far the audio is decoded and where it is silent in, where each part begins and ends out. Pure.

A part ends in the longest silence near its target; nothing overlaps there. Where no silence is in reach,
a part and the next share five seconds, and the middle of these divides what they own: a cue belongs to the
part whose own stretch holds the cue's midpoint. All times are seconds on the job's time line.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Silences = tuple[tuple[float, float], ...]
"""The stretches (start, end) in which nothing is heard, in order and apart."""

OVERLAP = 5.0  # seconds: longer than nearly every sentence, so that one of the two parts has it whole
SHORTEST = 3.0  # seconds; endpoints refuse less than 0.1, and of less than a few they make things up
LEAST_CAP = 8.0  # seconds; smaller caps than this are taken for this

_REACH = 60.0  # seconds on either side of the target; in speech there is a pause in every ten
_LEAST_SILENCE = 0.4  # seconds; what is shorter may be soft consonants in speech without a pause
_LEAST_IN_REACH = 0.1  # seconds of it
_LONG_SILENCE = 3.0  # seconds; anything longer is no better a place
_MARGIN = 0.5  # seconds of a long silence that stay on either side of a cut
NEARLY_FULL = 0.9  # of the cap: where parts end if they may choose


@dataclass(frozen=True, slots=True)
class Stretch:
    """One part's audio, from `start` to `end`, and what of it is its own: the cues from there count."""

    start: float
    end: float
    own_start: float
    own_end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutting:
    """What bounds a part: its length in seconds, its encoded size, and the length that is aimed at.

    `target` is nine tenths of `max_part` where it is None. `max_part` may be infinite.
    """

    max_part: float = 600.0
    max_bytes: int = 25_000_000
    target: float | None = None


class Planner:
    """Decides, while the audio is being decoded, where one part after the other ends.

    `rate` is the most bytes that a second of audio can take. Stretches that were `given`, in the order of
    their starts, come first, exactly as they are; after them it goes on by itself if it `goes_on`. `start` is
    where the part begins that is being made, `made` counts those before it.
    """

    def __init__(
        self, cutting: Cutting, *, rate: float, given: Sequence[Stretch] = (), goes_on: bool = True
    ) -> None:
        fits = max(cutting.max_bytes / rate, LEAST_CAP)
        self._longest = max(cutting.max_part, LEAST_CAP)
        # What is within reach cannot be encoded yet, and counts in full against the cap: an eighth of it.
        self._reach = min(self._longest / 4, fits / 8, _REACH)
        self._least = min(SHORTEST, self._longest / 4, fits / 4)
        self._half = _milliseconds(min(OVERLAP, self._reach) / 2)  # of what two parts share
        wanted = NEARLY_FULL * self._longest if cutting.target is None else cutting.target
        self._target = min(max(wanted, self._least), self._longest)
        self._given = list(given)
        self._goes_on = goes_on
        self._own_start = 0.0
        self.start = self._given[0].start if given else 0.0
        self.made = 0
        self.done = not given and not goes_on

    def settled(self, decoded: float) -> float:
        """The time up to which the present part's audio is sure to stay in it, and may be encoded."""
        if self._given:
            return min(decoded, self._given[0].end)
        return decoded - 2 * self._reach - self._least

    def needed(self, decoded: float) -> float:
        """The time from which on audio may still be wanted, once all that is settled is encoded."""
        if len(self._given) > 1:
            return min(self._given[1].start, decoded)
        if self._given:
            return min(_start_after(self._given[0]), decoded) if self._goes_on else decoded
        return decoded if self.done else max(self.settled(decoded), self.start)

    def next(
        self,
        decoded: float,
        silences: Sequence[tuple[float, float]],
        *,
        encoded: float = 0.0,
        full: float = math.inf,
        ended: bool = False,
    ) -> Stretch | None:
        """The part that is complete, None while that cannot be said: call again until it is None.

        The audio is known up to `decoded`, its end if it has `ended`. The present part is encoded up to
        `encoded`, and may reach to `full` until its bytes run out. `silences` are those since `encoded`, one
        that is still going on included.
        """
        if self.done:
            return None
        if self._given:
            return self._next_given(decoded, ended=ended)
        if ended and decoded - self.start <= self._longest and decoded <= full:
            self.done = True
            return self._stretch(decoded, decoded) if decoded > self.start else None
        return self._next_own(decoded, silences, encoded=encoded, full=full, ended=ended)

    def _next_given(self, decoded: float, *, ended: bool) -> Stretch | None:
        stretch = self._given[0]
        if decoded < stretch.end and not ended:
            return None
        del self._given[0]
        self.made += 1
        self._own_start = stretch.own_end
        if self._given:
            self.start = self._given[0].start
        else:
            self.start = _start_after(stretch)
            self.done = not self._goes_on
        return stretch

    def _next_own(
        self,
        decoded: float,
        silences: Sequence[tuple[float, float]],
        *,
        encoded: float,
        full: float,
        ended: bool,
    ) -> Stretch | None:
        """Wait until all within reach of the target is known; then for the first silence or the cap."""
        limit = min(self.start + self._longest, max(full, self.start + LEAST_CAP / 2))
        known = min(limit, decoded - self._least)
        target = min(self.start + self._target, limit)
        if not ended and known < min(target + self._reach, limit):
            return None
        earliest = max(self.start + self._least, target - self._reach, encoded)
        at = _best(silences, earliest, known, target=target, reach=self._reach)
        if at is None and known < limit and not ended:
            return None
        if at is not None:
            return self._stretch(at, at)
        end = _milliseconds(known)
        return self._stretch(end, end - self._half)

    def _stretch(self, end: float, own_end: float) -> Stretch:
        stretch = Stretch(self.start, end, self._own_start, own_end)
        self.start, self._own_start = _start_after(stretch), own_end
        self.made += 1
        return stretch


def divide(whole: Stretch, silences: Sequence[tuple[float, float]], *, longest: float) -> tuple[Stretch, ...]:
    """A part as several of at most `longest` seconds, about equal; as it is where it is no longer than that.

    What the new parts own is together exactly what `whole` owned.
    """
    longest = max(longest, LEAST_CAP)
    reach, least = min(longest / 4, _REACH), min(SHORTEST, longest / 4)
    half = _milliseconds(min(OVERLAP, reach) / 2)
    parts = []
    start, own_start = whole.start, whole.own_start
    while (rest := whole.end - start) > longest:
        target = start + rest / math.ceil(rest / (NEARLY_FULL * longest))
        earliest = max(target - reach, own_start + least)
        latest = min(target + reach, start + longest, whole.own_end - least)
        at = _best(silences, earliest, latest, target=target, reach=reach)
        if at is not None:
            parts.append(Stretch(start, at, own_start, at))
            start = own_start = at
            continue
        middle = _between(own_start, target, whole.own_end)
        end = min(_milliseconds(middle + half), start + longest)
        parts.append(Stretch(start, end, own_start, middle))
        start, own_start = max(_start_after(parts[-1]), start), middle
    return (*parts, Stretch(start, whole.end, own_start, whole.own_end))


def expected(seconds: float, cutting: Cutting, *, rate: float) -> int:
    """About how many parts there will be, as far as that can be said without listening.

    It supposes speech with a pause near every target. Where that lies elsewhere there is one part more or
    less; silent parts, which are not sent, count as well.
    """
    longest = max(min(cutting.max_part, cutting.max_bytes / rate), LEAST_CAP)
    target = NEARLY_FULL * longest if cutting.target is None else min(cutting.target, longest)
    return 1 + math.ceil(max(0.0, seconds - longest) / target)


def sound(start: float, end: float, silences: Sequence[tuple[float, float]]) -> float:
    """How many seconds from `start` to `end` lie in no silence."""
    return end - start - sum(stop - begin for begin, stop in _clipped(silences, start, end))


def _start_after(stretch: Stretch) -> float:
    """Where the next part begins: what a part owns ends in the middle of what the two share."""
    return 2 * stretch.own_end - stretch.end


def _best(
    silences: Sequence[tuple[float, float]], earliest: float, latest: float, *, target: float, reach: float
) -> float | None:
    """The place to cut: a silence counts by its length, and for half of that at the edge of reach."""
    best, worth = None, 0.0
    pauses = [(begin, stop) for begin, stop in silences if stop - begin >= _LEAST_SILENCE]
    for begin, stop in _clipped(pauses, earliest, latest):
        length = stop - begin
        if length < _LEAST_IN_REACH:
            continue
        margin = min(_MARGIN, length / 2)
        at = min(max(target, begin + margin), stop - margin)
        value = min(length, _LONG_SILENCE) / (1 + abs(at - target) / reach)
        if value > worth:
            best, worth = _milliseconds(at), value
    return best


def _clipped(
    silences: Sequence[tuple[float, float]], earliest: float, latest: float
) -> Iterator[tuple[float, float]]:
    first = bisect_left(silences, earliest, key=lambda silence: silence[1])
    for begin, stop in silences[first:]:
        if begin >= latest:
            return
        yield max(begin, earliest), min(stop, latest)


def _between(low: float, wanted: float, high: float) -> float:
    """`wanted` if it leaves something on both sides of it, else the middle."""
    return wanted if low < wanted < high else (low + high) / 2


def _milliseconds(time: float) -> float:
    return math.floor(time * 1000) / 1000
