"""What tests of a hostile folder share: files of any name put below a folder, and a folder's whole tree."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from tests.audio import clip

Content = bytes | int  # what a plain file holds; of anything else the type bits of its mode


def speech(mark: object) -> bytes:
    """A clip unlike any other."""
    return clip("mp3").read_bytes() + repr(mark).encode()


def put(root: Path, path: bytes, content: bytes) -> None:
    """Write a file below `root`, however long its path is."""
    *folders, name = path.split(b"/")
    at = os.open(root, os.O_PATH)
    for folder in folders:
        if not _exists(folder, at):
            os.mkdir(folder, dir_fd=at)
        below = os.open(folder, os.O_PATH, dir_fd=at)
        os.close(at)
        at = below
    with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=at), "wb") as file:
        file.write(content)
    os.close(at)


def _exists(name: bytes, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def tree(root: Path) -> dict[bytes, Content]:
    """Everything below a folder but its folders."""
    found: dict[bytes, Content] = {}
    top = os.fsencode(root)
    for folder, folders, names, fd in os.fwalk(top):
        for name in (*names, *folders):
            mode = os.lstat(name, dir_fd=fd).st_mode
            path = os.path.relpath(folder + b"/" + name, top) if folder != top else name
            if stat.S_ISREG(mode):
                with open(os.open(name, os.O_RDONLY, dir_fd=fd), "rb") as file:
                    found[path] = file.read()
            elif not stat.S_ISDIR(mode):
                found[path] = stat.S_IFMT(mode)
    return found


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
