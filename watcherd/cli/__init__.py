"""The commands: the only room that prints to a terminal. Arguments in, an exit code out."""

from __future__ import annotations


def main() -> None:
    """Run the `watcherd` command and leave with its exit code."""
    from watcherd.cli.app import app  # noqa: PLC0415 - the console script must start fast

    app(prog_name="watcherd")
