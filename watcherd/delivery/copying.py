"""Copying: an original in, a true copy of it on another device out. Rim; blocks."""

from __future__ import annotations

import contextlib
import os
import stat

from watcherd import pulse

BLOCK = 1 << 20  # bytes read at a time


def copy(from_fd: int, to_fd: int) -> None:
    """Copy bytes, times, mode and, where that is allowed, owner and extended attributes; then to the disk.

    Raises OSError where the bytes cannot be copied. What else a file system will not take is left behind.
    """
    while block := os.read(from_fd, BLOCK):
        write(to_fd, block)
        pulse.beat()
    status = os.fstat(from_fd)
    for owner, group in ((-1, status.st_gid), (status.st_uid, -1)):
        with contextlib.suppress(OSError):
            os.fchown(to_fd, owner, group)
    with contextlib.suppress(OSError):
        for attribute in os.listxattr(from_fd):
            with contextlib.suppress(OSError):
                os.setxattr(to_fd, attribute, os.getxattr(from_fd, attribute))
    with contextlib.suppress(OSError):
        # Whoever drops a file would else get a program that runs as us, where the owner cannot be kept.
        os.fchmod(to_fd, stat.S_IMODE(status.st_mode) & ~(stat.S_ISUID | stat.S_ISGID))
    with contextlib.suppress(OSError):
        os.utime(to_fd, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.fsync(to_fd)


def write(fd: int, content: bytes) -> None:
    """Write all of it, however little the system takes at a time."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def read(fd: int, length: int) -> bytes:
    """Read so many bytes; fewer only where the file ends."""
    parts = []
    while length and (part := os.read(fd, length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def equal(one_fd: int, other_fd: int) -> bool:
    """Compare the contents of two files from where they stand."""
    while True:
        block = read(one_fd, BLOCK)
        if block != read(other_fd, BLOCK):
            return False
        if not block:
            return True
        pulse.beat()
