"""Codec: what audio may be encoded as for an upload, and what of that is known beforehand. Pure."""

from __future__ import annotations

from enum import StrEnum

from watcherd.media.sniff import Container


class Codec(StrEnum):
    """16 kHz mono as FLAC, as Opus of 24 kbit/s in Ogg, as MP3 of 64 kbit/s."""

    FLAC = "flac"
    OPUS = "opus"
    MP3 = "mp3"

    @property
    def container(self) -> Container:
        """What the file is, for its name in an upload."""
        return {Codec.FLAC: Container.FLAC, Codec.OPUS: Container.OGG, Codec.MP3: Container.MP3}[self]

    @property
    def rate(self) -> float:
        """The most bytes that a second can take, with what the container adds."""
        # FLAC stores what it cannot compress; Opus may save up bits for later; MP3's rate is constant.
        return {Codec.FLAC: 32_150.0, Codec.OPUS: 4_000.0, Codec.MP3: 8_200.0}[self]
