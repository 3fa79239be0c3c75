"""Frames: the headers of bare MPEG audio, AAC and Dolby frames, told from chance. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_JUNK_AT_MOST = 8192  # encoders and cutters leave padding or half a frame before the first whole one
_IN_A_ROW = 3

# Kilobits a second by index: MPEG-1 layers I to III, MPEG-2 layer I, then II and III (ISO 11172-3, 13818-3).
_RATES_1_1 = (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448)
_RATES_1_2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_RATES_1_3 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_RATES_2_1 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
_RATES_2_23 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HERTZ = (44100, 48000, 32000)
_HALVINGS = {3: 1, 2: 2, 0: 4}  # of the sample rate: MPEG-1, MPEG-2, MPEG-2.5

_AC3_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: its `length` in bytes, and what stays the same from frame to frame."""

    kind: str
    length: int
    stable: tuple[int, ...]


Reader = Callable[[bytes, int], Frame | None]


def run(head: bytes, read: Reader) -> str | None:
    """The kind of frames that follow one another in `head`, None when there is no such run.

    Three frames in a row are wanted (chance makes two), or all that `head` holds where it is the whole
    file and begins with one.
    """
    for start in range(min(len(head), _JUNK_AT_MOST)):
        frame = read(head, start)
        if frame and _goes_on(head, start, read=read):
            return frame.kind
    return None


def _goes_on(head: bytes, start: int, *, read: Reader) -> bool:
    first = read(head, start)
    at, count = start, 0
    while count < _IN_A_ROW and first is not None:
        frame = read(head, at)
        if frame is None or frame.stable != first.stable:
            break
        count += 1
        at += frame.length
    return count == _IN_A_ROW or (count > 0 and start == 0 and at == len(head))


def mpeg_audio(head: bytes, at: int) -> Frame | None:
    """An MPEG audio frame header; free-format bit rates are not taken."""
    if at + 4 > len(head) or head[at] != 0xFF or head[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = head[at + 1] >> 3 & 3, 4 - (head[at + 1] >> 1 & 3)
    rate, hertz, padding = head[at + 2] >> 4, head[at + 2] >> 2 & 3, head[at + 2] >> 1 & 1
    if version == 1 or layer == 4 or rate in {0, 15} or hertz == 3 or head[at + 3] & 3 == 2:
        return None
    sampling = _HERTZ[hertz] // _HALVINGS[version]
    bits = 1000 * _rates(version, layer)[rate]
    if layer == 1:
        length = (12 * bits // sampling + padding) * 4
    else:
        length = (72 if layer == 3 and version != 3 else 144) * bits // sampling + padding
    return Frame(f"layer{layer}", length, (version, layer, hertz))


def adts(head: bytes, at: int) -> Frame | None:
    """An ADTS frame header (ISO 13818-7 §6.2)."""
    if at + 7 > len(head) or head[at] != 0xFF or head[at + 1] & 0xF6 != 0xF0:
        return None
    profile, hertz = head[at + 2] >> 6, head[at + 2] >> 2 & 15
    length = (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
    if hertz > 12 or length < 8:
        return None
    return Frame("adts", length, (profile, hertz))


def dolby(head: bytes, at: int) -> Frame | None:
    """An AC-3 or Enhanced AC-3 frame header (ETSI TS 102 366, §4.3 and annex E)."""
    if at + 6 > len(head) or head[at : at + 2] != b"\x0b\x77":
        return None
    version, hertz = head[at + 5] >> 3, head[at + 4] >> 6
    if 11 <= version <= 16:
        length = ((head[at + 2] & 7) << 8 | head[at + 3]) * 2 + 2
        return Frame("eac3", length, (version,)) if length > 6 else None
    size = head[at + 4] & 63
    if version > 10 or hertz == 3 or size >= 2 * len(_AC3_RATES):
        return None
    rate = _AC3_RATES[size >> 1]
    words = (2 * rate, 320 * rate // 147 + (size & 1), 3 * rate)[hertz]
    return Frame("ac3", 2 * words, (version, hertz))


def _rates(version: int, layer: int) -> tuple[int, ...]:
    if version == 3:
        return (_RATES_1_1, _RATES_1_2, _RATES_1_3)[layer - 1]
    return _RATES_2_1 if layer == 1 else _RATES_2_23
