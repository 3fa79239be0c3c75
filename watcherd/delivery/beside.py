"""Sidecars beside an original that stays where it is: their contents in, new files out. Rim; blocks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from watcherd.delivery import folders, publish
from watcherd.delivery.files import Delivered, NameTaken


def write(folder: Path, contents: Mapping[bytes, bytes], *, job_id: int) -> Delivered | NameTaken:
    """Write new files, each whole or not at all; a file that holds just that already is taken as written.

    Raises OSError as the system does; the call can then be repeated.
    """
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for number, (name, content) in enumerate(contents.items()):
            if not _write(folder_fd, b".watcherd-%d-%d.tmp" % (job_id, number), name, content):
                return NameTaken(name)
        folders.persist(folder_fd)
    finally:
        os.close(folder_fd)
    return Delivered()


def _write(folder_fd: int, temporary: bytes, name: bytes, content: bytes) -> bool:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder_fd)  # of a call that was cut off
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder_fd)
    gone = False
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        gone = publish.move(folder_fd, temporary, folder_fd, name)
    except FileExistsError:
        return _holds(folder_fd, name, content)
    finally:
        if not gone:
            os.unlink(temporary, dir_fd=folder_fd)
    return True


def _holds(folder_fd: int, name: bytes, content: bytes) -> bool:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    except OSError:
        return False
    with os.fdopen(fd, "rb") as file:
        return file.read(len(content) + 1) == content
