"""Opening: an open descriptor in, an FFmpeg container out, that can open nothing else. In the child only.

A dropped file may be a script that names others: an ffconcat list, an HLS play list, a movie with
references. Two walls, each enough by itself: only demuxers that read one file (`format_whitelist`), and
no protocol at all (`protocol_whitelist`), since the bytes come from our descriptor. A third keeps video
decoders, the largest target of damaged files, from ever being opened (`codec_whitelist`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

import av
from av.codec import Codec, codecs_available
from av.container import InputContainer
from av.error import FFmpegError

_BLOCK = 1 << 18

_FORMATS = (
    "aa,aac,ac3,ac4,aiff,amr,amrnb,amrwb,ape,asf,asf_o,ast,au,avi,bink,bonk,caf,dhav,"
    "dsf,dts,dtshd,dv,eac3,flac,flv,gsm,gxf,hcom,iff,ipmovie,ircam,ivf,lc3,loas,matroska,"
    "webm,mlp,moflex,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nsp,"
    "nsv,nut,nuv,ogg,oma,osq,paf,qcp,qoa,rka,rm,roq,sbc,shn,smk,sox,spdif,tak,truehd,"
    "tta,ty,vivo,voc,vqf,w64,wav,wavarc,wsd,wtv,wv,xa,xmv,xwma"
)


class Source:
    """A read-only file object over a descriptor, with its own offset.

    It never raises, since exceptions do not pass through C in order: after a failed read it is at its
    end, and `error` says why. Whenever it has come further than ever before, it calls `went_on`.
    """

    def __init__(self, fd: int, went_on: Callable[[], None] = lambda: None) -> None:
        self._fd = fd
        self._went_on = went_on
        self._offset = 0
        self._furthest = 0
        self.error: OSError | None = None

    def read(self, count: int) -> bytes:
        """At most `count` bytes from here; empty at the end."""
        if self.error:
            return b""
        try:
            block = os.pread(self._fd, count, self._offset)
        except OSError as error:
            self.error = error
            return b""
        self._offset += len(block)
        if self._offset > self._furthest:
            self._furthest = self._offset
            self._went_on()
        return block

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset`, which may lie past the end."""
        try:
            base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: os.fstat(self._fd).st_size}[
                whence
            ]
        except OSError as error:
            self.error = error
        else:
            self._offset = max(base + offset, 0)
        return self._offset

    def tell(self) -> int:
        """The offset."""
        return self._offset


class Sink:
    """A write-only, seekable file object over a descriptor; like Source, it never raises."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._offset = 0
        self.size = 0
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of `data` here; after an error, nothing more is written."""
        rest = memoryview(data)
        try:
            while rest and not self.error:
                written = os.pwrite(self.fd, rest, self._offset)
                self._offset += written
                rest = rest[written:]
        except OSError as error:
            self.error = error
        self.size = max(self.size, self._offset)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset`."""
        self._offset = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self.size}[whence] + offset
        return self._offset

    def tell(self) -> int:
        """The offset."""
        return self._offset


def open_media(source: Source) -> InputContainer:
    """Open what `source` holds, and read enough of it to know its streams. Raises av.FFmpegError."""
    return av.open(
        source,
        "r",
        container_options={
            "protocol_whitelist": "",
            "format_whitelist": _FORMATS,
            "codec_whitelist": _audio_decoders(),
        },
        metadata_errors="replace",
        buffer_size=_BLOCK,
    )


@cache
def _audio_decoders() -> str:
    names = []
    for name in sorted(codecs_available):
        try:
            if Codec(name, "r").type == "audio":
                names.append(name)
        except (ValueError, FFmpegError):
            continue  # an encoder
    return ",".join(names)
