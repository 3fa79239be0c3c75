"""Opening: a path in, a checked connection with the newest schema out. Blocks; in the journal's thread."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import structlog

from watcherd.clock import Clock
from watcherd.journal.errors import JournalError

log = structlog.get_logger()


class _DamagedError(Exception):
    """The file is no database, or one whose inside does not fit together."""


class transaction:  # noqa: N801 - reads as the statement it is
    """BEGIN IMMEDIATE, then COMMIT, or ROLLBACK on any error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:  # something failed, perhaps the COMMIT itself
                self._connection.execute("ROLLBACK")


def connect(path: Path, clock: Clock) -> sqlite3.Connection:
    """Open or create the journal, check it and bring it to the newest schema; raises JournalError.

    A damaged file is set aside and a new one begun: the folders are the truth, replies are what is lost.
    """
    try:
        try:
            return _opened(path)
        except _DamagedError as error:
            aside = _set_aside(path, clock)
            log.error(  # noqa: TRY400 - the traceback says nothing that the message does not
                "journal.damaged", path=str(path), kept_as=str(aside), message=str(error)
            )
            return _opened(path)
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"{path}: {error}; look at the disk and the rights of the folder.") from error


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        connection.row_factory = sqlite3.Row
        _check(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
            raise _DamagedError(str(error)) from error
        raise
    if found != "ok":
        raise _DamagedError(found)


def _set_aside(path: Path, clock: Clock) -> Path:
    """Rename the file and what belongs to it, keeping all of it for a person to look at."""
    stamp = datetime.fromtimestamp(clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    return aside


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply each numbered migration that is not recorded yet, each in its own transaction."""
    scripts = sorted(
        (entry for entry in resources.files(__package__).joinpath("migrations").iterdir()),
        key=lambda entry: entry.name,
    )
    numbered = [(int(entry.name.split("_")[0]), entry) for entry in scripts if entry.name.endswith(".sql")]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > numbered[-1][0]:
        raise JournalError(
            f"{path} was written by a newer watcherd (schema {version}); install that version."
        )
    for number, entry in numbered:
        if number > version:
            with transaction(connection):
                for statement in _statements(entry.read_text("utf-8")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")


def _statements(script: str) -> list[str]:
    """Split a script, since executescript would commit before it begins."""
    found: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found
