"""Findings: what a media worker finds out about a file, and why it may refuse one. Plain values; no I/O.

They cross from the worker to the daemon as JSON objects; both ends read and write them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from watcherd.faults import Fault, Remedy, Scope
from watcherd.media.cut import Silences, Stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One audio track: `index` counts all of the container's streams, `language` is its tag if it has one.

    `codec` is FFmpeg's name ("aac"), "unknown" where no decoder knows it; `rate` in Hz and `channels` are
    0 where the file does not tell. `start` is by how many seconds it begins after the file does, by the
    header's word: a server to which the file is sent as it is begins to count there.
    """

    index: int
    codec: str
    rate: int
    channels: int
    default: bool
    language: str | None
    start: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a file says of itself, before anything is decoded.

    `container` is FFmpeg's name ("mov,mp4,m4a,3gp,3g2,mj2"); `duration` in seconds is the header's word
    (or FFmpeg's estimate from the bit rate), None when there is none; `video` means moving pictures, not
    a cover. `start` is what the container's own clock shows at its beginning, which is 0 on our time line.
    """

    container: str
    duration: float | None
    tracks: tuple[Track, ...]
    video: bool
    start: float = 0.0

    @property
    def audio(self) -> bool:
        """Whether there is any audio track."""
        return bool(self.tracks)

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """The reverse of `write`."""
        return cls(**(dict(message) | {"tracks": tuple(Track(**track) for track in message["tracks"])}))

    def write(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


class Warned(StrEnum):
    """What was not as it should be with a file whose audio was had all the same; the values are codes."""

    BROKEN_PACKETS = "broken_packets"  # some could not be decoded; silence stands in their place
    FORMAT_CHANGED = "format_changed"  # the rate, the channels or the sample format, within the track
    CLOCK_JUMPED = "clock_jumped"  # the time stamps did, and are not followed there
    SHORTER_THAN_SAID = (
        "shorter_than_said"  # the header promises more: the file is cut off, or the header wrong
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a whole decode found out: how long the audio is, where it begins, and where nothing is heard.

    Times are seconds on the file's time line; before `start` there is silence of our own making.
    """

    duration: float
    start: float
    silences: Silences
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One encoded part: a file of `bytes` bytes without a name behind `fd`, which is the receiver's to close.

    `silences` are those that touch it; `silent` says that nothing else is in it.
    """

    index: int
    stretch: Stretch
    bytes: int
    silent: bool
    silences: Silences
    fd: int


class Refusal(StrEnum):
    """Why a file's audio cannot be had; the values are the fault codes."""

    UNDECODABLE = "undecodable"
    NO_AUDIO = "no_audio"
    UNKNOWN_CODEC = "unknown_codec"
    ENCRYPTED = "drm"
    OUT_OF_MEMORY = "decoder_out_of_memory"
    CRASHED = "decoder_crashed"
    TOO_SLOW = "decoding_took_too_long"
    TOO_LONG = "too_much_audio"


_WORDS = {
    Refusal.UNDECODABLE: (
        "No audio could be decoded from this file.",
        "It is damaged, cut off, or no audio or video at all: play it, then export or download it again.",
    ),
    Refusal.NO_AUDIO: (
        "The file has no audio track.",
        "There is nothing to translate in it; if it should have sound, export it again with its audio.",
    ),
    Refusal.UNKNOWN_CODEC: (
        "The file's audio is in a format that the decoder does not know.",
        "Convert it to FLAC, MP3, M4A or WAV first.",
    ),
    Refusal.ENCRYPTED: (
        "The file is copy-protected (DRM).",
        "Its audio can only be decoded by the vendor's player; supply an unprotected copy.",
    ),
    Refusal.OUT_OF_MEMORY: (
        "Decoding the file needs more memory than the decoder is allowed.",
        "Its structure is unusual or damaged: convert it to FLAC, MP3, M4A or WAV first.",
    ),
    Refusal.CRASHED: (
        "The decoder crashed on this file, twice.",
        "The file is probably damaged: convert it with another program, then drop it again.",
    ),
    Refusal.TOO_SLOW: (
        "Decoding the file took too long and was given up.",
        "If the machine was very busy, retry it; if not, convert the file to FLAC or MP3 first.",
    ),
    Refusal.TOO_LONG: (
        "The file holds more audio than is taken from one file.",
        "Cut it into shorter files; if it should not be so long, it is damaged: export it again.",
    ),
}


def file_fault(refusal: Refusal, said: str = "") -> Fault:
    """The fault of a file whose audio cannot be had; `said` is the decoder's own short reason."""
    message, hint = _WORDS[refusal]
    return Fault(
        scope=Scope.FILE,
        code=refusal.value,
        message=f"{message.removesuffix('.')}: {said}." if said else message,
        hint=hint,
        remedy=Remedy.FAIL,
    )
