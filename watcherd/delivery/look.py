"""Looking: a name in an open folder in, what stands there out. Links are not followed. Rim; blocks."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat

from watcherd import pulse
from watcherd.delivery import copying
from watcherd.delivery.result import Changed, Vanished
from watcherd.job import Identity

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_READABLE = {errno.ENOENT, errno.ELOOP, errno.EACCES, errno.ENXIO}


def status(folder_fd: int, name: bytes) -> os.stat_result | None:
    """Return the state of whatever has the name, None where nothing has."""
    try:
        return os.lstat(name, dir_fd=folder_fd)
    except FileNotFoundError:
        return None


def identity(status: os.stat_result) -> Identity | None:
    """Return the identity of a plain file, None for anything else."""
    if not stat.S_ISREG(status.st_mode):
        return None
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def disturbed(status: os.stat_result | None, settled: Identity) -> Vanished | Changed | None:
    """Return why a file must not be delivered any more; None while it is the one that settled."""
    if status is None:
        return Vanished()
    return None if identity(status) == settled else Changed()


def unwritten(now: os.stat_result, then: os.stat_result) -> bool:
    """Tell whether this is the same file as then, and not written to."""
    return os.path.samestat(now, then) and (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)


def opened(folder_fd: int, name: bytes) -> int | None:
    """Open a plain file for reading; None for anything else, and where it may not be read."""
    try:
        fd = os.open(name, _READ, dir_fd=folder_fd)
    except OSError as error:
        if error.errno in _NOT_READABLE:
            return None
        raise
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def content(folder_fd: int, name: bytes, limit: int) -> bytes | None:
    """Return what a plain file of at most `limit` bytes holds; None for a larger one and anything else."""
    fd = opened(folder_fd, name)
    if fd is None:
        return None
    try:
        found = copying.read(fd, limit + 1)
        return found if len(found) <= limit else None
    finally:
        os.close(fd)


def digest(folder_fd: int, name: bytes) -> str | None:
    """Return the SHA-256 of what a plain file holds, in hexadecimal digits; None for anything else."""
    fd = opened(folder_fd, name)
    if fd is None:
        return None
    found = hashlib.sha256()
    try:
        while block := copying.read(fd, copying.BLOCK):
            found.update(block)
            pulse.beat()
    finally:
        os.close(fd)
    return found.hexdigest()


def equal(one_fd: int, one: bytes, other_fd: int, other: bytes) -> bool:
    """Compare the contents of two files, each a name in an open folder; only plain files are ever equal."""
    with contextlib.ExitStack() as stack:
        found = []
        for folder_fd, name in ((one_fd, one), (other_fd, other)):
            fd = opened(folder_fd, name)
            if fd is None:
                return False
            stack.callback(os.close, fd)
            found.append(fd)
        return copying.equal(*found)
