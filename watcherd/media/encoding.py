"""Encoding: 16 kHz mono samples in, a FLAC, Ogg or MP3 file out. In the child only.

The same samples make the same bytes, and a decoder gets as many samples back as went in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

from watcherd.media.codec import Codec
from watcherd.media.decoding import first_alone
from watcherd.media.levels import RATE
from watcherd.media.opening import Sink

_HEADER = 1024  # bytes: more than any of the three takes
_AT_ONCE = 10 * 2 * RATE  # bytes to a frame
_TICK = Fraction(1, RATE)
_BLOCK = 1 << 16

_FORMAT = {Codec.FLAC: "flac", Codec.OPUS: "ogg", Codec.MP3: "mp3"}
_ENCODER = {Codec.FLAC: "flac", Codec.OPUS: "libopus", Codec.MP3: "libmp3lame"}
_BITS = {Codec.OPUS: 24_000, Codec.MP3: 64_000}
_OPTIONS = {Codec.OPUS: {"application": "voip", "vbr": "constrained", "frame_duration": "60"}}
# No random serial number, no padding for later tags, no tag; written in blocks.
_LAYOUT = {
    Codec.FLAC: {"metadata_header_padding": "0"},
    Codec.OPUS: {"fflags": "+bitexact"},
    Codec.MP3: {"id3v2_version": "0"},
}
_IN_BLOCKS = {"flush_packets": "0"}


class Encoder:
    """One file in the making. `samples` counts what went in, `bytes` is what it makes, or a little more.

    A sink that fails is its own witness: look at its `error`.
    """

    def __init__(self, sink: Sink, codec: Codec) -> None:
        self._sink = sink
        self._rate = codec.rate
        self._output = av.open(
            sink,
            "w",
            format=_FORMAT[codec],
            buffer_size=_BLOCK,
            container_options=_LAYOUT[codec] | _IN_BLOCKS,
        )
        track = self._output.add_stream(
            _ENCODER[codec], rate=RATE, layout="mono", options=dict(_OPTIONS.get(codec, {}))
        )
        assert isinstance(track, AudioStream)
        self._track = track
        if codec in _BITS:
            self._track.bit_rate = _BITS[codec]
        self._encode: Callable[[AudioFrame | None], Sequence[Packet[Any]]] = first_alone(self._track.encode)
        self._packets = 0
        self._coded = 0  # samples that left the encoder
        self.samples = 0
        self.bytes = _HEADER

    def room(self, most: int) -> float:
        """How many seconds it may hold at the least, from its beginning, until it has `most` bytes."""
        return self._coded / RATE + (most - self.bytes) / self._rate

    def write(self, samples: bytes) -> None:
        """Take in signed 16-bit samples of this machine's byte order."""
        for at in range(0, len(samples), _AT_ONCE):
            piece = samples[at : at + _AT_ONCE]
            frame = AudioFrame(format="s16", layout="mono", samples=len(piece) // 2)
            frame.planes[0].update(piece)
            frame.sample_rate = RATE
            frame.pts = self.samples
            frame.time_base = _TICK
            self.samples += frame.samples
            self._mux(self._encode(frame))

    def finish(self) -> int:
        """Complete the file; its size in bytes."""
        self._mux(self._track.encode(None))
        self._output.close()
        return self._sink.size

    def drop(self) -> None:
        """Let go of a file that nobody wants any more."""
        self._output.close()

    def _mux(self, packets: Sequence[Packet[Any]]) -> None:
        for packet in packets:
            self.bytes += packet.size + _PER_PACKET
            self._coded += packet.duration or 0
        self._output.mux(packets)


_PER_PACKET = 32  # bytes, for a page of Ogg that may begin with it
