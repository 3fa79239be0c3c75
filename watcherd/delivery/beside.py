"""Sidecars beside an original that stays where it is: their contents in, files out. Rim; blocks.

What a stop leaves behind says where to go on; nothing else is remembered:

    .watcherd-JOB-N.tmp        a sidecar that is not whole yet
    .watcherd-JOB-N.replaced   a whole one about to take the place of one of ours, or that one afterwards

A sidecar under its final name is ours if it holds what we would write.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from watcherd.delivery import folders, look, publish, room
from watcherd.delivery.result import Changed, Delivered, NameTaken, Result, Vanished
from watcherd.delivery.sidecars import FIRST, Sidecars
from watcherd.job import Identity, Plan

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def deliver(
    plan: Plan,
    *,
    job_id: int,
    inbox_fd: int,
    path: bytes,
    identity: Identity,
    contents: Mapping[bytes, bytes],
    ours: Mapping[bytes, str],
) -> Result:
    """Write the sidecars beside the original, so that after a stop the same call ends in the same place.

    `path` is relative to the inbox, `identity` that of the file that settled, `contents` what each of the
    plan's sidecars holds: the same bytes in every call for one plan. A file in the place of one is replaced
    only if its SHA-256 is that of `ours`; no other is replaced, and none removed but our own. Where the
    original changes or goes, or a name is taken, what this plan published is removed; a sidecar of ours that
    it replaced cannot come back. Raises FaultError where there is no room, OSError as the system does; the
    plan can then be carried out later.
    """
    folder, _, name = path.rpartition(b"/")
    with folders.source(inbox_fd, folder) as folder_fd:
        if folder_fd is None:
            return Vanished()
        sidecars = Sidecars(
            folder_fd=folder_fd,
            job_id=job_id,
            contents={sidecar.name: contents[sidecar.name] for sidecar in plan.sidecars},
        )
        return _Delivery(name=name, identity=identity, sidecars=sidecars, ours=ours).run()


def write(folder: Path, contents: Mapping[bytes, bytes], *, job_id: int) -> Delivered | NameTaken:
    """Write new files, each whole or not at all; a file that holds just that already is taken as written.

    Raises OSError as the system does; the call can then be repeated.
    """
    with _opened(folder) as folder_fd:
        sidecars = Sidecars(folder_fd=folder_fd, job_id=job_id, contents=contents)
        try:
            for number, name in sidecars.numbered:
                if not sidecars.put(number, name):
                    return NameTaken(name)
        finally:
            sidecars.clean(FIRST)
        folders.persist(folder_fd)
    return Delivered()


def write_report(folder: Path, name: bytes, content: bytes, *, job_id: int) -> None:
    """Write a report into a folder of our own, in the place of an older one; raises OSError."""
    with _opened(folder) as folder_fd:
        report = Sidecars(folder_fd=folder_fd, job_id=job_id, contents={name: content})
        try:
            report.write(FIRST, content)
            os.rename(report.temporary(FIRST), name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        finally:
            report.clean(FIRST)
        folders.persist(folder_fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delivery:
    """Sidecars on their way to stand beside the original `name`, in its folder."""

    name: bytes
    identity: Identity
    sidecars: Sidecars
    ours: Mapping[bytes, str]

    def run(self) -> Result:
        """Go on from wherever the files say that this delivery stands."""
        sidecars = self.sidecars
        try:
            sidecars.drop_placeholders()
            self._tidy()
            result: Result | None = self._disturbed()
            if result is None:
                self._see_room()
                result = self._written() or self._disturbed()
            if result is not None:
                sidecars.undo()
            self._tidy()
        except OSError:
            with contextlib.suppress(OSError):
                self._tidy()
            raise
        folders.persist(sidecars.folder_fd)
        return result or Delivered()

    def _disturbed(self) -> Vanished | Changed | None:
        return look.disturbed(look.status(self.sidecars.folder_fd, self.name), self.identity)

    def _see_room(self) -> None:
        """See that all that is still to be written fits, before any of it is; raises FaultError."""
        contents = self.sidecars.contents
        sizes = [len(content) for name, content in contents.items() if self.sidecars.ours(name) is None]
        room.check(self.sidecars.folder_fd, sizes)

    def _written(self) -> NameTaken | None:
        for number, name in self.sidecars.numbered:
            if not (self.sidecars.put(number, name) or self._replaced(number, name)):
                return NameTaken(name)
        folders.persist(self.sidecars.folder_fd)
        return None

    def _replaced(self, number: int, name: bytes) -> bool:
        """Put the temporary file, which is whole, in the place of one of ours; False where none is there."""
        sidecars, folder_fd, aside = self.sidecars, self.sidecars.folder_fd, self._aside(number)
        expected = self.ours.get(name)
        if expected is None or look.digest(folder_fd, name) != expected:
            return False
        os.rename(sidecars.temporary(number), aside, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        with contextlib.suppress(FileNotFoundError):  # where somebody has removed it by now
            if not publish.exchange(folder_fd, aside, name) and look.digest(folder_fd, name) == expected:
                os.rename(aside, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        self._settle_aside(number, name)
        if (status := sidecars.ours(name)) is not None:
            sidecars.published[name] = status
        return status is not None

    def _settle_aside(self, number: int, name: bytes) -> None:
        """Remove what is aside if it is ours; what somebody put under our name meanwhile gets that back."""
        sidecars, folder_fd, aside = self.sidecars, self.sidecars.folder_fd, self._aside(number)
        known = {hashlib.sha256(sidecars.contents[name]).hexdigest(), self.ours.get(name, "")}
        while look.status(folder_fd, aside) is not None:
            if look.digest(folder_fd, aside) in known:
                os.unlink(aside, dir_fd=folder_fd)
            elif sidecars.ours(name) is None or not publish.exchange(folder_fd, aside, name):
                publish.put_back(folder_fd, aside, folder_fd, name)

    def _tidy(self) -> None:
        """Remove what is not under its final name."""
        for number, name in self.sidecars.numbered:
            self._settle_aside(number, name)
        self.sidecars.clean(FIRST)

    def _aside(self, number: int) -> bytes:
        return b".watcherd-%d-%d.replaced" % (self.sidecars.job_id, number)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, _FOLDER)
    try:
        yield fd
    finally:
        os.close(fd)
