"""`watcherd run`: the daemon in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import typer

from watcherd import logs
from watcherd.cli.exits import Exit
from watcherd.cli.loading import load_or_exit
from watcherd.config.model import Config
from watcherd.daemon import Daemon
from watcherd.inbox.root import holder_of
from watcherd.journal.store import JournalError
from watcherd.state import LockedError, StateFolder


def run(path: Path | None, *, once: bool) -> int:
    """Lock the state folder, then run until a signal (or, once, until all is worked off)."""
    config = load_or_exit(path)
    logs.configure(level=config.log.level, form=config.log.format)
    state = StateFolder(config.state)
    try:
        state.create()
        lock = state.lock()
    except LockedError as error:
        typer.echo(f"{error}; stop it first, or set another state folder.", err=True)
        return Exit.TEMPORARY
    except OSError as error:
        typer.echo(f"cannot use the state folder {config.state}: {error.strerror}; set `state:`.", err=True)
        return Exit.FAILED
    try:
        return Exit.TEMPORARY if _is_taken(config) else _serve(config, state, once=once)
    finally:
        os.close(lock)


def _is_taken(config: Config) -> bool:
    """Whether another daemon watches one of the inboxes, and if so say which one."""
    for folder in config.folders:
        # A folder that cannot be opened now is a state of that inbox, which the daemon shows and heals.
        with contextlib.suppress(OSError):
            if holder := holder_of(folder.inbox):
                typer.echo(f"inbox {folder.name}: {holder}; stop that one first.", err=True)
                return True
    return False


def _serve(config: Config, state: StateFolder, *, once: bool) -> int:
    daemon = Daemon(config, state)
    try:
        return asyncio.run(daemon.run_once() if once else daemon.run())
    except JournalError as error:
        typer.echo(str(error), err=True)
        return Exit.FAILED
