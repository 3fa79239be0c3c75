"""`watcherd status`: what the daemon says of itself, else what its journal holds, as a table or JSON."""

from __future__ import annotations

from pathlib import Path

import typer

from watcherd.cli.asking import UnansweredError, ask, running
from watcherd.cli.exits import Exit
from watcherd.cli.loading import load_or_exit
from watcherd.cli.table import table
from watcherd.escaping import plain
from watcherd.state import Holder
from watcherd.status.shapes import Status


def status(path: Path | None, *, as_json: bool) -> int:
    """Print the status; works with and without a daemon."""
    holder = running(path)
    found = None if holder is None else _asked(holder)
    if found is None:
        from watcherd.cli.unasked import unasked  # noqa: PLC0415 - whoever gets an answer needs no journal

        found = unasked(load_or_exit(path), holder)
    typer.echo(found.model_dump_json(indent=2, ensure_ascii=True) if as_json else table(found))
    return Exit.OK


def _asked(holder: Holder) -> Status | None:
    """What the daemon says; None, with the reason printed, where it says nothing."""
    if holder.control is None:
        return None
    try:
        answer = ask(holder.control, "GET", "status")
    except UnansweredError as error:
        typer.echo(f"watcherd runs ({holder}), but {error}; this is what its journal holds.", err=True)
        return None
    if answer.status != 200:
        typer.echo(f"watcherd runs ({holder}), but says: {plain(str(answer.body.get('message')))}", err=True)
        return None
    return Status.model_validate(answer.body)
