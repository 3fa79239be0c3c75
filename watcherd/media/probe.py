"""Probe: an open container in, what it says of itself out. In the child only; decodes no sound."""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import islice

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from watcherd.media.findings import Probe, Track

_LOOKED_AT = 500  # packets, a few seconds of a film
_UNKNOWN_LANGUAGES = {None, "", "und"}
COVERS = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def describe(container: InputContainer) -> Probe:
    """The container's own word on its length and streams. Subtitles, data and covers are left out."""
    starts = _starts(container)
    zero = min((container.start_time or 0) / av.time_base, *starts.values(), math.inf)
    return Probe(
        container=container.format.name,
        duration=duration_of(container),
        tracks=tuple(
            _track(stream, starts.get(stream.index, zero) - zero) for stream in container.streams.audio
        ),
        video=any(not stream.disposition & COVERS for stream in container.streams.video),
        start=zero,
    )


def _starts(container: InputContainer) -> dict[int, float]:
    """When each track's first packet is to be played, by the container's clock; only its beginning is read.

    The header tells, too, but leaves out pictures whose decoder may not be opened.
    """
    starts: dict[int, float] = {}
    pending = {
        stream.index
        for stream in (*container.streams.audio, *container.streams.video)
        if not stream.disposition & COVERS
    }
    with suppress(FFmpegError):
        for packet in islice(container.demux(), _LOOKED_AT):
            if packet.stream_index in pending and packet.pts is not None and packet.time_base:
                pending.discard(packet.stream_index)
                starts[packet.stream_index] = float(packet.pts * packet.time_base)
            if not pending:
                break
    return starts


def duration_of(container: InputContainer) -> float | None:
    """The length in seconds that the header tells, or FFmpeg's estimate; None when there is neither."""
    lengths = [
        float(stream.duration * stream.time_base)
        for stream in container.streams.audio
        if stream.duration and stream.time_base
    ]
    if container.duration is not None and container.duration > 0:
        return container.duration / av.time_base
    return max(lengths, default=None)


def _track(stream: AudioStream, start: float) -> Track:
    context = stream.codec_context
    language = stream.language
    return Track(
        index=stream.index,
        codec=context.codec.canonical_name if context else "unknown",
        rate=context.sample_rate if context else 0,
        channels=context.channels if context else 0,
        default=bool(stream.disposition & Disposition.default),
        language=None if language in _UNKNOWN_LANGUAGES else language,
        start=start,
    )
