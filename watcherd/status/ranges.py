"""Ranges: what a request's headers say of the part it wants, and a file's size, in; which bytes out. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formatdate

from watcherd.delivery.pieces import Piece

_ONE = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.ASCII | re.IGNORECASE)
_DIGITS = 18  # more are no offset in any file


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `start` up to `end`, which is not among them."""

    start: int
    end: int


class UnsatisfiableError(Exception):
    """The file has none of the bytes that are wanted."""


def wanted(header: str, size: int) -> Span | None:
    """The span of a Range header; None where it asks for none, or for several, and so gets the whole file."""
    found = _ONE.fullmatch(header.strip())
    if found is None or found.groups() == ("", "") or max(map(len, found.groups())) > _DIGITS:
        return None
    first, last = found.groups()
    if first and last and int(first) > int(last):
        return None
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise UnsatisfiableError
    return Span(start, end)


def tag_of(piece: Piece) -> str:
    """The file's strong entity tag: another one as soon as anything was written to it."""
    return f'"{piece.inode[1]:x}-{piece.size:x}-{piece.mtime_ns:x}"'


def date_of(piece: Piece) -> str:
    """When it was last written to, as HTTP says it."""
    return formatdate(max(0, piece.mtime_ns // 10**9), usegmt=True)


def is_known(header: str, tag: str) -> bool:
    """Whether a client has the file already, by its If-None-Match."""
    known = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in known or tag in known


def still_holds(header: str, piece: Piece) -> bool:
    """Whether a range goes on with what the client has, by its If-Range; without one it does."""
    return not header or header.strip() in {tag_of(piece), date_of(piece)}
