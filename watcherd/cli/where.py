"""Where a file of the command line belongs: a path in, which folder of which inbox holds it out. Blocks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from watcherd.config.model import Folder
from watcherd.promptly import promptly


class Kind(StrEnum):
    """One of an inbox's folders."""

    INBOX = "inbox"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A path relative to one of an inbox's folders; b"" is that folder itself."""

    folder: Folder
    kind: Kind
    path: bytes


def spots(file: Path, folders: Sequence[Folder]) -> list[Spot]:
    """Where a path lies: several spots where inboxes share a folder, none where no inbox holds it.

    Links on the way to the file are followed, as far as storage answers; the file itself may be one.
    """
    found: list[tuple[int, Spot]] = []
    for path in _ways(file):
        for folder in folders:
            for kind, place in _places(folder):
                for root in (bytes(place), _real(bytes(place))):
                    below = _below(path, root)
                    if below is not None:
                        found.append((len(root), Spot(folder=folder, kind=kind, path=below)))
        if found:
            break
    deepest = max((length for length, _ in found), default=0)  # done and failed may lie inside the inbox
    unique: list[Spot] = []
    for length, spot in found:
        if length == deepest and spot not in unique:
            unique.append(spot)
    return unique


def nearest(file: Path, folders: Sequence[Folder]) -> Folder:
    """The inbox that a path lies next to."""
    path = os.path.abspath(os.fsencode(file))

    def closeness(folder: Folder) -> tuple[int, int]:
        inbox = bytes(folder.inbox)
        return len(os.path.commonpath([path, inbox])), -len(inbox)

    return max(folders, key=closeness)


def _places(folder: Folder) -> Iterator[tuple[Kind, Path]]:
    yield Kind.INBOX, folder.inbox
    if not folder.stays:
        yield Kind.DONE, folder.done
        yield Kind.FAILED, folder.failed


def _ways(file: Path) -> Iterator[bytes]:
    path = os.path.abspath(os.fsencode(file))
    yield path
    parent, name = os.path.split(path)
    yield os.path.join(_real(parent), name)


def _real(path: bytes) -> bytes:
    try:
        return promptly(os.path.realpath, path)
    except OSError:
        return path


def _below(path: bytes, root: bytes) -> bytes | None:
    if path == root:
        return b""
    prefix = root.rstrip(b"/") + b"/"
    return path[len(prefix) :] if path.startswith(prefix) else None
