"""The commands: the only room that prints to a terminal. Arguments in, an exit code out."""

from __future__ import annotations

import sys

CUT_OFF = 130  # what a shell makes of Ctrl-C


def main() -> None:
    """Run the `watcherd` command and leave with its exit code."""
    try:
        from watcherd.cli.app import app  # noqa: PLC0415 - the console script must start fast

        app(prog_name="watcherd")
    except KeyboardInterrupt:  # before the command line itself took care
        sys.exit(CUT_OFF)
