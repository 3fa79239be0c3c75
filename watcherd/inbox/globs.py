"""Globs for `include` and `exclude`: a pattern in, a regular expression over relative paths out. Pure.

    *.wav             the name, in any folder (no slash: the pattern is about the name alone)
    interviews/*.wav  directly in the inbox's folder "interviews"
    /*.wav            directly in the inbox
    interviews/**     everything below that folder; `**` stands for any number of folders
    drafts/           everything below any folder of that name

`*` and `?` stop at a slash, `[a-z]` and `[!a-z]` are sets. Upper and lower case are the same, since
recorders write REC0001.WAV and nobody means to exclude it with `*.wav`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

# a closing bracket that stands first belongs to the set
_SET = r"\[(?:!(?:\][^\]]*|[^\]]+)|(?!!)(?:\][^\]]*|[^\]]+))\]"
_PIECE = re.compile(rf"\*+|\?|{_SET}|[^*?\[]+|\[")


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The expression that a whole relative path must match."""
    anchored = "/" in pattern.rstrip("/")
    path = pattern.strip("/") + ("/**" if pattern.endswith("/") else "")
    parts = path.split("/") if anchored else ["**", *path.split("/")]
    return re.compile("".join(_joined(parts)), re.IGNORECASE | re.DOTALL)


def matches(pattern: str, path: bytes) -> bool:
    """Whether a path, relative to the inbox, is one that the pattern means."""
    return compiled(pattern).fullmatch(path.decode("utf-8", "surrogateescape")) is not None


def names_extension(pattern: str) -> bool:
    """Whether the pattern itself says which extension it wants, as `*.dat` does and `talks/**` does not."""
    return re.search(r"\.\w+$", pattern) is not None


def _joined(parts: list[str]) -> Iterator[str]:
    """The parts with their slashes; `**` brings its own, since it may stand for no folder at all."""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            yield ".+" if last else "(?:.+/)?"
        else:
            yield _part(part) if last else _part(part) + "/"


def _part(part: str) -> str:
    return "".join(_piece(piece.group()) for piece in _PIECE.finditer(part))


def _piece(piece: str) -> str:
    if piece.startswith("*"):
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if piece.startswith("[") and len(piece) > 2:
        inverted = piece.startswith("[!")
        return _set(piece[2 if inverted else 1 : -1], "^" if inverted else "")
    return re.escape(piece)


def _set(body: str, inverted: str) -> str:
    """One character of a set, which is never a slash; a range that runs backwards holds nothing."""
    choices = []
    while body:
        if len(body) > 2 and body[1] == "-":
            low, high, body = body[0], body[2], body[3:]
            choices += [f"{re.escape(low)}-{re.escape(high)}"] if low <= high else []
        else:
            choices, body = [*choices, re.escape(body[0])], body[1:]
    if not choices:
        return "[^/]" if inverted else "(?!)"
    return f"(?!/)[{inverted}{''.join(choices)}]"
