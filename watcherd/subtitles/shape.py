"""Shape: how much a cue may hold and how long it may stay, and how wide text is. Numbers in and out. Pure."""

from __future__ import annotations

import unicodedata
from dataclasses import astuple, dataclass

from watcherd.config.model import Cues


@dataclass(frozen=True, slots=True)
class Shape:
    """The limits of a cue. Characters are columns: a full-width one counts as two. Times are seconds."""

    max_lines: int
    max_chars: int
    max_rate: float
    min_seconds: float
    max_seconds: float
    gap: float


def numbers_of(setting: Cues | None) -> tuple[float, ...] | None:
    """Return the shape that a folder asks for, as a plan records it; None leaves the segments as they are."""
    return None if setting is None else astuple(Shape(**setting.model_dump()))


def shape_of(numbers: tuple[float, ...] | None) -> Shape | None:
    """Return the shape that a plan has on record."""
    if numbers is None:
        return None
    lines, chars, *times = numbers
    return Shape(int(lines), int(chars), *times)


def width(text: str) -> int:
    """Count the columns of a text: none for what combines with the character before, two for a wide one."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if combines(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def combines(character: str) -> bool:
    """Whether a character belongs to the one before it: accents, vowel signs, joiners, skin tones."""
    return unicodedata.category(character) in _COMBINING or "\U0001f3fb" <= character <= "\U0001f3ff"


_COMBINING = {"Mn", "Mc", "Me", "Cf"}
