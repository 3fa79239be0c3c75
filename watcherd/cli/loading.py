"""Loading a configuration for a command: the file in, a Config or all its problems on standard error out."""

from __future__ import annotations

from pathlib import Path

import typer

from watcherd.cli.exits import Exit
from watcherd.config.load import ConfigError, find, load
from watcherd.config.model import Config


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
