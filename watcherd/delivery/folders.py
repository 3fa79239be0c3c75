"""Folders of a delivery: a root and a path below it in, a descriptor out. Rim; everything here blocks.

The root is what the configuration names (see place). Below it, folders are opened one by one without
following links, so that nothing is written to a place the configuration does not name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from watcherd.escaping import escaped
from watcherd.faults import LINK_HINT, Fault, FaultError, Remedy, Scope
from watcherd.place import Place

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_COPIED_MODE = 0o2777  # permissions and setgid: a shared tree stays shared


@contextlib.contextmanager
def opened(root: Place, folder: bytes) -> Iterator[int]:
    """Open `folder` below `root`; raises FileNotFoundError, FaultError where a link or file is in the way."""
    with _held(root.open()) as root_fd, _descended(root_fd, folder, make=False) as fd:
        yield fd


@contextlib.contextmanager
def made(root: Place, folder: bytes, *, inbox_fd: int) -> Iterator[int]:
    """Open `folder` below `root`, making what is missing below it with its parent's mode.

    The root itself is made only directly inside the inbox, where nobody asked for it: anywhere else a root
    that is missing may be a mount that is, and FileNotFoundError rises. Raises FaultError like `opened`.
    """
    try:
        root_fd = root.open()
    except FileNotFoundError:
        with _held(root.parent.open()) as parent_fd:
            if not os.path.samestat(os.fstat(parent_fd), os.fstat(inbox_fd)):
                raise
            root_fd = _step(parent_fd, os.fsencode(root.path.name), make=True)
    with _held(root_fd), _descended(root_fd, folder, make=True) as fd:
        yield fd


@contextlib.contextmanager
def source(inbox_fd: int, folder: bytes) -> Iterator[int | None]:
    """Open the original's folder below the inbox; None where it has gone or is no plain folder any more."""
    with contextlib.ExitStack() as stack:
        try:
            fd = stack.enter_context(_descended(inbox_fd, folder, make=False))
        except (FileNotFoundError, FaultError):
            yield None
        else:
            yield fd


def persist(folder_fd: int) -> None:
    """Bring a folder's names to the disk, as far as its file system can."""
    try:
        os.fsync(folder_fd)
    except OSError as error:
        # Some network and FUSE file systems have no fsync for folders; their renames are the server's care.
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise


@contextlib.contextmanager
def _held(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _descended(root_fd: int, folder: bytes, *, make: bool) -> Iterator[int]:
    fd = os.open(b".", _FOLDER, dir_fd=root_fd)
    try:
        for part in folder.split(b"/") if folder else ():
            below = _step(fd, part, make=make)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _step(parent_fd: int, name: bytes, *, make: bool) -> int:
    """Open the folder `name` in another; raises FaultError where that is something else."""
    if name in {b"", b".", b".."}:
        raise ValueError(f"not the name of a folder: {name!r}")
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent_fd)
    except FileNotFoundError:
        if not make:
            raise
        return _make(parent_fd, name)
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise FaultError(_in_the_way(parent_fd, name)) from None
        raise


def _make(parent_fd: int, name: bytes) -> int:
    mode = os.fstat(parent_fd).st_mode & _COPIED_MODE
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, mode & 0o777, dir_fd=parent_fd)  # setgid is inherited; a service may not ask for it
    fd = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent_fd)
    if stat.S_IMODE(os.fstat(fd).st_mode) & _COPIED_MODE != mode:  # the umask took some away
        with contextlib.suppress(OSError):
            os.fchmod(fd, mode)
    persist(parent_fd)
    return fd


def _in_the_way(parent_fd: int, name: bytes) -> Fault:
    is_link = stat.S_ISLNK(os.lstat(name, dir_fd=parent_fd).st_mode)
    where = escaped(os.fsencode(os.readlink(f"/proc/self/fd/{parent_fd}")) + b"/" + name)
    return Fault(
        scope=Scope.INBOX,
        code="folder_is_a_link" if is_link else "folder_in_the_way",
        message=f"{where} is {'a link' if is_link else 'a file'}, and watcherd needs a folder there",
        hint=LINK_HINT if is_link else "Move it out of the way.",
        remedy=Remedy.PAUSE,
    )
