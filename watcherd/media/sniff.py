"""Sniff: a file's first bytes in, its container out; its name for an upload, too. Pure; no I/O.

A name's extension only decides whether a file is taken for media at all; what it is, its bytes say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

from watcherd.media import frames
from watcherd.media.findings import Probe

HEAD_BYTES = 65536


class Container(StrEnum):
    """What a file is, by its first bytes. MP3 is layer III only; MP4 is any ISO or QuickTime movie."""

    FLAC = "flac"
    MP3 = "mp3"
    WAV = "wav"
    OGG = "ogg"
    M4A = "m4a"
    OGG_VIDEO = "ogv"
    MP4 = "mp4"
    WEBM = "webm"
    MATROSKA = "matroska"
    MP2 = "mp2"
    AAC = "aac"
    ADIF = "adif"
    AIFF = "aiff"
    AC3 = "ac3"
    EAC3 = "eac3"
    DTS = "dts"
    AMR = "amr"
    APE = "ape"
    ASF = "asf"
    AU = "au"
    AVI = "avi"
    CAF = "caf"
    DSF = "dsf"
    FLV = "flv"
    MPEG_PS = "mpeg-ps"
    MPEG_TS = "mpeg-ts"
    MUSEPACK = "musepack"
    MXF = "mxf"
    REAL = "real"
    TAK = "tak"
    TTA = "tta"
    VOC = "voc"
    W64 = "w64"
    WAVPACK = "wavpack"


# Compatible servers go by the extension, and gateways refuse .webm, .mpga, .mpeg and any upper case: only
# these five names are taken everywhere.
_UPLOADS = {
    Container.FLAC: ("audio.flac", "audio/flac"),
    Container.MP3: ("audio.mp3", "audio/mpeg"),
    Container.OGG: ("audio.ogg", "audio/ogg"),
    Container.WAV: ("audio.wav", "audio/wav"),
    Container.M4A: ("audio.m4a", "audio/mp4"),
}

_MAGIC: tuple[tuple[int, bytes, Container], ...] = (
    (0, b"fLaC", Container.FLAC),
    (0, b"ADIF", Container.ADIF),
    (0, b"\x7f\xfe\x80\x01", Container.DTS),
    (0, b"\xfe\x7f\x01\x80", Container.DTS),
    (0, b"\x1f\xff\xe8\x00\x07", Container.DTS),
    (0, b"\xff\x1f\x00\xe8\xf1\x07", Container.DTS),
    (0, b"#!AMR", Container.AMR),
    (0, b"MAC ", Container.APE),
    (0, bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), Container.ASF),
    (0, b".snd\x00\x00", Container.AU),
    (0, b"caff\x00\x01", Container.CAF),
    (0, b"DSD \x1c\x00\x00\x00", Container.DSF),
    (0, b"FLV\x01", Container.FLV),
    (0, b"\x00\x00\x01\xba", Container.MPEG_PS),
    (0, b"MPCK", Container.MUSEPACK),
    (0, b"MP+", Container.MUSEPACK),
    (0, bytes.fromhex("060e2b34020501010d010201"), Container.MXF),
    (0, b".RMF\x00\x00", Container.REAL),
    (0, b"tBaK", Container.TAK),
    (0, b"TTA1", Container.TTA),
    (0, b"TTA2", Container.TTA),
    (0, b"Creative Voice File\x1a", Container.VOC),
    (0, bytes.fromhex("726966662e91cf11a5d628db04c10000"), Container.W64),
    (0, b"wvpk", Container.WAVPACK),
)

_EBML = b"\x1aE\xdf\xa3"
_DOCTYPE = b"\x42\x82"
_DOCTYPES = {b"webm": Container.WEBM, b"matroska": Container.MATROSKA}

# QuickTime movies from before brands begin with one of these atoms (QuickTime File Format Specification).
_MOVIE_ATOMS = {b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}
_AUDIO_BRANDS = {b"M4A ", b"M4B ", b"F4A ", b"F4B "}
_M4A_CODECS = {"aac", "alac"}

_OGG_AUDIO = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ")
_OGG_VIDEO = (b"\x80theora", b"\x01video", b"BBCD\x00", b"OVP80")
_OGG_FIRST_PAGE = 2
_OGG_PAGES_AT_MOST = 64

# Sample entries of protected audio: ISO common encryption, FairPlay, Audible; and ASF's two objects for DRM.
_PROTECTED = re.compile(
    rb"stsd.{12}(?:enca|drms|aavd|aaxc)"
    rb"|\xfb\xb3\x11\x22\x23\xbd\xd2\x11\xb4\xb7\x00\xa0\xc9\x55\xfc\x6e"
    rb"|\x14\xe6\x8a\x29\x22\x26\x17\x4c\xb9\x35\xda\xe0\x7e\xe9\x28\x9c",
    re.DOTALL,
)

_TS_PACKETS = (
    (188, 0),
    (192, 4),
    (204, 0),
)  # plain, Blu-ray's with a time code before, with error correction
_TS_SYNC = 0x47


def sniff(head: bytes) -> Container | None:
    """The container of a file that begins with `head` (64 KiB are enough), None where nothing is known.

    Total over any bytes. A file of None may still be one that the decoder opens. An ID3v2 tag that
    fills all of `head` says MP3, which is not certain: `head.read_head` skips it.
    """
    tag = tag_length(head)
    if tag and tag >= len(head):
        return Container.MP3
    head = head[tag:]
    for offset, magic, container in _MAGIC:
        if head.startswith(magic, offset):
            return container
    for rule in (_riff, _iff, _ogg, _ebml, _movie, _transport_stream, _elementary):
        if found := rule(head):
            return found
    return None


def tag_length(head: bytes) -> int:
    """The length in bytes of the ID3v2 tag at the front of `head`, 0 for none (ID3v2.4 structure, §3)."""
    if len(head) < 10 or head[:3] != b"ID3" or head[3] == 0xFF or max(head[6:10]) > 0x7F:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    footer = 10 if head[5] & 0x10 else 0
    return 10 + size + footer


def upload_name(container: Container) -> tuple[str, str] | None:
    """The file name and content type to upload a container under; None: it has to be decoded first."""
    return _UPLOADS.get(container)


def refine(container: Container, probe: Probe) -> Container:
    """What a probe adds: a generic MP4 that holds one AAC or ALAC track, and no video, is an M4A."""
    if container is Container.MP4 and not probe.video and len(probe.tracks) == 1:
        return Container.M4A if probe.tracks[0].codec in _M4A_CODECS else container
    return container


def is_encrypted(part: bytes) -> bool:
    """Whether a stretch of a file (the part with its description) says that its audio is protected."""
    return _PROTECTED.search(part) is not None


def _riff(head: bytes) -> Container | None:
    if head[:4] not in {b"RIFF", b"RF64", b"BW64"}:
        return None
    return {b"WAVE": Container.WAV, b"AVI ": Container.AVI}.get(head[8:12])


def _iff(head: bytes) -> Container | None:
    return Container.AIFF if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"} else None


def _ogg(head: bytes) -> Container | None:
    """Every stream's first page stands at the front (RFC 3533 §6): look at all of them."""
    at, audio = 0, False
    for _ in range(_OGG_PAGES_AT_MOST):
        page = head[at : at + 27]
        if len(page) < 27 or page[:4] != b"OggS" or not page[5] & _OGG_FIRST_PAGE:
            break
        body = at + 27 + page[26]
        if head.startswith(_OGG_VIDEO, body):
            return Container.OGG_VIDEO
        audio = audio or head.startswith(_OGG_AUDIO, body)
        at = body + sum(head[at + 27 : body])
    return Container.OGG if audio else None


def _ebml(head: bytes) -> Container | None:
    """The DocType stands in the EBML header, which is short (RFC 8794 §11.2)."""
    if not head.startswith(_EBML):
        return None
    at = head.find(_DOCTYPE, 4, 1024)
    if at < 0 or at + 3 > len(head):
        return None
    length = head[at + 2] & 0x7F
    return _DOCTYPES.get(head[at + 3 : at + 3 + length].rstrip(b"\x00"))


def _movie(head: bytes) -> Container | None:
    kind = head[4:8]
    if kind == b"ftyp" and len(head) >= 12:
        return Container.M4A if head[8:12] in _AUDIO_BRANDS else Container.MP4
    size = int.from_bytes(head[:4], "big")
    return Container.MP4 if kind in _MOVIE_ATOMS and (size >= 8 or size == 1) else None


def _transport_stream(head: bytes) -> Container | None:
    for length, first in _TS_PACKETS:
        syncs = head[first : first + 5 * length : length]
        if len(syncs) == 5 and set(syncs) == {_TS_SYNC}:
            return Container.MPEG_TS
    return None


_ELEMENTARY: tuple[tuple[Callable[[bytes, int], frames.Frame | None], dict[str, Container]], ...] = (
    (frames.mpeg_audio, {"layer3": Container.MP3, "layer2": Container.MP2}),
    (frames.adts, {"adts": Container.AAC}),
    (frames.dolby, {"ac3": Container.AC3, "eac3": Container.EAC3}),
)


def _elementary(head: bytes) -> Container | None:
    """Streams of bare frames have no magic: several frames have to follow one another exactly."""
    for read, containers in _ELEMENTARY:
        kind = frames.run(head, read)
        if kind in containers:
            return containers[kind]
    return None
