"""The first touch of a file in an inbox: descriptors and relative paths in, looks and open files out. Rim.

Nothing here follows a symbolic link below the inbox, and nothing that is no plain file is ever opened. All of
it blocks: it runs in the inbox's own threads (see storage).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import stat
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from watcherd.inbox.accept import MARKER
from watcherd.inbox.settle import GONE, Kind, Lease, Look
from watcherd.job import Identity

_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC
_CLIMBING = frozenset({b"", b".", b".."})
_BENEATH = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def ignore_lease_signal() -> None:
    """Ignore SIGIO, whose default action kills; the daemon calls it at its start, in the main thread.

    A program that opens a file for writing in the instant we hold a lease on it makes the kernel signal us.
    `lease_of` asks for a harmless signal instead, but the kernel falls back to SIGIO when it cannot queue
    that.
    """
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def identity_of(status: os.stat_result) -> Identity:
    """What makes it the same file as a moment ago."""
    return Identity(
        dev=status.st_dev,
        ino=status.st_ino,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
    )


def open_root(path: Path) -> int:
    """A descriptor of an inbox, whose own path may hold symbolic links; raises OSError."""
    return os.open(path, os.O_RDONLY | _FOLDER)


def open_beneath(root_fd: int, path: bytes, flags: int = os.O_RDONLY) -> int:
    """Open a path below a folder, component by component, without following any link and without blocking.

    Raises ValueError for a path that is absolute or climbs, NotADirectoryError where a link is in the way,
    IsADirectoryError for a folder (unless O_DIRECTORY is asked for), and OSError as the system does, with the
    whole path as its file name.
    """
    folder, _, name = path.rpartition(b"/")
    if name in _CLIMBING:
        _refuse(path)
    parent = open_folder(root_fd, folder)
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "a symbolic link is in the way")
        if stat.S_ISDIR(status.st_mode) and not flags & os.O_DIRECTORY:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        return os.open(name, flags | _BENEATH, dir_fd=parent)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(parent)


def open_folder(root_fd: int, folder: bytes) -> int:
    """A descriptor of a folder below another (b"" is that one itself), only good for what lies in it."""
    parts = folder.split(b"/") if folder else []
    if not _CLIMBING.isdisjoint(parts):
        _refuse(folder)
    descriptor = os.open(b".", os.O_PATH | _FOLDER, dir_fd=root_fd)
    try:
        for part in parts:
            inner = os.open(part, os.O_PATH | os.O_NOFOLLOW | _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, OSError):
            error.filename = folder
        raise
    return descriptor


def look(
    root_fd: int,
    path: bytes,
    *,
    beside: Collection[bytes] = (),
    covers: Collection[bytes] = (),
    leases: bool = True,
) -> Look:
    """Look at a path below the inbox: what it is, whether a writer has it, which of `beside` lie there too.

    Where all of `covers` lie there, that is all that counts. `leases` is False on file systems whose writers
    may sit on other machines. Raises nothing but bugs: an error of the system is part of the look.
    """
    folder, _, name = path.rpartition(b"/")
    try:
        parent = open_folder(root_fd, folder)
    except OSError as error:
        return _failed(error)
    try:
        if marked_folder(root_fd, folder) is not None:
            return Look(kind=Kind.IGNORED)
        return _look(parent, name, beside=beside, covers=covers, leases=leases)
    except OSError as error:
        return _failed(error)
    finally:
        os.close(parent)


def marked_folder(root_fd: int, folder: bytes) -> bytes | None:
    """The outermost folder, from the inbox (b"") down to this one, that holds a marker; None without any."""
    parts = folder.split(b"/") if folder else []
    above = (b"/".join(parts[:depth]) for depth in range(len(parts) + 1))
    return next((one for one in above if _exists(root_fd, one + b"/" + MARKER if one else MARKER)), None)


def lease_of(descriptor: int) -> Lease:
    """Whether any program has the file open for writing, whoever's it is, mapped memory included.

    A read lease is taken and dropped at once (12 microseconds): a held one would block a writer's open. Only
    the file's owner, root or CAP_LEASE may have one; some file systems have none. The descriptor must be
    read-only.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # ignored by default, unlike SIGIO
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return Lease.BUSY if error.errno == errno.EAGAIN else Lease.UNKNOWN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return Lease.FREE


def _refuse(path: bytes) -> NoReturn:
    raise ValueError(f"not a path below the inbox: {path!r}")


def _look(
    parent: int, name: bytes, *, beside: Collection[bytes], covers: Collection[bytes], leases: bool
) -> Look:
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    kind = _kind(status.st_mode)
    if kind is not Kind.FILE:
        return Look(kind=kind)
    if covers and all(_exists(parent, other) for other in covers):
        return Look(kind=Kind.COVERED)
    error, lease = "", Lease.UNKNOWN
    try:
        descriptor = os.open(name, os.O_RDONLY | _BENEATH, dir_fd=parent)
    except OSError as refused:
        if refused.errno in {errno.ENOENT, errno.ELOOP}:
            return GONE
        if refused.errno == errno.EWOULDBLOCK:
            lease = Lease.BUSY  # another program holds a write lease on it
        else:
            error = _words(refused)
    else:
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return Look(kind=_kind(status.st_mode))  # swapped since the lstat
            if leases:
                lease = lease_of(descriptor)
        finally:
            os.close(descriptor)
    found = frozenset(other for other in beside if _exists(parent, other))
    return Look(kind=kind, identity=identity_of(status), lease=lease, beside=found, error=error)


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISLNK(mode):
        return Kind.SYMLINK
    return Kind.FOLDER if stat.S_ISDIR(mode) else Kind.SPECIAL


def _exists(parent: int, name: bytes) -> bool:
    with contextlib.suppress(OSError):  # not there, or a name too long to be
        os.stat(name, dir_fd=parent, follow_symlinks=False)
        return True
    return False


def _failed(error: OSError) -> Look:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return GONE
    return Look(kind=Kind.FILE, error=_words(error))


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
