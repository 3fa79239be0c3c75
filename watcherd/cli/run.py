"""`watcherd run`: the daemon in the foreground."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from watcherd import logs
from watcherd.cli.exits import Exit
from watcherd.cli.loading import in_state_folder, load_or_exit
from watcherd.config.model import Config
from watcherd.daemon import Daemon
from watcherd.inbox.root import holder_of
from watcherd.promptly import PATIENCE, side_by_side
from watcherd.state import StateFolder


def run(path: Path | None, *, once: bool, log_level: str | None = None) -> int:
    """Run until a signal (or, once, until all is worked off) over the configuration's state folder."""
    config = load_or_exit(path)
    logs.configure(level=log_level or config.log.level, form=config.log.format)

    def serve(state: StateFolder) -> int:
        if _is_taken(config):
            return Exit.TEMPORARY
        daemon = Daemon(config, state, log_level=log_level)
        return asyncio.run(daemon.run_once() if once else daemon.run())

    return in_state_folder(config.state, serve, hint="set `state:` to another folder")


def _is_taken(config: Config) -> bool:
    """Whether another daemon watches one of the inboxes, and if so say which one."""
    holders = side_by_side(holder_of, [folder.inbox for folder in config.folders], patience=PATIENCE)
    for folder in config.folders:
        holder = holders[folder.inbox]
        # A folder that cannot be opened now is a state of that inbox, which the daemon shows and heals.
        if holder is not None and not isinstance(holder, OSError):
            typer.echo(f"inbox {folder.name}: {holder}; stop that one first.", err=True)
            return True
    return False
