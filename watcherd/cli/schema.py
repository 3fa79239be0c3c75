"""`watcherd schema`: the JSON Schema of the configuration file, for editors, on the terminal."""

from __future__ import annotations

import json

import typer

from watcherd.cli.exits import Exit
from watcherd.config.schema import schema as describe


def schema() -> int:
    """Print it."""
    typer.echo(json.dumps(describe(), indent=2, ensure_ascii=False))
    return Exit.OK
