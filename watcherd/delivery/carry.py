"""Carrying out a plan: open folders in, sidecars and original in place out, after any stop. Rim; blocks.

What a stop leaves behind says where to go on; nothing else is remembered:

    .watcherd-JOB-0.tmp     in the target folder: the original's move has begun (a link to a sidecar)
    .watcherd-JOB-1.tmp     there: a copy of the original, from another device, not whole yet
    .watcherd-JOB-N.tmp     there: a sidecar that is not whole yet
    .watcherd-JOB.original  in the original's folder: the original, standing in done or failed as well

A sidecar under its final name is ours if it holds what we would write; an original, if it is the same inode,
or the copy of a file that has gone from the inbox. Anything else under a planned name is somebody's file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from dataclasses import dataclass, replace

from watcherd.delivery import copying, folders, look, publish, room
from watcherd.delivery.result import Changed, Delivered, NameTaken, Result, Vanished
from watcherd.delivery.sidecars import Sidecars, is_empty
from watcherd.faults import FaultError
from watcherd.job import Identity, Plan

TEMPORARY = re.compile(rb"\.watcherd-([0-9]+)-[0-9]+\.tmp")
_BEGUN, _COPY = 0, 1  # the numbers of a job's temporary files that are the original's
_COARSEST_CLOCK = 2_000_000_000  # nanoseconds; FAT keeps even seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One plan being carried out."""

    plan: Plan
    job_id: int
    identity: Identity
    name: bytes
    source_fd: int | None
    target_fd: int
    sidecars: Sidecars

    def run(self) -> Result:
        """Go on from wherever the files say that this delivery stands.

        Raises FaultError, and writes nothing, where there is no room for it; OSError as the system does.
        """
        try:
            result = self._unmovable() if self.sidecars.fresh else self._resumed()
            if result is None:
                self._see_room()
                result = self._sidecars() or self._original()
            if not isinstance(result, Delivered):
                self.sidecars.undo()
            self.sidecars.clean(_BEGUN)
        except OSError:
            with contextlib.suppress(OSError):
                self.sidecars.clean(_COPY)
            raise
        folders.persist(self.target_fd)
        if self.source_fd is not None:
            folders.persist(self.source_fd)
        return result

    # What a stop left behind.

    def _resumed(self) -> Result | None:
        """Put straight what a stop left; return the result where there is nothing more to deliver."""
        self._drop_placeholders()
        self._settle_aside()
        source, arrived = self._at_source(), self._arrived()
        if arrived is not None and self._is_original(arrived):
            if source is not None and os.path.samestat(source, arrived):
                self._retire()
            return Delivered()
        if source is not None and look.identity(source) == self.identity:
            return None
        if arrived is not None and self._is_copy(arrived):
            return Delivered()
        if arrived is not None and self.sidecars.has(_BEGUN):
            self._put_back(self.target_fd, self.plan.original)
        elif arrived is not None and self._is_same_inode(arrived):
            return Delivered()  # and written to since
        return self._unmovable() or Changed()

    def _drop_placeholders(self) -> None:
        """Remove the empty files that only held a name for one whose temporary file is still here."""
        self.sidecars.drop_placeholders()
        for number in (_BEGUN, _COPY):
            self.sidecars.drop_placeholder(number, self.plan.original)
        if self.source_fd is None or not is_empty(self._at_source()):
            return
        if self.sidecars.has(_BEGUN) or look.status(self.source_fd, self._aside) is not None:
            os.unlink(self.name, dir_fd=self.source_fd)

    def _settle_aside(self) -> None:
        """Remove the original that was put aside if it stands in the target folder; else put it back."""
        if self.source_fd is None or (aside := look.status(self.source_fd, self._aside)) is None:
            return
        arrived = self._arrived()
        if arrived is not None and (
            os.path.samestat(aside, arrived) or (self._is_original(aside) and self._is_equal(self._aside))
        ):
            os.unlink(self._aside, dir_fd=self.source_fd)
        else:
            self._put_back(self.source_fd, self._aside)

    # The sidecars.

    def _see_room(self) -> None:
        """See that all that is still to be written fits, before any of it is; raises FaultError."""
        there = look.status
        contents = self.sidecars.contents
        sizes = [len(contents[name]) for name in contents if there(self.target_fd, name) is None]
        if self._crosses_devices() and self._arrived() is None:
            sizes.append(self.identity.size)
        try:
            room.check(self.target_fd, sizes)
        except FaultError:
            self.sidecars.clean(_COPY)  # what a stop left half written takes room, and is written anew
            room.check(self.target_fd, sizes)

    def _crosses_devices(self) -> bool:
        source, target = self._at_source(), os.fstat(self.target_fd)
        return source is not None and source.st_dev != target.st_dev

    def _sidecars(self) -> Result | None:
        for number, name in self.sidecars.numbered:
            if not self.sidecars.put(number, name):
                return NameTaken(name)
        folders.persist(self.target_fd)
        return None

    # The original.

    def _original(self) -> Result:
        """Move the original; look at what arrived, since its name may have got another file meanwhile."""
        self.sidecars.mark(_BEGUN)
        if (result := self._unmovable()) is not None:
            return result
        assert self.source_fd is not None
        try:
            gone = publish.move(self.source_fd, self.name, self.target_fd, self.plan.original)
        except FileExistsError:
            return NameTaken(self.plan.original)
        except OSError as error:
            if error.errno == errno.EXDEV:
                return self._copied()
            if self._at_source() is None:
                return Vanished()
            raise
        arrived = self._arrived()
        if arrived is not None and not self._is_original(arrived):
            self._put_back(self.target_fd, self.plan.original)
            return Changed()
        if not gone:
            self._retire()
        return Delivered()

    def _unmovable(self) -> Result | None:
        """Return why the original must not be moved, None if it is still the file that settled."""
        return look.disturbed(self._at_source(), self.identity)

    def _copied(self) -> Result:
        """Copy the original to another device, then remove it where it was."""
        os.unlink(self.sidecars.temporary(_BEGUN), dir_fd=self.target_fd)
        if self._arrived() is None:
            result = self._copy()
            if result is not None:
                return result
        elif not self._is_equal(self.name):
            return NameTaken(self.plan.original)
        folders.persist(self.target_fd)
        source = self._at_source()
        if source is not None and self._is_same_inode(source):
            if look.identity(source) != self.identity:
                # It was written to after it was copied: the copy is an old state of it.
                self.sidecars.published[self.plan.original] = os.lstat(
                    self.plan.original, dir_fd=self.target_fd
                )
                return Changed()
            self._retire()
        # Else another file stands there, or none: then the copy is the last of the one that settled.
        return Delivered()

    def _copy(self) -> Result | None:
        """Make the copy and publish it; return why not, None if it stands there."""
        assert self.source_fd is not None
        from_fd = look.opened(self.source_fd, self.name)
        if from_fd is None:
            return self._unmovable() or Changed()
        try:
            to_fd = self.sidecars.create(_COPY, 0o600)
            try:
                copying.copy(from_fd, to_fd)
            finally:
                os.close(to_fd)
            if look.identity(os.fstat(from_fd)) != self.identity:
                return self._unmovable() or Changed()
        finally:
            os.close(from_fd)
        return None if self.sidecars.publish(_COPY, self.plan.original) else NameTaken(self.plan.original)

    def _retire(self) -> None:
        """Remove the original's old name, which may be another file's by now: so it is put aside first."""
        assert self.source_fd is not None
        self._settle_aside()
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.name, self._aside, src_dir_fd=self.source_fd, dst_dir_fd=self.source_fd)
            aside, arrived = os.lstat(self._aside, dir_fd=self.source_fd), self._arrived()
            if self._is_original(aside) or (arrived is not None and os.path.samestat(aside, arrived)):
                os.unlink(self._aside, dir_fd=self.source_fd)
            else:
                self._put_back(self.source_fd, self._aside)

    # Undoing.

    def _put_back(self, from_fd: int, old: bytes) -> None:
        """Give a file the original's old name again, numbered where another one has that already."""
        if self.source_fd is not None:
            publish.put_back(from_fd, old, self.source_fd, self.name)

    # What is where.

    @property
    def _aside(self) -> bytes:
        return b".watcherd-%d.original" % self.job_id

    def _at_source(self) -> os.stat_result | None:
        return None if self.source_fd is None else look.status(self.source_fd, self.name)

    def _arrived(self) -> os.stat_result | None:
        return look.status(self.target_fd, self.plan.original)

    def _is_original(self, status: os.stat_result) -> bool:
        """Tell whether this is the file that settled; its ctime changes with its name and does not count."""
        found = look.identity(status)
        return found is not None and replace(found, ctime_ns=self.identity.ctime_ns) == self.identity

    def _is_same_inode(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino) == (self.identity.dev, self.identity.ino)

    def _is_copy(self, status: os.stat_result) -> bool:
        """Tell whether this can be our copy of the file that settled, which is not there to compare."""
        drift = abs(status.st_mtime_ns - self.identity.mtime_ns)
        same_size = stat.S_ISREG(status.st_mode) and status.st_size == self.identity.size
        return same_size and drift <= _COARSEST_CLOCK

    def _is_equal(self, name: bytes) -> bool:
        """Compare a file in the original's folder with what stands under the original's final name."""
        assert self.source_fd is not None
        return look.equal(self.source_fd, name, self.target_fd, self.plan.original)
