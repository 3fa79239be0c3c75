"""Which names are media: a relative path in, a verdict with the rule behind it out. Pure; nothing is opened.

The extension only decides whether a name is worth a look. What is no plain file (a folder named x.mp3, a
symbolic link, a FIFO, a socket, a device) is told later, by lstat, and never opened.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from watcherd.config.model import Folder
from watcherd.inbox import globs
from watcherd.inbox.medianames import (
    FOREIGN_FOLDERS,
    HOLDERS,
    LITTER,
    MEDIA,
    PARTIAL_FOLDERS,
    PARTIAL_NAMES,
    PARTIAL_SUFFIXES,
)

OURS = b".watcherd-"  # how the name of everything begins that a delivery writes before it is published


class Kind(StrEnum):
    """What a name says about the file."""

    MEDIA = "media"
    IGNORED = "ignored"
    HELD = "held"
    """Media, but a file beside it says that it is still being downloaded."""
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome and the rule behind it, in words for `why`."""

    kind: Kind
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One folder's settings for names. `own` are its done and failed folders, relative to the inbox."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    recursive: bool = True
    own: tuple[bytes, ...] = ()


def rules_of(folder: Folder, own: tuple[bytes, ...]) -> Rules:
    """The rules that a configured folder stands for."""
    return Rules(include=folder.include, exclude=folder.exclude, recursive=folder.recursive, own=own)


def accept(path: bytes, *, rules: Rules, siblings: Collection[bytes] = ()) -> Verdict:
    """Judge a file by its path relative to the inbox. `siblings` are the names in its folder."""
    folder = path.rpartition(b"/")[0]
    if folder:
        verdict = accept_folder(folder, rules=rules)
        if verdict.kind is not Kind.MEDIA:
            return verdict
    return accept_name(path, rules=rules, siblings=siblings)


def accept_name(path: bytes, *, rules: Rules, siblings: Collection[bytes] = ()) -> Verdict:
    """Judge a file whose folder is accepted already. The cheap rules come first: most names end there."""
    name = path.rpartition(b"/")[2]
    if name.startswith(OURS):
        return Verdict(Kind.OURS, "written by watcherd and not published yet")
    if name.startswith(b"."):
        whose = _partial(name)
        return Verdict(Kind.IGNORED, "a hidden file" if whose is None else f"a partial file: {whose}")
    verdict = _selected(path, name, rules)
    if verdict.kind is not Kind.MEDIA:
        return verdict
    whose = _partial(name) or _litter(name)
    if whose is not None:
        return Verdict(Kind.IGNORED, f"not a finished file: {whose}")
    for holder in holders(name):
        if holder in siblings:
            return Verdict(Kind.HELD, f"{_text(holder)} lies beside it: still being downloaded")
    return verdict


def accept_folder(folder: bytes, *, rules: Rules) -> Verdict:
    """Judge a folder by its path relative to the inbox: MEDIA means that files below it may be."""
    if folder in rules.own or any(folder.startswith(own + b"/") for own in rules.own):
        return Verdict(Kind.OURS, "the inbox's own done or failed folder")
    if not rules.recursive:
        return Verdict(Kind.IGNORED, "below the inbox, and recursive is off")
    for part in folder.split(b"/"):
        if part.startswith(b"."):
            return Verdict(Kind.IGNORED, f"in the hidden folder {_text(part)}")
        if part.lower().endswith(b".download"):
            return Verdict(Kind.IGNORED, f"in {_text(part)}: {PARTIAL_SUFFIXES[b'.download']}")
        whose = FOREIGN_FOLDERS.get(part.lower())
        if whose is not None:
            return Verdict(Kind.IGNORED, f"in {_text(part)}: {whose}")
    return Verdict(Kind.MEDIA, "a folder like any other")


def holders(name: bytes) -> tuple[bytes, ...]:
    """The names that, beside a file of this name, say that it is still being downloaded."""
    return tuple(name + suffix for suffix in HOLDERS)


def was_partial(path: bytes) -> bool:
    """Whether a path was that of a file in flight: renaming it then says "complete"."""
    folder, _, name = path.rpartition(b"/")
    if any(part in PARTIAL_FOLDERS or part.lower().endswith(b".download") for part in folder.split(b"/")):
        return True
    return _partial(name) is not None


def _selected(path: bytes, name: bytes, rules: Rules) -> Verdict:
    """Extension, include and exclude."""
    extension = _extension(name)
    including = next((glob for glob in rules.include if globs.matches(glob, path)), None)
    if rules.include and including is None:
        return Verdict(Kind.IGNORED, "no include pattern matches")
    chosen = including is not None and globs.names_extension(including)
    if not chosen and extension not in MEDIA:
        return Verdict(Kind.IGNORED, _not_media(extension))
    excluding = next((glob for glob in rules.exclude if globs.matches(glob, path)), None)
    if excluding is not None:
        return Verdict(Kind.IGNORED, f"exclude pattern {excluding}")
    return Verdict(
        Kind.MEDIA, f"include pattern {including}" if including else f".{_text(extension)} is media"
    )


def _not_media(extension: bytes) -> str:
    whose = PARTIAL_SUFFIXES.get(b"." + extension)
    if whose is not None:
        return f"a partial file: {whose}"
    return f".{_text(extension)} is no media extension" if extension else "no extension"


def _litter(name: bytes) -> str | None:
    return next((whose for form, whose in LITTER if form.fullmatch(name)), None)


def _partial(name: bytes) -> str | None:
    """Who writes a file in flight under such a name; None for any other name."""
    dot = name.rfind(b".")
    if dot < 0:
        return None
    suffix = name[dot:].lower()
    if suffix in PARTIAL_SUFFIXES:
        return PARTIAL_SUFFIXES[suffix]
    return next((whose for form, whose in PARTIAL_NAMES if form.fullmatch(name)), None)


def _extension(name: bytes) -> bytes:
    stem, dot, extension = name.rpartition(b".")
    return extension.lower() if dot and stem else b""


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
