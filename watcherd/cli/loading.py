"""What commands begin with: a configuration loaded, a state folder held; else the reason is printed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import typer

from watcherd.cli.exits import Exit
from watcherd.config.load import ConfigError, find, load
from watcherd.config.model import Config
from watcherd.journal.errors import JournalError
from watcherd.state import LockedError, StateFolder
from watcherd.status.listening import ControlSocketError


def load_or_exit(path: Path | None) -> Config:
    """The configuration that a command works with; prints every problem and exits 78 otherwise."""
    try:
        config = load(find(path))
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(Exit.CONFIGURATION) from None
    for warning in config.warnings:
        typer.echo(f"warning: {warning}", err=True)
    return config


def in_state_folder(path: Path, work: Callable[[StateFolder], int], *, hint: str) -> int:
    """Do `work` with a state folder that no other process uses meanwhile; its exit code, or 75, 78 or 1.

    `hint` says what else a user can do when the folder is held or cannot be used.
    """
    state = StateFolder(path)
    try:
        state.create()
        lock = state.lock()
    except LockedError as error:
        typer.echo(f"{error}; wait for it or stop it, or {hint}", err=True)
        return Exit.TEMPORARY
    except OSError as error:
        typer.echo(f"cannot use the state folder {path}: {error.strerror}; {hint}", err=True)
        return Exit.FAILED
    try:
        return work(state)
    except ControlSocketError as error:
        typer.echo(str(error), err=True)
        return Exit.CONFIGURATION
    except JournalError as error:
        typer.echo(str(error), err=True)
        return Exit.FAILED
    finally:
        os.close(lock)
