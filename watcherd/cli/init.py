"""`watcherd init`: a commented starter file, never over one that exists."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from watcherd.cli.exits import Exit
from watcherd.config.starter import starter


def init(path: Path) -> Exit:
    """Write the starter file with mode 0600, since a key may be added to it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        typer.echo(f"{path} exists already; name another file: watcherd init FILE", err=True)
        return Exit.FAILED
    except OSError as error:
        typer.echo(f"cannot write {path}: {error.strerror}", err=True)
        return Exit.FAILED
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(starter())
    typer.echo(f"Wrote {path}. Edit it, then: watcherd check --config {path}")
    return Exit.OK
