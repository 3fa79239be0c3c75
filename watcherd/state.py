"""The state folder: one daemon's lock, its journal and its work folder. A path in, a held lock out."""

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
    def lock_file(self) -> Path:
        """Who runs here: {"pid": …}."""
        return self.path / "lock"

    def create(self) -> None:
        """Make the folder and what belongs in it; raises OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.work.mkdir(mode=0o700, exist_ok=True)

    def lock(self) -> int:
        """Take the folder for this process; returns the descriptor that holds it, raises LockedError."""
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _locked(descriptor):
            os.close(descriptor)
            raise LockedError(f"another watcherd ({self.holder()}) uses {self.path}")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid()}).encode(), 0)
        return descriptor

    def holder(self) -> str:
        """The running daemon in words, such as `process 4711`; "none" when nothing holds the lock."""
        try:
            descriptor = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return "none"
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


def _holder(descriptor: int) -> str:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return f"process {json.loads(os.pread(descriptor, 4096, 0))['pid']}"
        except (ValueError, KeyError):
            return "just starting"
    return "none"
