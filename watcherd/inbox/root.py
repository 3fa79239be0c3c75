"""The inbox's own folder: a configured path in, an open, locked descriptor of it out. Rim; all of it blocks.

The path may be a symbolic link, be missing, be replaced, lie on another machine or belong to another
watcherd.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from watcherd.inbox.condition import LockedByOtherError, Reach
from watcherd.inbox.touch import open_root
from watcherd.place import Place

_LIBC = ctypes.CDLL(None, use_errno=True)
_STATFS_BYTES = 256  # more than struct statfs has anywhere; its first field is the type, a long
_REMOTE = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x65735546: "FUSE",
    0x01021997: "9p",
    0x00C36400: "Ceph",
    0x5346414F: "AFS",
    0x6B414653: "kAFS",
    0x73757245: "Coda",
    0x564C: "NCP",
    0x0BD00BD0: "Lustre",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
    0x786F4256: "VirtualBox shared folder",
    0xBACBACBC: "VMware shared folder",
}
_OVERLAY = 0x794C7630


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """An inbox's folder, open and ours. `real` is its path without links, `key` its (device, inode).

    `own` are the folders that it delivers to, as far as they lie inside, relative; `locked` is False on file
    systems that cannot lock a folder.
    """

    fd: int
    real: bytes
    key: tuple[int, int]
    reach: Reach
    own: tuple[bytes, ...]
    locked: bool

    def close(self) -> None:
        """Let it go, and the lock with it."""
        os.close(self.fd)


def take(inbox: Place, *, targets: Iterable[Path]) -> Root:
    """Open and lock an inbox; raises OSError (missing, unreadable, no folder) and LockedByOtherError.

    `targets` are the folders that it delivers to, wherever they lie.
    """
    root = visit(inbox, targets=targets)
    try:
        return replace(root, locked=_lock(root.fd))
    except BaseException:
        root.close()
        raise


def visit(inbox: Place, *, targets: Iterable[Path]) -> Root:
    """Open an inbox for a look, as `take` does, but leave its lock to whoever has it; raises OSError."""
    descriptor = inbox.open()
    try:
        status = os.fstat(descriptor)
        return Root(
            fd=descriptor,
            real=inbox.real,
            key=(status.st_dev, status.st_ino),
            reach=reach_of(descriptor),
            own=tuple(dict.fromkeys(path for target in targets for path in _inside(inbox, target))),
            locked=False,
        )
    except BaseException:
        os.close(descriptor)
        raise


def is_current(root: Root, inbox: Place) -> bool:
    """Whether the configured path still leads to this very folder, and it can be read; raises OSError if not.

    A folder that was removed, renamed, mounted over or unmounted sends no event that would say so.
    """
    descriptor = inbox.open()
    try:
        status = os.fstat(descriptor)
        os.stat(b".", dir_fd=descriptor)  # needs the right to enter, which opening does not
        return (status.st_dev, status.st_ino) == root.key
    finally:
        os.close(descriptor)


def holder_of(inbox: Path) -> LockedByOtherError | None:
    """Who holds an inbox's lock, if anybody; for a daemon that must refuse to start. Raises OSError."""
    descriptor = open_root(inbox)
    try:
        _lock(descriptor)
    except LockedByOtherError as error:
        return error
    finally:
        os.close(descriptor)
    return None


def reach_of(descriptor: int) -> Reach:
    """Judge a file system by its type; one that does not tell counts as local."""
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if _LIBC.fstatfs(descriptor, buffer) != 0:
        return Reach.LOCAL
    kind = ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
    if kind == _OVERLAY:
        return Reach.LAYERED
    return Reach.REMOTE if kind in _REMOTE else Reach.LOCAL


def _lock(descriptor: int) -> bool:
    """Lock the folder itself, so that two daemons never share an inbox; False where there is no such lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedByOtherError(_holder(descriptor)) from None
    except OSError as error:
        if error.errno in {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}:
            return False  # NFS locks only what is open for writing, and a folder never is
        raise
    return True


def _holder(descriptor: int) -> int | None:
    """The process that holds the lock, from the kernel's table, which may be hidden."""
    inode = f":{os.fstat(descriptor).st_ino}"
    try:
        with open("/proc/locks", encoding="ascii") as table:
            rows = [line.split() for line in table]
    except OSError:
        return None
    held = [row for row in rows if len(row) > 5 and row[1] == "FLOCK" and row[5].endswith(inode)]
    return int(held[0][4]) if held and int(held[0][4]) > 0 else None


def _inside(inbox: Place, folder: Path) -> Iterator[bytes]:
    """A folder's paths relative to the inbox; none when it lies elsewhere.

    Its name counts as well as where it really is: a link in its place, which is refused, becomes a folder
    again while the inbox is open.
    """
    named, real = os.fsencode(inbox.path), inbox.real
    for root, path in ((named, os.fsencode(folder)), (real, os.path.realpath(os.fsencode(folder)))):
        if path.startswith(root.rstrip(b"/") + b"/"):
            yield path[len(root.rstrip(b"/")) + 1 :]
