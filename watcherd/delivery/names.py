"""The names of a delivery: an original's path and the names already there in, a plan out. Pure.

Names are bytes: they are compared as they are, never normalised, and may hold anything but `/` and NUL.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Sequence
from itertools import count

from watcherd.job import Outcome, Plan, Sidecar

LONGEST = 255  # bytes in one name, on all usual file systems
REPORT = b".error.json"

_EXTENSION = re.compile(rb"\.[A-Za-z0-9_-]{1,16}\Z")


def plan(*, path: bytes, outcome: Outcome, formats: Sequence[str], taken: Container[bytes]) -> Plan:
    """Choose a name for the original and its sidecars, all free at once.

    `path` is relative to the inbox, and its folder is mirrored; `taken` are the names in the target folder,
    those that other deliveries have chosen included. A done original `talk.mp3` gets `talk.srt` and so on for
    `formats`; a failed one gets `talk.mp3.error.json`, whatever the formats. Where one of them is taken, all
    are numbered: `talk (2).mp3` with `talk (2).srt`. Where one would be too long, all are shortened.
    """
    folder, _, name = path.rpartition(b"/")
    for original, sidecars in _candidates(name, outcome, formats):
        chosen = [original, *(sidecar.name for sidecar in sidecars)]
        if not any(one in taken for one in chosen):
            break
    return Plan(outcome=outcome, folder=folder, original=original, sidecars=sidecars)


def report_name(original: bytes) -> bytes:
    """Return the name of the failure report beside an original."""
    return original + REPORT


def numbered(name: bytes, *, suffixes: Collection[bytes] = ()) -> Iterator[bytes]:
    """Yield the stem of the name, then `stem (2)`, and so on without end.

    Each is short enough to be followed by the name's extension and by any of the suffixes.
    """
    stem, extension = split(name)
    room = LONGEST - max(map(len, (extension, *suffixes)))
    for number in count(1):
        mark = b" (%d)" % number if number > 1 else b""
        yield _shortened(stem, room - len(mark)) + mark


def split(name: bytes) -> tuple[bytes, bytes]:
    """Split a name into stem and extension; what follows the last point of `Dr. Smith, Monday` is none."""
    match = _EXTENSION.search(name)
    return (name[: match.start()], match.group()) if match and match.start() else (name, b"")


def _candidates(
    name: bytes, outcome: Outcome, formats: Sequence[str]
) -> Iterator[tuple[bytes, tuple[Sidecar, ...]]]:
    """Yield the original's name and its sidecars for each number."""
    _, extension = split(name)
    if outcome is Outcome.FAILED:
        suffixes = {"report": extension + REPORT}
    else:
        suffixes = {one: b"." + one.encode() for one in formats}
        if extension in suffixes.values():  # the original would stand in its own sidecar's place
            suffixes = {one: extension + suffix for one, suffix in suffixes.items()}
    for stem in numbered(name, suffixes=suffixes.values()):
        yield stem + extension, tuple(Sidecar(stem + suffix, one) for one, suffix in suffixes.items())


def _shortened(stem: bytes, length: int) -> bytes:
    """Cut a stem to at most `length` bytes, between characters where it is UTF-8."""
    if len(stem) <= length:
        return stem
    end = length
    while end > length - 4 and stem[end] & 0xC0 == 0x80:
        end -= 1
    return stem[: end if stem[end] & 0xC0 != 0x80 else length]
