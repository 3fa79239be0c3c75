"""Prepare: an open container in, its speech as 16 kHz mono FLAC out. In the child only.

One pass and constant memory. The FLAC keeps the container's time line, since subtitles are shown on that:
where packets are missing or broken, and before a track that starts late, there is silence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any, TypeVar

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from watcherd.media.findings import Encoded, Refusal
from watcherd.media.opening import Sink, Source
from watcherd.media.probe import COVERS, duration_of

RATE = 16000

_SMALLEST_GAP = RATE // 10  # encoders pad by up to 50 ms, and time stamps are rounded: that is no gap
_SILENCE_AT_MOST = (
    3600 * RATE
)  # in one file, where its header does not vouch for more; past it, clocks are wrong
_SILENCE_EVER = 24 * 3600 * RATE
_TRUE_HEADERS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}  # others are judged by their last time stamp
_CLOCK_JUMP = -RATE
_SILENT_BLOCK = RATE
_ERRORS_IN_A_ROW = 100
_BLOCK = 1 << 16

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_Resample = Callable[[AudioFrame | None], list[AudioFrame]]


class RefusedError(Exception):
    """The file's audio cannot be had; `said` is the decoder's own word."""

    def __init__(self, refusal: Refusal, said: str = "") -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
        self.said = said


def to_flac(container: InputContainer, source: Source, sink: Sink) -> Encoded:
    """Decode the default audio track of `container` (opened over `source`) into `sink`.

    Raises RefusedError when there is no track, no decoder, or not one sample; av.FFmpegError for what FFmpeg
    cannot go on from; stops early when `source` or `sink` have failed: look at their `error`.
    """
    stream = choose_track(container)
    decoding = _Decoding(container, stream)
    with av.open(sink, "w", format="flac", buffer_size=_BLOCK) as output:
        track = output.add_stream("flac", rate=RATE, layout="mono")
        line = _TimeLine(container)
        encode = _first_alone(track.encode)
        for frame in decoding.frames():
            for piece in line.place(frame, zero=decoding.zero):
                output.mux(encode(piece))
            if source.error or sink.error:
                break
        for piece in line.finish():
            output.mux(encode(piece))
        output.mux(track.encode(None))
    if not line.heard:
        raise RefusedError(Refusal.UNDECODABLE, decoding.said)
    return Encoded(duration=line.written / RATE, bytes=sink.size, broken=decoding.broken)


def choose_track(container: InputContainer) -> AudioStream:
    """The track marked as default, else the first, among those that can be decoded.

    Raises RefusedError when there is none.
    """
    tracks = container.streams.audio
    if not tracks:
        raise RefusedError(Refusal.NO_AUDIO)
    known = [stream for stream in tracks if stream.codec_context]
    if not known:
        raise RefusedError(Refusal.UNKNOWN_CODEC)
    return min(
        known,
        key=lambda stream: (
            not stream.codec_context.sample_rate,  # announced, but without a single packet
            not stream.disposition & Disposition.default,
            stream.index,
        ),
    )


def _first_alone(convert: Callable[[_In], _Out]) -> Callable[[_In], _Out]:
    """`convert`, whose first call sees a machine of one processor.

    That call builds a filter graph, and a filter graph starts a thread for each processor: on a large
    machine their stacks alone would fill a capped address space.
    """
    called = False

    def converted(value: _In) -> _Out:
        nonlocal called
        if called:
            return convert(value)
        called = True
        allowed = os.sched_getaffinity(0)
        with suppress(OSError):  # a sandbox may forbid it: threads are no error
            os.sched_setaffinity(0, {min(allowed)})
        try:
            return convert(value)
        finally:
            with suppress(OSError):
                os.sched_setaffinity(0, allowed)

    return converted


class _Decoding:
    """One track's frames; packets that cannot be decoded are counted, and `said` keeps FFmpeg's last word.

    `zero` is where the container's time line begins, in seconds of its own clock. FFmpeg's word for it leaves
    out pictures whose decoder it may not open: so the packets before the first sound are looked at, too.
    """

    def __init__(self, container: InputContainer, stream: AudioStream) -> None:
        self._container = container
        self._stream = stream
        self.broken = 0
        self.said = ""
        self.zero = Fraction(container.start_time or 0, av.time_base)
        stream.codec_context.thread_count = 1
        self._ignore(lambda other: other.type != "video" or bool(other.disposition & COVERS))

    def frames(self) -> Iterator[AudioFrame]:
        for packet in self._packets():
            try:
                yield from self._stream.decode(packet)
            except EOFError:
                break
            except FFmpegError as error:
                self._note(error)
        try:
            yield from self._stream.decode(None)
        except FFmpegError as error:
            self.said = self.said or error.strerror or ""

    def _packets(self) -> Iterator[Packet[Any]]:
        """Packets until the end; a demuxer that stumbles is asked again, a hundred times in a row."""
        failures = 0
        while failures < _ERRORS_IN_A_ROW:
            try:
                for packet in self._container.demux():
                    if packet.stream.index != self._stream.index:
                        self._begin_with(packet)
                    elif packet.size:
                        failures = 0
                        self._ignore(lambda other: other.index != self._stream.index)
                        yield packet
            except FFmpegError as error:
                failures += 1
                self._note(error)
            else:
                return

    def _begin_with(self, packet: Packet[Any]) -> None:
        if packet.pts is not None and packet.time_base and packet.stream.discard is not Discard.all:
            self.zero = min(self.zero, packet.pts * packet.time_base)

    def _ignore(self, unwanted: Callable[[Stream], bool]) -> None:
        for other in self._container.streams:
            if other.index != self._stream.index and unwanted(other):
                other.discard = Discard.all

    def _note(self, error: FFmpegError) -> None:
        self.broken += 1
        self.said = error.strerror or ""


class _TimeLine:
    """Frames of any rate and layout in, 16 kHz mono frames and the silence between them out.

    `written` counts the samples that went out, `heard` those of them that were decoded.
    """

    def __init__(self, container: InputContainer) -> None:
        end = (duration_of(container) or 0) * RATE if container.format.name in _TRUE_HEADERS else 0
        self._allowance = min(max(end, _SILENCE_AT_MOST), _SILENCE_EVER)
        self._shift = 0  # what the clock has jumped by, in samples
        self._resample: _Resample | None = None
        self._shape: tuple[object, ...] = ()
        self.written = 0
        self.heard = 0

    def place(self, frame: AudioFrame, *, zero: Fraction) -> Iterator[AudioFrame]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            yield from self.finish()
            self._resample = _new_resampler()
            self._shape = shape
        if frame.pts is not None and frame.time_base is not None:
            yield from self._gap(round((frame.pts * frame.time_base - zero) * RATE))
        yield from self._resampled(frame)

    def finish(self) -> Iterator[AudioFrame]:
        yield from self._resampled(None)
        self._resample = None
        self._shape = ()

    def _resampled(self, frame: AudioFrame | None) -> Iterator[AudioFrame]:
        if self._resample is None:
            return
        for piece in self._resample(frame):
            self.heard += piece.samples
            yield self._stamped(piece)

    def _gap(self, stamp: int) -> Iterator[AudioFrame]:
        """Silence up to where the next frame says it belongs, if that is to be believed."""
        due = stamp - self._shift
        missing = due - self.written
        if missing < _CLOCK_JUMP or missing > self._allowance:
            self._shift += missing
        elif missing > _SMALLEST_GAP:
            self._allowance -= missing
            yield from self._resampled(None)
            self._resample = _new_resampler()
            while (rest := due - self.written) > 0:
                yield self._stamped(_silence(min(rest, _SILENT_BLOCK)))

    def _stamped(self, frame: AudioFrame) -> AudioFrame:
        frame.pts = self.written
        frame.time_base = Fraction(1, RATE)
        self.written += frame.samples
        return frame


def _new_resampler() -> _Resample:
    return _first_alone(AudioResampler(format="s16", layout="mono", rate=RATE).resample)


def _silence(samples: int) -> AudioFrame:
    frame = AudioFrame(format="s16", layout="mono", samples=samples)
    frame.sample_rate = RATE
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    return frame
