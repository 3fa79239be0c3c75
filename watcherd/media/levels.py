"""Levels: 16 kHz mono samples in, the stretches in which nothing is heard out, as they pass. Pure.

Silence is what is hardly louder than the noise there is: 10 dB above the quietest tenth of the last
minute or two, but never under -55 dB of full scale (a studio's pauses, breath included) nor over -35 dB (the
quietest words of a usual recording). A fixed figure would take a soft voice for silence, or find no pause on
a noisy line. Where there is a voice, it is at least 15 dB under that, however soft that is, down to -70 dB.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from math import hypot, log10, sqrt

RATE = 16_000
WINDOW = 320  # samples, 20 ms: the map is as exact as that
SHORTEST_SILENCE = 0.3  # seconds: a stop consonant holds up to 0.2, the pause between two sentences more

_STRIDE = 7  # every seventh sample tells the level within 1 dB, and costs a seventh
_PER_WINDOW = len(range(0, WINDOW, _STRIDE))
_CLICK = 3  # windows of sound that do not end a silence
_LEAST_WINDOWS = round(SHORTEST_SILENCE * RATE / WINDOW)
_BATCH = RATE  # samples between two looks at the noise

_QUIETEST, _LOUDEST, _ABOVE_NOISE = -55, -35, 10  # dB
_NOTHING = -90  # dB: the smallest figure of 16 bits
_FAINTEST = -70  # dB; below it is no voice
_STEADY, _BELOW_VOICE = 12, 15  # dB: between the noise and the rest, if there is a voice; and under the voice
_QUIET_PART, _LOUD_PART = 0.1, 0.05
_SAMPLED = 5  # of so many windows, one counts for the noise
_HALF_LIFE = 60  # batches, which are seconds
_AT_FIRST = 1.0  # window: what is supposed before anything is heard


class Levels:
    """The silence map in the making: `feed` it all samples in order, then `finish` it.

    `ended` holds the silences, in order, but for one that is still going on.
    """

    def __init__(self) -> None:
        self.ended: list[tuple[float, float]] = []
        self._rest = b""
        self._seen = 0  # whole windows
        self._since: int | None = None  # the window that the present silence began with
        self._loud = 0  # windows of sound at its end
        self._counts = [0.0] * (-_NOTHING + 1)  # of windows, by dB below full scale
        self._counts[-_QUIETEST] = _AT_FIRST
        self._batches = 0
        self._limit = _hypot_of(_QUIETEST + _ABOVE_NOISE)

    def feed(self, samples: bytes) -> None:
        """Take in signed 16-bit samples of this machine's byte order."""
        samples = self._rest + samples
        whole = len(samples) // (2 * WINDOW) * 2 * WINDOW
        for at in range(0, whole, 2 * _BATCH):
            self._batch(array("h", samples[at : min(at + 2 * _BATCH, whole)]))
        self._rest = samples[whole:]

    def finish(self) -> None:
        """The audio ends here; what is left of it is less than a window, and goes with the last."""
        self._rest = b""
        self._close()

    @property
    def going_on(self) -> tuple[float, float] | None:
        """The silence that is there now, up to now."""
        end = self._seen - self._loud
        if self._since is None or end - self._since < _LEAST_WINDOWS:
            return None
        return _time(self._since), _time(end)

    def since(self, time: float) -> list[tuple[float, float]]:
        """The silences that end after `time`, the one that is going on included."""
        found = self.ended[bisect_left(self.ended, time, key=lambda silence: silence[1]) :]
        if (now := self.going_on) is not None:
            found.append(now)
        return found

    def _batch(self, samples: array[int]) -> None:
        levels = [hypot(*samples[at : at + WINDOW : _STRIDE]) for at in range(0, len(samples), WINDOW)]
        self._measure_noise(levels)
        if max(levels) < self._limit:
            if self._since is None:
                self._since = self._seen
            self._loud = 0
            self._seen += len(levels)
            return
        for level in levels:
            self._take(quiet=level < self._limit)

    def _take(self, *, quiet: bool) -> None:
        self._seen += 1
        if quiet:
            if self._since is None:
                self._since = self._seen - 1
            self._loud = 0
        elif self._since is not None:
            self._loud += 1
            if self._loud > _CLICK:
                self._close()

    def _close(self) -> None:
        if (ended := self.going_on) is not None:
            self.ended.append(ended)
        self._since, self._loud = None, 0

    def _measure_noise(self, levels: list[float]) -> None:
        counts = self._counts
        for level in levels[::_SAMPLED]:
            counts[min(max(-_decibels(level), 0), -_NOTHING)] += 1
        self._batches += 1
        if self._batches % _HALF_LIFE == 0:
            counts[:] = [count / 2 for count in counts]
        noise = -self._reached(range(-_NOTHING, -1, -1), _QUIET_PART)
        voice = -self._reached(range(-_NOTHING + 1), _LOUD_PART)
        limit = min(max(noise + _ABOVE_NOISE, _QUIETEST), _LOUDEST)
        if voice - noise >= _STEADY:
            limit = max(min(limit, voice - _BELOW_VOICE), _FAINTEST)
        self._limit = _hypot_of(limit)

    def _reached(self, belows: range, part: float) -> int:
        """The first of some levels at which so large a part of all windows has been passed."""
        left = part * sum(self._counts)
        for below in belows:
            left -= self._counts[below]
            if left <= 0:
                return below
        return belows[-1]


def _time(window: int) -> float:
    return window * WINDOW / RATE


def _decibels(level: float) -> int:
    """What `hypot` says of a window, as dB of full scale."""
    return round(20 * log10(level / (32768 * sqrt(_PER_WINDOW)))) if level else _NOTHING


def _hypot_of(decibels: float) -> float:
    """The reverse."""
    return float(10 ** (decibels / 20) * 32768 * sqrt(_PER_WINDOW))
