"""Publishing: a file's name in, its new name out, never in the place of another file. Rim; blocks.

To move a file:

renameat2(RENAME_NOREPLACE)    where kernel and file system know it
link, and the caller unlinks   where they do not (EINVAL, ENOSYS): NFS, FAT, some FUSE
a placeholder, then rename     where links are refused too (EPERM, EOPNOTSUPP): exFAT, SMB, foreign files

To put one in the place of another, which is not lost by that: renameat2(RENAME_EXCHANGE), or nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os

from watcherd.delivery import look, names

_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2
_UNKNOWN = {errno.EINVAL, errno.ENOSYS}
_REFUSED = {errno.EPERM, errno.EOPNOTSUPP}

_libc = ctypes.CDLL(None, use_errno=True)


def move(from_fd: int, name: bytes, to_fd: int, new: bytes) -> bool:
    """Give a file a new name, both relative to descriptors of folders.

    Return whether the old name is gone; where it is not, both names are the same file's, and the old one is
    the caller's to remove. Raises FileExistsError where the new name is taken, OSError (EXDEV) across
    devices. A stop in the middle may leave an empty file under the new name, our placeholder.
    """
    try:
        _renameat2(from_fd, name, to_fd, new, _RENAME_NOREPLACE)
    except OSError as error:
        if error.errno in _UNKNOWN:
            return _link(from_fd, name, to_fd, new)
        if error.errno in _REFUSED:
            return _replace_placeholder(from_fd, name, to_fd, new)
        raise
    return True


def put_back(from_fd: int, old: bytes, to_fd: int, name: bytes) -> None:
    """Give somebody's file its name again, numbered where another one has that already."""
    _, extension = names.split(name)
    for stem in names.numbered(name):
        try:
            gone = move(from_fd, old, to_fd, stem + extension)
        except FileExistsError:
            there = look.status(to_fd, stem + extension)
            if there is None or not os.path.samestat(there, os.lstat(old, dir_fd=from_fd)):
                continue
            gone = False  # a stop left both names
        if not gone:
            os.unlink(old, dir_fd=from_fd)
        return


def exchange(folder_fd: int, one: bytes, other: bytes) -> bool:
    """Let two files in a folder have each other's name, at once; False where that is not known.

    Raises FileNotFoundError where one of them is not there.
    """
    try:
        _renameat2(folder_fd, one, folder_fd, other, _RENAME_EXCHANGE)
    except OSError as error:
        if error.errno in _UNKNOWN | _REFUSED:
            return False
        raise
    return True


def _renameat2(from_fd: int, name: bytes, to_fd: int, new: bytes, flag: int) -> None:
    call = getattr(_libc, "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(from_fd, name, to_fd, new, flag) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name, None, new)


def _link(from_fd: int, name: bytes, to_fd: int, new: bytes) -> bool:
    try:
        os.link(name, new, src_dir_fd=from_fd, dst_dir_fd=to_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno in _REFUSED | _UNKNOWN:
            return _replace_placeholder(from_fd, name, to_fd, new)
        raise
    return False


def _replace_placeholder(from_fd: int, name: bytes, to_fd: int, new: bytes) -> bool:
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=to_fd)
    try:
        placeholder = os.fstat(fd)
    finally:
        os.close(fd)
    try:
        os.rename(name, new, src_dir_fd=from_fd, dst_dir_fd=to_fd)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.lstat(new, dir_fd=to_fd), placeholder):
                os.unlink(new, dir_fd=to_fd)
        raise
    return True
