"""The state folder: one daemon's lock, its journal and its work folder. A path in, a held lock out.

The lock file says who runs there and where that one can be asked: {"pid": …, "control": …, "page": …}.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where what can be made again is kept: systemd's cache folder, else the XDG one."""
    if given := environ.get("CACHE_DIRECTORY"):
        return Path(given)
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "watcherd"


class LockedError(Exception):
    """Another daemon holds the state folder; the text names it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a state folder: its process, its control socket, its page's address, as far as it has them.

    `pid` is None for an instant while it starts, `control` until it can be asked.
    """

    pid: int | None = None
    control: Path | None = None
    page: str | None = None

    def __str__(self) -> str:
        return "just starting" if self.pid is None else f"process {self.pid}"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Where a daemon keeps what it knows; mode 0700, since names and transcripts are private."""

    path: Path

    @property
    def journal(self) -> Path:
        """The SQLite file."""
        return self.path / "journal.sqlite3"

    @property
    def work(self) -> Path:
        """Encoded audio on its way out; its files have no names, so nothing is left behind."""
        return self.path / "work"

    @property
    def reports(self) -> Path:
        """What is wrong with files that stay in their inbox."""
        return self.path / "reports"

    @property
    def lock_file(self) -> Path:
        """Who runs here, as JSON, and while it is locked."""
        return self.path / "lock"

    def create(self) -> None:
        """Make the folder and what belongs in it; raises OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.work, self.reports):
            folder.mkdir(mode=0o700, exist_ok=True)

    def lock(self) -> int:
        """Take the folder for this process; returns the descriptor that holds it, raises LockedError."""
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _locked(descriptor):
            os.close(descriptor)
            raise LockedError(f"another watcherd ({self.holder()}) uses {self.path}")
        _write(descriptor, control=None, page=None)
        return descriptor

    def announce(self, *, control: Path, page: str | None = None) -> None:
        """Say where this process can be asked; only for the one that holds the lock. Raises OSError."""
        descriptor = os.open(self.lock_file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            _write(descriptor, control=control, page=page)
        finally:
            os.close(descriptor)

    def holder(self) -> Holder | None:
        """Who holds the lock; None when nobody does. Raises OSError (PermissionError: another user's)."""
        try:
            descriptor = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return _holder(descriptor)
        finally:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Try for half a second: a `status` that looks who runs here holds the lock for an instant."""
    for _ in range(6):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return True
    return False


def _write(descriptor: int, *, control: Path | None, page: str | None) -> None:
    where = None if control is None else str(control)
    content = json.dumps({"pid": os.getpid(), "control": where, "page": page}).encode()
    os.pwrite(descriptor, content, 0)
    os.ftruncate(descriptor, len(content))


def _holder(descriptor: int) -> Holder | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(os.pread(descriptor, 4096, 0))
    return None


def _read(content: bytes) -> Holder:
    try:
        said = json.loads(content)
        control = said["control"]
        return Holder(int(said["pid"]), None if control is None else Path(control), said["page"])
    except (ValueError, KeyError, TypeError):  # being written this instant
        return Holder()
