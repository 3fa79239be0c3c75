"""The walk through an inbox: a root descriptor in, one listing per folder out, streamed. Rim; it blocks.

It costs one readdir per folder and one lstat per name that `accept` calls media; links are never followed.
A folder with a marker in it is listed as marked, and nothing below it is looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from watcherd.inbox.accept import MARKER, Kind, Rules, accept_folder, covers, holders, is_media
from watcherd.inbox.medianames import HOLDERS
from watcherd.inbox.reconcile import Found, Listing
from watcherd.inbox.touch import identity_of, open_beneath

BATCH = 2000  # names after which a step hands over what it has


class Walk:
    """One walk through the tree, or what lies below one of its folders.

    Call `step` until it returns nothing; each step is one call for a thread.
    """

    def __init__(self, root_fd: int, rules: Rules, *, start: bytes = b"") -> None:
        self._root_fd = root_fd
        self._rules = rules
        self._pending = [start]

    def step(self) -> list[Listing]:
        """The next folders' listings; empty at the end. Raises OSError only where the root cannot be read."""
        listings: list[Listing] = []
        names = 0
        while self._pending and names < BATCH:
            folder = self._pending.pop()
            listing = self._list(folder)
            listings.append(listing)
            names += len(listing.files) + listing.ignored + 1
        return listings

    def _list(self, folder: bytes) -> Listing:
        try:
            descriptor = self._open(folder)
        except (FileNotFoundError, NotADirectoryError):
            return Listing(folder=folder)  # gone since its parent was read, or replaced
        except OSError as error:
            if not folder:
                raise
            return Listing(folder=folder, error=error.strerror or type(error).__name__)
        try:
            with os.scandir(descriptor) as entries:
                return self._read(folder, entries)
        except OSError as error:
            if not folder:
                raise
            return Listing(folder=folder, error=error.strerror or type(error).__name__)
        finally:
            os.close(descriptor)

    def _open(self, folder: bytes) -> int:
        if folder:
            return open_beneath(self._root_fd, folder, os.O_RDONLY | os.O_DIRECTORY)
        return os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._root_fd)

    def _read(self, folder: bytes, entries: Iterable[os.DirEntry[str]]) -> Listing:
        """Sort one folder's entries out; what is no media is counted and not kept."""
        prefix = folder + b"/" if folder else b""
        media: dict[bytes, os.DirEntry[str]] = {}
        names: set[bytes] = set()
        partials: set[bytes] = set()
        ignored, folders = 0, []
        for entry in entries:
            name = os.fsencode(entry.name)
            if name == MARKER:
                return Listing(folder=folder, marked=True)
            path = prefix + name
            names.add(path)
            if entry.is_dir(follow_symlinks=False):
                if accept_folder(path, rules=self._rules).kind is Kind.MEDIA:
                    folders.append(path)
            elif is_media(path, self._rules) and entry.is_file(follow_symlinks=False):
                media[path] = entry
            else:
                ignored += 1
                if path.endswith(HOLDERS):
                    partials.add(path)
        self._pending.extend(sorted(folders, reverse=True))
        bare = [path for path in sorted(media) if not self._is_covered(path, prefix, names)]
        found = [self._found(path, media[path], partials) for path in bare]
        return Listing(
            folder=folder,
            files=tuple(file for file in found if file is not None),
            ignored=ignored + len(media) - len(bare),
        )

    def _is_covered(self, path: bytes, prefix: bytes, names: set[bytes]) -> bool:
        sidecars = covers(path[len(prefix) :], self._rules)
        return bool(sidecars) and all(prefix + sidecar in names for sidecar in sidecars)

    def _found(self, path: bytes, entry: os.DirEntry[str], partials: set[bytes]) -> Found | None:
        held = bool(partials) and not partials.isdisjoint(holders(path))
        try:
            return Found(path, identity_of(entry.stat(follow_symlinks=False)), held=held)
        except FileNotFoundError:
            return None
