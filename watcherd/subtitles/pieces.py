"""Pieces: the text of a segment in, what no line break parts out: words, or characters. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from watcherd.subtitles.breaks import ideographic
from watcherd.subtitles.formats import clean
from watcherd.subtitles.shape import combines, width


@dataclass(frozen=True, slots=True)
class Piece:
    """A word, or a part of one that may stand on a line of its own; `spaced` if a space stands before it."""

    text: str
    spaced: bool
    width: int


def pieces(text: str, *, max_chars: int) -> list[Piece]:
    """Cut a text; none of the pieces is wider than a line, unless one character is."""
    return [piece for word in clean(text).split() for piece in _cut(word, max_chars)]


def written(line: Iterable[Piece]) -> str:
    """Return pieces as the text of a line."""
    return "".join(f" {piece.text}" if piece.spaced else piece.text for piece in line).strip(" ")


def columns(line: Sequence[Piece]) -> int:
    """Count the columns that pieces take side by side."""
    return sum(piece.width + piece.spaced for piece in line) - line[0].spaced


def _cut(word: str, max_chars: int) -> Iterable[Piece]:
    if word.isascii() and len(word) <= max_chars:
        return (Piece(word, True, len(word)),)
    return (Piece(part, number == 0, width(part)) for number, part in enumerate(_parts(word, max_chars)))


def _parts(word: str, max_chars: int) -> Iterable[str]:
    units = list(_units(word))
    if len(units) == 1 and width(word) <= max_chars:
        return units
    return [part for unit in units for part in _chopped(unit, max_chars)]


# What may not begin a line, or end one, in Chinese and Japanese: so it stays with its neighbour.
_NEVER_FIRST = frozenset(
    "、。，．・：；？！゛゜ヽヾゝゞ々ー）］｝〕〉》」』】〗〙…‥～ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ%％,.!?:;)]}”’"  # noqa: RUF001 - East Asian punctuation is meant
)
_NEVER_LAST = frozenset("（［｛〔〈《「『【〖〘([{“‘$¥￥")  # noqa: RUF001 - likewise


def _units(word: str) -> Iterator[str]:
    """Yield what a word without spaces consists of: one piece, but for Chinese and Japanese writing."""
    unit = ""
    for character in _characters(word):
        parts = ideographic(character[0]) or ideographic(unit[-1:])
        if unit and parts and character[0] not in _NEVER_FIRST and unit[-1] not in _NEVER_LAST:
            yield unit
            unit = ""
        unit += character
    yield unit


_MOST_JOINED = 10  # characters that make up one, as emoji do: no wider than the shortest line


def _characters(text: str) -> Iterator[str]:
    """Yield each character with what combines with it."""
    found = ""
    for character in text:
        joined = found.endswith("\u200d") and len(found) < _MOST_JOINED
        if found and not combines(character) and not joined:
            yield found
            found = ""
        found += character
    yield found


_SEAMS = frozenset("-/_.,:;&=?#@\u2010\u2013\u2014")


def _chopped(unit: str, max_chars: int) -> Iterator[str]:
    """Break a word that is wider than a line; behind a hyphen, slash or the like where there is one."""
    part, taken = "", 0
    for character in _characters(unit) if width(unit) > max_chars else (unit,):
        own = width(character)
        if part and taken + own > max_chars:
            seam = _seam(part)
            yield part[:seam]
            part = part[seam:]
            taken = width(part)
        part += character
        taken += own
    yield part


def _seam(part: str) -> int:
    """Find the last good place in the second half of a part; its end if there is none."""
    return next((at for at in range(len(part), len(part) // 2, -1) if part[at - 1] in _SEAMS), len(part))
