"""Audio: an uploaded media file in; its sound out as 16 kHz mono samples, a stretch at a time.

Whatever the length, only a stretch is in memory, so a recording of hours needs no more than one of
minutes, and a small file that unpacks to days does no harm. In the child only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import BinaryIO

import av
import numpy as np
from av.codec import Codec, codecs_available
from av.container import InputContainer
from numpy.typing import NDArray

RATE = 16_000  # what Whisper hears, samples a second
STRETCH = 120  # seconds heard in one go; 300 takes half as much memory again, and hardly less time

Samples = NDArray[np.int16]

# Only containers that are one file: an uploaded play list must not open its neighbours.
_CONTAINERS = "aac,ac3,aiff,amr,asf,avi,caf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,w64,wav,wv"


class UndecodableError(Exception):
    """The file holds no sound that can be decoded; the text says why, as the end of a sentence."""


class Tape:
    """Sound that is wound on stretch by stretch. `position` counts samples from the file's start."""

    def __init__(self, blocks: Iterator[Samples], *, seconds: float = STRETCH) -> None:
        self.seconds = seconds
        self._blocks = blocks
        self._held: Samples = np.empty(0, np.int16)
        self.position = 0
        self.at_end = False

    @property
    def duration(self) -> float:
        """Seconds of sound up to the end of what has been decoded so far."""
        return (self.position + len(self._held)) / RATE

    def stretch(self) -> NDArray[np.float32]:
        """Return what follows the position, in -1 to 1: `seconds` of it, fewer at the end, none after it.

        Raises whatever the blocks raise.
        """
        wanted = int(self.seconds * RATE)
        pieces = [self._held]
        length = len(self._held)
        while length < wanted and not self.at_end:
            block = next(self._blocks, None)
            if block is None:
                self.at_end = True
            else:
                pieces.append(block)
                length += len(block)
        self._held = np.concatenate(pieces)
        return self._held[:wanted].astype(np.float32) / np.float32(32768)

    def wind(self, samples: int) -> None:
        """Move the position on; what lies before it is forgotten."""
        self._held = self._held[samples:]
        self.position += samples


def decode(file: BinaryIO) -> Iterator[Samples]:
    """Decode the default audio track. Damaged packets are left out; what is cut off ends where it ends.

    Raises UndecodableError before the first block where nothing can be had.
    """
    try:
        container = av.open(
            file,
            mode="r",
            metadata_errors="ignore",
            container_options={
                "protocol_whitelist": "",
                "format_whitelist": _CONTAINERS,
                "codec_whitelist": _audio_decoders(),
            },
        )
    except (av.FFmpegError, ValueError) as error:
        raise UndecodableError("it is no audio or video file that is known here") from error
    with container:
        empty = True
        for block in _resampled(_frames(container)):
            empty = False
            yield block
    if empty:
        raise UndecodableError("not one sample of sound could be decoded")


def _frames(container: InputContainer) -> Iterator[av.AudioFrame]:
    stream = container.streams.best("audio")
    if not isinstance(stream, av.AudioStream):
        raise UndecodableError("it has no audio track")
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):  # a broken container: what came so far counts
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            yield frame


def _resampled(frames: Iterator[av.AudioFrame]) -> Iterator[Samples]:
    """Bring every frame to RATE, mono; a change of format on the way, as in joined MP3s, is followed."""
    resampler, known = None, None
    for frame in frames:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != known:
            yield from _flushed(resampler)
            resampler, known = av.AudioResampler(format="s16", layout="mono", rate=RATE), shape
        assert resampler is not None
        frame.pts = None  # broken time stamps would be filled up with silence
        yield from (out.to_ndarray()[0] for out in resampler.resample(frame))
    yield from _flushed(resampler)


def _flushed(resampler: av.AudioResampler | None) -> Iterator[Samples]:
    if resampler is not None:
        yield from (out.to_ndarray()[0] for out in resampler.resample(None) if out.samples)


@cache
def _audio_decoders() -> str:
    """List the decoders of sound by name: those of pictures, the largest target, are never opened."""
    names = []
    for name in sorted(codecs_available):
        try:
            if Codec(name, "r").type == "audio":
                names.append(name)
        except (ValueError, av.FFmpegError):
            continue  # it only encodes
    return ",".join(names)
