"""What a command shows while it works: a moving line on a terminal, plain lines when piped."""

from __future__ import annotations

import os
import sys
from types import TracebackType

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from watcherd.logs import lively


class Steps:
    """A progress bar that says what is under way; `total` steps, or one that only moves when None."""

    def __init__(self, first: str, total: int | None = None) -> None:
        self._progress: Progress | None = None
        if lively(sys.stderr, os.environ):
            self._progress = Progress(
                TextColumn("  {task.description}"),
                BarColumn(bar_width=24),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._progress.add_task(first, total=total)

    def __enter__(self) -> None:
        if self._progress is not None:
            self._progress.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line that stays, above the bar; on standard output when that is no terminal."""
        if self._progress is not None and sys.stdout.isatty():
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            typer.echo(text)

    def complain(self, text: str) -> None:
        """Print a line that stays on standard error."""
        if self._progress is not None:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            typer.echo(text, err=True)

    def now(self, description: str) -> None:
        """Say what is under way."""
        if self._progress is not None:
            self._progress.update(self._task, description=description)

    def advance(self) -> None:
        """One step further."""
        if self._progress is not None:
            self._progress.advance(self._task)
