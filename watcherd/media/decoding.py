"""Decoding: an open container in, its sound as 16 kHz mono samples out. In the child only.

One pass and constant memory. The samples keep the container's time line, since subtitles are shown on that:
its zero is where the container begins, which is where players begin to count, whichever stream that is; where
packets are missing or broken, and before a track that starts late, there is silence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import av
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from watcherd.media.findings import Refusal, Warned
from watcherd.media.levels import RATE
from watcherd.media.probe import COVERS, duration_of

_SMALLEST_GAP = RATE // 10  # encoders pad by up to 50 ms, and time stamps are rounded: that is no gap
_SILENCE_AT_MOST = (
    3600 * RATE
)  # in one file, where its header does not vouch for more; past it, clocks are wrong
_SILENCE_EVER = 24 * 3600 * RATE
_TRUE_HEADERS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}  # others are judged by their last time stamp
# Of others, FFmpeg guesses the length from the bit rate.
_HEADERS_TELL = _TRUE_HEADERS | {"aiff", "asf", "avi", "caf", "flac", "flv", "ogg", "w64", "wav"}
_UNBROKEN = {"flac", "ogg"}  # they have no holes of their own: where one is, something was lost
_CLOCK_JUMP = -RATE
_SILENT_BLOCK = RATE
_GATHERED = 16384  # samples
_ERRORS_IN_A_ROW = 100

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_Resample = Callable[[AudioFrame | None], list[AudioFrame]]


class RefusedError(Exception):
    """The file's audio cannot be had; `said` is the decoder's own word."""

    def __init__(self, refusal: Refusal, said: str = "") -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
        self.said = said


class Decoding:
    """One audio track of `container`, the one with the index `track` or else the default, as it is decoded.

    Raises RefusedError when there is no such track or no decoder for it. `samples()` can be had once;
    `decoded` counts those that came from the file, `start` is the time of the first of them. `promised` is
    how many seconds of this track the header tells of, None where FFmpeg would only guess.
    """

    def __init__(self, container: InputContainer, *, track: int | None = None) -> None:
        stream = _stream(container, track)
        self._packets = _Packets(container, stream)
        self._line = _TimeLine(container)
        self.promised = _promised(container, stream)

    @property
    def decoded(self) -> int:
        """How many samples came from the file, silence that was put in left out."""
        return self._line.heard

    @property
    def start(self) -> float:
        """When the first of them is heard, in seconds."""
        return self._line.start / RATE

    @property
    def said(self) -> str:
        """FFmpeg's last word on a packet that could not be decoded."""
        return self._packets.said

    @property
    def warnings(self) -> list[Warned]:
        """What was not as it should be, so far."""
        seen = {
            Warned.BROKEN_PACKETS: self._packets.broken or self._line.lost,
            Warned.FORMAT_CHANGED: self._line.changes,
            Warned.CLOCK_JUMPED: self._line.jumps,
        }
        return [warned for warned, times in seen.items() if times]

    def samples(self) -> Iterator[bytes]:
        """Signed 16-bit samples of this machine's byte order, in pieces of any size but no more than 1 s.

        Raises av.FFmpegError for what FFmpeg cannot go on from.
        """
        for frame in self._packets.frames():
            yield from self._line.place(frame, zero=self._packets.zero)
        yield from self._line.finish()


def _stream(container: InputContainer, track: int | None) -> AudioStream:
    """The track that is asked for; else, of those that can be decoded, the default or the first."""
    tracks = container.streams.audio
    if track is not None:
        tracks = tuple(stream for stream in tracks if stream.index == track)
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


def _promised(container: InputContainer, stream: AudioStream) -> float | None:
    if container.format.name not in _HEADERS_TELL:
        return None
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    pictures = any(not other.disposition & COVERS for other in container.streams.video)
    return None if pictures else duration_of(container)


def first_alone(convert: Callable[[_In], _Out]) -> Callable[[_In], _Out]:
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


class _Packets:
    """One track's frames; packets that cannot be decoded are counted, and `said` keeps FFmpeg's last word.

    `zero` is where the container's time line begins, in samples of its own clock. FFmpeg's word for it leaves
    out pictures whose decoder it may not open: so the packets before the first sound are looked at, too.
    """

    def __init__(self, container: InputContainer, stream: AudioStream) -> None:
        self._container = container
        self._stream = stream
        self.broken = 0
        self.said = ""
        self.zero = (container.start_time or 0) * RATE // av.time_base
        stream.codec_context.thread_count = 1
        self._ignore(lambda other: other.type != "video" or bool(other.disposition & COVERS))

    def frames(self) -> Iterator[AudioFrame]:
        for packet in self._sounding():
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

    def _sounding(self) -> Iterator[Packet[Any]]:
        """Packets until the end; a demuxer that stumbles is asked again, a hundred times in a row."""
        failures, index, alone = 0, self._stream.index, False
        while failures < _ERRORS_IN_A_ROW:
            try:
                for packet in self._container.demux():
                    if packet.stream_index != index:
                        self._begin_with(packet)
                    elif packet.size:
                        failures = 0
                        if not alone:
                            alone = True
                            self._ignore(lambda other: other.index != index)
                        yield packet
            except FFmpegError as error:
                failures += 1
                self._note(error)
            else:
                return

    def _begin_with(self, packet: Packet[Any]) -> None:
        if packet.pts is not None and packet.time_base and packet.stream.discard is not Discard.all:
            self.zero = min(self.zero, int(packet.pts * packet.time_base * RATE))

    def _ignore(self, unwanted: Callable[[Stream], bool]) -> None:
        for other in self._container.streams:
            if other.index != self._stream.index and unwanted(other):
                other.discard = Discard.all

    def _note(self, error: FFmpegError) -> None:
        self.broken += 1
        self.said = error.strerror or ""


class _TimeLine:
    """Frames of any rate and layout in; 16 kHz mono samples, and the silence between them, out.

    `written` counts the samples that went out, `heard` those of them that were decoded, `start` those before.
    Frames are gathered before they are converted: most formats have 50 in a second, which would cost more
    in calls than in work.
    """

    def __init__(self, container: InputContainer) -> None:
        end = (duration_of(container) or 0) * RATE if container.format.name in _TRUE_HEADERS else 0
        self._allowance = min(max(end, _SILENCE_AT_MOST), _SILENCE_EVER)
        self._unbroken = container.format.name in _UNBROKEN
        self._shift = 0  # what the clock has jumped by, in samples
        self._resample: _Resample = _new_resampler()
        self._gathered = AudioFifo()
        self._shape: tuple[object, ...] = ()
        self._tick = (0, 0)  # a time stamp's unit in such frames, in samples
        self._rate = RATE  # theirs
        self.written = 0
        self.heard = 0
        self.start = 0
        self.changes = 0
        self.jumps = 0
        self.lost = 0  # holes that damage has left

    def place(self, frame: AudioFrame, *, zero: int) -> Iterator[bytes]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            if self._shape:
                self.changes += 1
                yield from self.finish()
            self._shape, self._rate = shape, frame.sample_rate
            self._tick = (frame.time_base * RATE).as_integer_ratio() if frame.time_base else (0, 0)
        ticks, per_sample = self._tick
        if frame.pts is not None and per_sample:
            yield from self._gap(frame.pts * ticks // per_sample - zero)
            frame.pts = None  # the next step would ask for an unbroken row
        self._gathered.write(frame)
        if self._gathered.samples >= _GATHERED:
            yield from self._convert()

    def finish(self) -> Iterator[bytes]:
        """Let out all that is still inside."""
        if self._gathered.samples:
            yield from self._convert()
        yield from self._out(self._resample(None))
        self._resample, self._gathered = _new_resampler(), AudioFifo()

    def _convert(self) -> Iterator[bytes]:
        yield from self._out(self._resample(self._gathered.read()))

    def _out(self, pieces: list[AudioFrame]) -> Iterator[bytes]:
        for piece in pieces:
            if not self.heard:
                self.start = self.written
            self.heard += piece.samples
            self.written += piece.samples
            yield bytes(piece.planes[0])[: 2 * piece.samples]

    def _gap(self, stamp: int) -> Iterator[bytes]:
        """Silence up to where the next frame says it belongs, if that is to be believed."""
        due = stamp - self._shift
        missing = due - self.written - self._gathered.samples * RATE // self._rate
        if missing < _CLOCK_JUMP or missing > self._allowance:
            self._shift += missing
            self.jumps += bool(self.written or self._gathered.samples)
        elif missing > _SMALLEST_GAP:
            self._allowance -= missing
            self.lost += self._unbroken and bool(self.written or self._gathered.samples)
            yield from self.finish()
            while (rest := due - self.written) > 0:
                samples = min(rest, _SILENT_BLOCK)
                self.written += samples
                yield bytes(2 * samples)


def _new_resampler() -> _Resample:
    return first_alone(AudioResampler(format="s16", layout="mono", rate=RATE).resample)
