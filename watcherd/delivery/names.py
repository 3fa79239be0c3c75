"""The names of a delivery: an original's path and the names already there in, a plan out. Pure.

Names are bytes: they are compared as they are, never normalised, and may hold anything but `/` and NUL.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Literal, assert_never

from watcherd.job import Outcome, Plan, Sidecar

LONGEST = 255  # bytes in one name, on all usual file systems
REPORT = b".error.json"
LANGUAGE = b"en"

Existing = Literal["skip", "overwrite", "keep-both"]

_PLACEHOLDER = re.compile(rb"\{(?:stem|name|lang)\}")
_EXTENSION = re.compile(rb"\.[A-Za-z0-9_-]{1,16}\Z")


# What follows a sidecar's name; all others are followed by a point and their format.
_SUFFIXES = {"json": b".whisper.json", "podcast-json": b".json"}


def plan(
    *,
    path: bytes,
    outcome: Outcome,
    formats: Sequence[str],
    taken: Container[bytes],
    sidecar_name: str = "{stem}",
) -> Plan:
    """Choose a name for the original and its sidecars, all free at once.

    `path` is relative to the inbox, and its folder is mirrored; `taken` are the names in the target folder,
    those that other deliveries have chosen included. A done original `talk.mp3` gets `talk.srt` and so on for
    `formats`, or `talk.en.srt` where `sidecar_name` is `{stem}.en`; a failed one gets `talk.mp3.error.json`,
    whatever the formats. Where one of them is taken, all are numbered: `talk (2).mp3` with `talk (2).srt`.
    Where one would be too long, all are shortened.
    """
    folder, _, name = path.rpartition(b"/")
    for original, sidecars in _candidates(name, outcome, formats, sidecar_name):
        chosen = [original, *(sidecar.name for sidecar in sidecars)]
        if not any(one in taken for one in chosen):
            break
    return Plan(outcome=outcome, folder=folder, original=original, sidecars=sidecars)


def sidecar_names(name: bytes, *, formats: Sequence[str], sidecar_name: str) -> tuple[Sidecar, ...]:
    """Return the sidecars that stand beside a file of this name which stays where it is."""
    return _free_beside(name, formats, sidecar_name, taken=())


def usual_names(name: bytes, *, formats: tuple[str, ...], sidecar_name: str) -> tuple[bytes, ...]:
    """Return the names of `sidecar_names`: at once for almost every file, since a scan asks for all."""
    before, is_whole, ends, longest = _usual(formats, sidecar_name)
    base = before + (name if is_whole else split(name)[0])
    if len(base) + longest <= LONGEST and len(name) <= LONGEST:
        names = tuple([base + end for end in ends])
        if name not in names:
            return names
    return tuple(one.name for one in sidecar_names(name, formats=formats, sidecar_name=sidecar_name))


@lru_cache
def _usual(formats: tuple[str, ...], sidecar_name: str) -> tuple[bytes, bool, tuple[bytes, ...], int]:
    """A pattern taken apart: what comes before the name, whether that is whole, what may follow, how long."""
    pattern = sidecar_name.encode().replace(b"{lang}", LANGUAGE)
    is_whole = b"{name}" in pattern
    before, _, after = pattern.partition(b"{name}" if is_whole else b"{stem}")
    ends = tuple(after + suffix for suffix in _suffixes(formats).values())
    return before, is_whole, ends, max(map(len, ends), default=0)


def plan_beside(
    *,
    path: bytes,
    formats: Sequence[str],
    sidecar_name: str,
    existing: Existing,
    taken: Container[bytes],
    ours: Container[bytes],
) -> Plan:
    """Choose the sidecars to be written beside an original that stays where it is.

    `taken` are the names in its folder, `ours` those among them that we wrote and nobody changed since. With
    skip, sidecars whose name is taken are left out; with overwrite, those that are not ours; with keep-both
    all are numbered together, until none is taken: `talk (2).srt` with `talk (2).vtt`.
    """
    folder, _, name = path.rpartition(b"/")
    usual = sidecar_names(name, formats=formats, sidecar_name=sidecar_name)
    match existing:
        case "skip":
            sidecars = tuple(one for one in usual if one.name not in taken)
        case "overwrite":
            sidecars = tuple(one for one in usual if one.name not in taken or one.name in ours)
        case "keep-both":
            sidecars = _free_beside(name, formats, sidecar_name, taken=taken)
        case _:
            assert_never(existing)
    return Plan(outcome=Outcome.DONE, folder=folder, original=name, sidecars=sidecars, stays=True)


def report_name(original: bytes) -> bytes:
    """Return the name of the failure report beside an original."""
    return original + REPORT


def kept_report(path: bytes, job_id: int) -> bytes:
    """Return the name of the report about a file that stays, in a folder for the reports of all inboxes."""
    end = b".%d" % job_id + REPORT
    return _shortened(path.rpartition(b"/")[2], LONGEST - len(end)) + end


def numbered(name: bytes) -> Iterator[bytes]:
    """Yield the stem of the name, then `stem (2)`, and so on without end.

    Each is short enough to be followed by the name's extension.
    """
    stem, extension = split(name)
    return _numbered(stem, LONGEST - len(extension))


def split(name: bytes) -> tuple[bytes, bytes]:
    """Split a name into stem and extension; what follows the last point of `Dr. Smith, Monday` is none."""
    match = _EXTENSION.search(name)
    return (name[: match.start()], match.group()) if match and match.start() else (name, b"")


def _free_beside(
    name: bytes, formats: Sequence[str], sidecar_name: str, *, taken: Container[bytes]
) -> tuple[Sidecar, ...]:
    """Choose sidecars none of which is taken, by the original itself least of all."""
    for _, sidecars in _candidates(name, Outcome.DONE, formats, sidecar_name):
        if not any(one.name in taken or one.name == name for one in sidecars):
            break
    return sidecars


def _candidates(
    name: bytes, outcome: Outcome, formats: Sequence[str], sidecar_name: str
) -> Iterator[tuple[bytes, tuple[Sidecar, ...]]]:
    """Yield the original's name and its sidecars for each number."""
    stem, extension = split(name)
    if outcome is Outcome.FAILED:
        base, suffixes = _Base("{name}", extension), {"report": REPORT}
    else:
        base = _Base(sidecar_name, extension)
        suffixes = _suffixes(formats)
        if any(base.of(stem) + suffix == name for suffix in suffixes.values()):
            base = _Base("{name}", extension)  # else the original would stand in its own sidecar's place
    longest = max(map(len, suffixes.values()), default=0)
    for one in _numbered(stem, min(LONGEST - len(extension), base.room(LONGEST - longest))):
        yield one + extension, tuple(Sidecar(base.of(one) + end, kind) for kind, end in suffixes.items())


def _suffixes(formats: Sequence[str]) -> dict[str, bytes]:
    return {one: _SUFFIXES.get(one, b"." + one.encode()) for one in formats}


@dataclass(frozen=True, slots=True)
class _Base:
    """What a sidecar is called, without what its format adds: a pattern, and the original's extension."""

    pattern: str
    extension: bytes

    def of(self, stem: bytes) -> bytes:
        values = {b"{stem}": stem, b"{name}": stem + self.extension, b"{lang}": LANGUAGE}
        return _PLACEHOLDER.sub(lambda match: values[match.group()], self.pattern.encode())

    def room(self, length: int) -> int:
        """How long a stem may be for the name to have this length; it stands in the pattern once."""
        return length - len(self.of(b""))


def _numbered(stem: bytes, room: int) -> Iterator[bytes]:
    for number in count(1):
        mark = b" (%d)" % number if number > 1 else b""
        yield _shortened(stem, room - len(mark)) + mark


def _shortened(stem: bytes, length: int) -> bytes:
    """Cut a stem to at most `length` bytes, between characters where it is UTF-8."""
    if len(stem) <= length:
        return stem
    end = length
    while end > length - 4 and stem[end] & 0xC0 == 0x80:
        end -= 1
    return stem[: end if stem[end] & 0xC0 != 0x80 else length]
