"""Making: samples in as they are decoded, parts out while later ones are being made. In the child only.

What may still fall to either side of a cut is held as samples, two minutes at most; all before it is encoded.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from watcherd.media.codec import Codec
from watcherd.media.cut import Planner, Stretch, sound
from watcherd.media.encoding import Encoder
from watcherd.media.levels import RATE, Levels
from watcherd.media.opening import Sink

_SILENT = 0.1  # seconds of sound in a part that is silent: clicks, and what the map's windows leave over


@dataclass(frozen=True, slots=True)
class Finished:
    """One part; the file behind `fd` has no name, and is the receiver's to close."""

    index: int
    stretch: Stretch
    bytes: int
    silent: bool
    fd: int


class Making:
    """Makes the parts that `planner` decides on, and gives each to `send` at once.

    Those whose index is among `answered` are passed over. `folder_fd` is where the files lie.
    """

    def __init__(
        self,
        planner: Planner,
        *,
        codec: Codec,
        most_bytes: int,
        answered: Collection[int],
        folder_fd: int,
        send: Callable[[Finished], None],
    ) -> None:
        self._planner = planner
        self._codec = codec
        self._most_bytes = most_bytes
        self._answered = answered
        self._folder_fd = folder_fd
        self._send = send
        self.levels = Levels()
        self._held: deque[bytes] = deque()
        self._held_from = 0  # the sample that the held ones begin with
        self._encoder: Encoder | None = None
        self._sink: Sink | None = None
        self.decoded = 0
        self.encoded_bytes = 0
        self.error: OSError | None = None

    @property
    def done(self) -> bool:
        """Whether no more samples are wanted: all parts are made, or none can be written."""
        return self._planner.done or self.error is not None

    def feed(self, samples: bytes) -> None:
        """Take in samples in order, a few seconds at a time."""
        self.levels.feed(samples)
        self._held.append(samples)
        self.decoded += len(samples) // 2
        self._go_on(ended=False)

    def finish(self) -> None:
        """The audio ends here."""
        self.levels.finish()
        self._go_on(ended=True)

    def drop(self) -> None:
        """Let go of the part that is in the making."""
        if self._encoder is not None and self._sink is not None:
            self._encoder.drop()
            os.close(self._sink.fd)
        self._encoder = self._sink = None

    def _go_on(self, *, ended: bool) -> None:
        decoded = self.decoded / RATE
        while not self.done:
            index, begun = self._planner.made, self._planner.start
            encoded = begun + (self._encoder.samples / RATE if self._encoder else 0.0)
            stretch = self._planner.next(
                decoded,
                self.levels.since(encoded),
                encoded=encoded,
                full=begun + self._encoder.room(self._most_bytes) if self._encoder else begun + self._fits,
                ended=ended,
            )
            if stretch is None:
                self._encode(index, begun, until=self._planner.settled(decoded))
                break
            self._encode(index, stretch.start, until=min(stretch.end, decoded))
            self._complete(index, stretch)
        self._forget(self._planner.needed(decoded))

    @property
    def _fits(self) -> float:
        return self._most_bytes / self._codec.rate

    def _encode(self, index: int, begun: float, *, until: float) -> None:
        first, last = round(begun * RATE), min(round(until * RATE), self.decoded)
        if index in self._answered or last <= first:
            return
        if self._encoder is None:
            self._begin()
        if self._encoder is None:
            return
        self._encoder.write(self._samples(first + self._encoder.samples, last))
        self._check()

    def _begin(self) -> None:
        try:
            fd = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=self._folder_fd)
        except OSError as error:
            self.error = error
            return
        self._sink = Sink(fd)
        self._encoder = Encoder(self._sink, self._codec)

    def _complete(self, index: int, stretch: Stretch) -> None:
        if self._encoder is None or self._sink is None:
            return
        size = self._encoder.finish()
        fd = self._sink.fd
        self._check()
        self._encoder = self._sink = None
        self.encoded_bytes += size
        try:
            if self.error is None:
                silences = self.levels.since(stretch.start)
                silent = sound(stretch.start, stretch.end, silences) < _SILENT
                self._send(Finished(index, stretch, size, silent, fd))
        finally:
            os.close(fd)

    def _check(self) -> None:
        if self._sink is not None and self._sink.error is not None:
            self.error = self._sink.error

    def _samples(self, first: int, last: int) -> bytes:
        """Those that are held from `first` up to `last`."""
        wanted, at = bytearray(), self._held_from
        for samples in self._held:
            if at >= last:
                break
            if 2 * (first - at) < len(samples):
                wanted += samples[max(2 * (first - at), 0) : 2 * (last - at)]
            at += len(samples) // 2
        return bytes(wanted)

    def _forget(self, before: float) -> None:
        while self._held and self._held_from + len(self._held[0]) // 2 <= round(before * RATE):
            self._held_from += len(self._held.popleft()) // 2
