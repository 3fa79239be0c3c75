"""Pieces: a file that a job left behind, and where in it, in; what stands there out. Rim; blocks.

A piece is read at once and its file let go, so that whoever takes the pieces slowly, or never, holds nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from watcherd.delivery import folders, look
from watcherd.faults import FaultError
from watcherd.place import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some bytes of a file, with what tells whether the next ones are of the same file, unchanged."""

    inode: tuple[int, int]
    size: int
    mtime_ns: int
    content: bytes


def piece(root: Place, folder: bytes, name: bytes, *, offset: int, size: int) -> Piece | None:
    """Up to `size` bytes of a plain file in a folder below `root`; None where there is none to be read.

    Links are not followed on the way. Raises OSError.
    """
    try:
        with folders.opened(root, folder) as folder_fd:
            fd = look.opened(folder_fd, name)
    except (FileNotFoundError, FaultError):
        return None
    if fd is None:
        return None
    try:
        status = os.fstat(fd)
        return Piece(
            inode=(status.st_dev, status.st_ino),
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            content=os.pread(fd, size, offset) if size else b"",
        )
    finally:
        os.close(fd)
