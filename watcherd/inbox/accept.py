"""Which names are media: a relative path in, a verdict with the rule behind it out. Pure; nothing is opened.

The rules stand here once, in the order in which they are applied: `accept` stops at the first that fails,
`explain` tells them all. The extension only decides whether a name is worth a look. What is no plain file (a
folder named x.mp3, a symbolic link, a FIFO, a socket, a device) is told later, by lstat, and never opened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from watcherd.config.model import Folder
from watcherd.delivery.names import usual_names
from watcherd.inbox import globs
from watcherd.inbox.medianames import (
    FOREIGN_FOLDERS,
    HOLDERS,
    LITTER,
    MEDIA,
    PARTIAL_FOLDERS,
    PARTIAL_NAMES,
    PARTIAL_SUFFIXES,
    UNFINISHED,
)

OURS = b".watcherd-"  # how the name of everything begins that a delivery writes before it is published
MARKER = b".watcherdignore"
"""A folder that holds an entry of this name, and everything below it, is left alone."""


class Kind(StrEnum):
    """What a name says about the file."""

    MEDIA = "media"
    IGNORED = "ignored"
    COVERED = "covered"
    """Media, but all its sidecars lie beside it already."""
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
    """One folder's settings for names.

    `own` are its done and failed folders, relative to the inbox. The sidecars of `formats`, all of them
    beside a file, cover it; without any, nothing does.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    recursive: bool = True
    own: tuple[bytes, ...] = ()
    formats: tuple[str, ...] = ()
    sidecar_name: str = "{stem}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its name, what it says to people, and its judge.

    The judge gets the path of a folder or of a file, the settings, and the names in a file's folder; it
    returns the verdict that ends the matter, or None.
    """

    name: str
    text: str
    judge: Callable[[bytes, Rules, Collection[bytes]], Verdict | None]


def rules_of(folder: Folder, own: tuple[bytes, ...]) -> Rules:
    """The rules that a configured folder stands for."""
    return Rules(
        include=folder.include,
        exclude=folder.exclude,
        recursive=folder.recursive,
        own=own,
        formats=folder.formats if folder.stays and folder.existing == "skip" else (),
        sidecar_name=folder.sidecar_name,
    )


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
    for judge in _NAME_JUDGES:
        verdict = judge(path, rules, siblings)
        if verdict is not None:
            return verdict
    including = _match(rules.include, path)
    why = f"include pattern {including}" if including else f".{_text(_extension(path))} is media"
    return Verdict(Kind.MEDIA, why)


def is_media(path: bytes, rules: Rules) -> bool:
    """Whether `accept_name` would say MEDIA, without the reason: quick, since a scan asks for every name."""
    if rules.include or rules.exclude:
        return accept_name(path, rules=rules).kind is Kind.MEDIA
    name = _name(path)
    return _extension(name) in MEDIA and not name.startswith(b".") and not UNFINISHED.fullmatch(name)


def accept_folder(folder: bytes, *, rules: Rules) -> Verdict:
    """Judge a folder by its path relative to the inbox: MEDIA means that files below it may be."""
    for rule in FOLDER_RULES:
        verdict = rule.judge(folder, rules, ())
        if verdict is not None:
            return verdict
    return Verdict(Kind.MEDIA, "a folder like any other")


def holders(name: bytes) -> tuple[bytes, ...]:
    """The names that, beside a file of this name, say that it is still being downloaded."""
    return tuple(name + suffix for suffix in HOLDERS)


def covers(name: bytes, rules: Rules) -> tuple[bytes, ...]:
    """The names that, all of them beside a file of this name, say that there is nothing to do; or none."""
    if not rules.formats:
        return ()
    return usual_names(name, formats=rules.formats, sidecar_name=rules.sidecar_name)


def was_partial(path: bytes) -> bool:
    """Whether a path was that of a file in flight: renaming it then says "complete"."""
    folder, _, name = path.rpartition(b"/")
    if any(part in PARTIAL_FOLDERS or part.lower().endswith(b".download") for part in folder.split(b"/")):
        return True
    return _partial(name) is not None


# The judges.


def _own(folder: bytes, rules: Rules, _: Collection[bytes]) -> Verdict | None:
    if folder in rules.own or any(folder.startswith(own + b"/") for own in rules.own):
        return Verdict(Kind.OURS, "the inbox's own done or failed folder")
    return None


def _recursive(_: bytes, rules: Rules, __: Collection[bytes]) -> Verdict | None:
    return None if rules.recursive else Verdict(Kind.IGNORED, "below the inbox, and recursive is off")


def _foreign(folder: bytes, _: Rules, __: Collection[bytes]) -> Verdict | None:
    for part in folder.split(b"/"):
        if part.startswith(b"."):
            return Verdict(Kind.IGNORED, f"in the hidden folder {_text(part)}")
        if part.lower().endswith(b".download"):
            return Verdict(Kind.IGNORED, f"in {_text(part)}: {PARTIAL_SUFFIXES[b'.download']}")
        whose = FOREIGN_FOLDERS.get(part.lower())
        if whose is not None:
            return Verdict(Kind.IGNORED, f"in {_text(part)}: {whose}")
    return None


def _ours(path: bytes, _: Rules, __: Collection[bytes]) -> Verdict | None:
    if _name(path).startswith(OURS):
        return Verdict(Kind.OURS, "written by watcherd and not published yet")
    return None


def _hidden(path: bytes, _: Rules, __: Collection[bytes]) -> Verdict | None:
    name = _name(path)
    if not name.startswith(b"."):
        return None
    whose = _partial(name)
    return Verdict(Kind.IGNORED, "a hidden file" if whose is None else f"a partial file: {whose}")


def _include(path: bytes, rules: Rules, _: Collection[bytes]) -> Verdict | None:
    if rules.include and _match(rules.include, path) is None:
        return Verdict(Kind.IGNORED, "no include pattern matches")
    return None


def _media(path: bytes, rules: Rules, _: Collection[bytes]) -> Verdict | None:
    extension = _extension(path)
    if extension in MEDIA:
        return None
    including = _match(rules.include, path)
    if including is not None and globs.names_extension(including):
        return None
    whose = PARTIAL_SUFFIXES.get(b"." + extension)
    if whose is not None:
        return Verdict(Kind.IGNORED, f"a partial file: {whose}")
    text = f".{_text(extension)} is no media extension" if extension else "no extension"
    return Verdict(Kind.IGNORED, text)


def _exclude(path: bytes, rules: Rules, _: Collection[bytes]) -> Verdict | None:
    excluding = _match(rules.exclude, path)
    return None if excluding is None else Verdict(Kind.IGNORED, f"exclude pattern {excluding}")


def _finished(path: bytes, _: Rules, __: Collection[bytes]) -> Verdict | None:
    name = _name(path)
    whose = _partial(name) or next((whose for form, whose in LITTER if form.fullmatch(name)), None)
    return None if whose is None else Verdict(Kind.IGNORED, f"not a finished file: {whose}")


def _covered(path: bytes, rules: Rules, siblings: Collection[bytes]) -> Verdict | None:
    sidecars = covers(_name(path), rules) if siblings else ()
    if sidecars and all(sidecar in siblings for sidecar in sidecars):
        return Verdict(Kind.COVERED, f"{', '.join(map(_text, sidecars))} beside it already")
    return None


def _held(path: bytes, _: Rules, siblings: Collection[bytes]) -> Verdict | None:
    for holder in holders(_name(path)) if siblings else ():
        if holder in siblings:
            return Verdict(Kind.HELD, f"{_text(holder)} lies beside it: still being downloaded")
    return None


FOLDER_RULES = (
    Rule("own folder", "What lies in the inbox's done or failed folder is left alone.", _own),
    Rule("recursive", "Files in sub-folders are taken, unless recursive is off.", _recursive),
    Rule("folder", "Folders that are hidden, or that systems and downloads make, are left alone.", _foreign),
)
NAME_RULES = (
    Rule("own file", "What watcherd itself is writing is left alone.", _ours),
    Rule("hidden", "Hidden files are left alone.", _hidden),
    Rule("include", "Where include has patterns, one of them must match.", _include),
    Rule("extension", "The name must have the extension of audio or video, or that of an include.", _media),
    Rule("exclude", "No pattern of exclude may match.", _exclude),
    Rule(
        "finished", "Partial files, backups and litter are left alone, whatever their extension.", _finished
    ),
    Rule(
        "existing", "With existing: skip, a file that has all its sidecars beside it is left alone.", _covered
    ),
    Rule("download", "A file waits while a partial download of it lies beside it.", _held),
)
_NAME_JUDGES = tuple(rule.judge for rule in NAME_RULES)  # called for each name of a hundred thousand


def _match(patterns: tuple[str, ...], path: bytes) -> str | None:
    """The first of some globs that means the path."""
    return next((glob for glob in patterns if globs.matches(glob, path)), None) if patterns else None


def _partial(name: bytes) -> str | None:
    """Who writes a file in flight under such a name; None for any other name."""
    dot = name.rfind(b".")
    if dot < 0:
        return None
    suffix = name[dot:].lower()
    if suffix in PARTIAL_SUFFIXES:
        return PARTIAL_SUFFIXES[suffix]
    return next((whose for form, whose in PARTIAL_NAMES if form.fullmatch(name)), None)


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _extension(path: bytes) -> bytes:
    stem, dot, extension = _name(path).rpartition(b".")
    return extension.lower() if dot and stem else b""


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
