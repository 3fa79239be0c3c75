"""Sidecars: their contents in, new files in an open folder out, each whole or not at all. Rim; blocks.

A sidecar is written to `.watcherd-JOB-N.tmp` and gets its name when it is on the disk. Under that name it is
ours if it holds what we would write; so after a stop the same call goes on where the last one ended.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from watcherd.delivery import copying, look, publish

FIRST = 2  # the number of a plan's first sidecar; those below are its original's
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecars:
    """What one job writes into one folder: contents by name, in the order of its plan.

    `published` are our files under their final names, as they were then. Where it is `fresh`, the only
    temporary files are those that are `begun` now.
    """

    folder_fd: int
    job_id: int
    contents: Mapping[bytes, bytes]
    fresh: bool = False
    published: dict[bytes, os.stat_result] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)

    @property
    def numbered(self) -> list[tuple[int, bytes]]:
        """The names with their numbers."""
        return list(enumerate(self.contents, FIRST))

    def put(self, number: int, name: bytes) -> bool:
        """See that a sidecar stands under its final name; False where that is taken."""
        status = None if self.fresh else self.ours(name)
        if status is None:
            self.write(number, self.contents[name])
            status = self.publish(number, name)
        if status is not None:
            self.published[name] = status
        return status is not None

    def ours(self, name: bytes) -> os.stat_result | None:
        """Return the state of a sidecar that stands under its final name, whole and as we would write it."""
        content = self.contents[name]
        if look.content(self.folder_fd, name, len(content)) != content:
            return None
        return look.status(self.folder_fd, name)

    def write(self, number: int, content: bytes) -> None:
        """Write a temporary file, to the disk."""
        fd = self.create(number, 0o666)
        try:
            copying.write(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)

    def create(self, number: int, mode: int) -> int:
        """Open a new temporary file, in the place of one that a stop left."""
        temporary = self.temporary(number)
        self.begun.add(number)
        try:
            return os.open(temporary, _CREATE, mode, dir_fd=self.folder_fd)
        except FileExistsError:
            os.unlink(temporary, dir_fd=self.folder_fd)
            return os.open(temporary, _CREATE, mode, dir_fd=self.folder_fd)

    def mark(self, number: int) -> None:
        """Let a temporary file be there, whatever it holds: another name of a sidecar, where links are known.

        A file made only to be removed again would cost ever more: ext4 does not use the number of a removed
        one again for minutes, and passes over all of them, one by one, for each new file.
        """
        self.begun.add(number)
        marker = self.temporary(number)
        for name in self.published:
            with contextlib.suppress(OSError):
                os.link(
                    name, marker, src_dir_fd=self.folder_fd, dst_dir_fd=self.folder_fd, follow_symlinks=False
                )
                return
        os.close(self.create(number, 0o600))

    def publish(self, number: int, name: bytes) -> os.stat_result | None:
        """Give a temporary file its final name; return its state, None where the name is taken."""
        temporary = self.temporary(number)
        try:
            if not publish.move(self.folder_fd, temporary, self.folder_fd, name):
                os.unlink(temporary, dir_fd=self.folder_fd)
            self.begun.discard(number)
        except FileExistsError:
            return None
        return os.lstat(name, dir_fd=self.folder_fd)

    def drop_placeholder(self, number: int, name: bytes) -> None:
        """Remove an empty file that only held the name for a temporary file that is still here."""
        if is_empty(look.status(self.folder_fd, name)) and self.has(number):
            os.unlink(name, dir_fd=self.folder_fd)

    def drop_placeholders(self) -> None:
        """Remove the empty files that a stop left under the names of sidecars."""
        for number, name in self.numbered:
            if self.contents[name]:
                self.drop_placeholder(number, name)

    def undo(self) -> None:
        """Remove exactly what this plan published, now or before a stop, and nobody wrote to since."""
        for name in self.contents:
            if name not in self.published and (status := self.ours(name)) is not None:
                self.published[name] = status
        for name, published in reversed(self.published.items()):  # the copy, which stands for all, goes first
            status = look.status(self.folder_fd, name)
            if status is not None and look.unwritten(status, published):
                os.unlink(name, dir_fd=self.folder_fd)

    def clean(self, first: int) -> None:
        """Remove this job's temporary files from number `first` on."""
        everything = range(first, FIRST + len(self.contents))
        for number in self.begun.intersection(everything) if self.fresh else everything:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.temporary(number), dir_fd=self.folder_fd)

    def temporary(self, number: int) -> bytes:
        """Return the name of a temporary file."""
        return b".watcherd-%d-%d.tmp" % (self.job_id, number)

    def has(self, number: int) -> bool:
        """Tell whether a temporary file is here."""
        return look.status(self.folder_fd, self.temporary(number)) is not None


def is_empty(status: os.stat_result | None) -> bool:
    """Tell whether this is a plain file without content."""
    return status is not None and stat.S_ISREG(status.st_mode) and status.st_size == 0
