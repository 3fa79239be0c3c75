"""`watcherd retry`, `pause`, `resume`: asked of the daemon, or done here where none runs."""

# ruff: noqa: PLC0415 - what works without a daemon loads much of it

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from watcherd.cli.asking import PATIENCE, Answer, UnansweredError, ask, running
from watcherd.cli.exits import Exit
from watcherd.escaping import plain
from watcherd.promptly import promptly
from watcherd.status.shapes import NameAnswer, RetryAnswer, RetryResult

_CODES = {404: Exit.USAGE, 409: Exit.USAGE, 503: Exit.TEMPORARY}


def retry(path: Path | None, files: Sequence[Path], *, everything: bool, fresh: bool) -> int:
    """Have failed files go round again."""
    if bool(files) == everything:
        typer.echo("name the files, or say --all (and not both)", err=True)
        return Exit.USAGE
    wanted = None if everything else [_real(file) for file in files]
    uris = None if wanted is None else [Path(os.fsdecode(file)).as_uri() for file in wanted]
    answer = _ask(path, "retry", {"files": uris, "fresh": fresh}, timeout=None)
    if answer is not None:
        return _say_retried(RetryAnswer.model_validate(answer).results)
    from watcherd.cli import alone

    results = alone.retry(path, wanted, fresh=fresh)
    code = _say_retried(results)
    if any(result.back_as is not None for result in results):
        typer.echo("watcherd is not running: it takes them up when it starts")
    return code


def pause(path: Path | None, name: str) -> int:
    """Pause an endpoint or an inbox."""
    answer = _ask(path, "pause", {"name": name})
    if answer is not None:
        target = NameAnswer.model_validate(answer)
    else:
        from watcherd.cli import alone

        target = alone.pause(path, name)
    typer.echo(f"{target.kind} {plain(target.name)} is paused until: watcherd resume {plain(target.name)}")
    return Exit.OK


def resume(path: Path | None, name: str) -> int:
    """End a pause."""
    answer = _ask(path, "resume", {"name": name})
    if answer is not None:
        target = NameAnswer.model_validate(answer)
    else:
        from watcherd.cli import alone

        target = alone.resume(path, name)
    typer.echo(f"{target.kind} {plain(target.name)} goes on")
    return Exit.OK


def _say_retried(results: Sequence[RetryResult]) -> int:
    for result in results:
        if result.back_as is None:
            typer.echo(f"{result.file}: {result.text}", err=True)
        else:
            typer.echo(f"{result.file}: back in inbox {result.inbox} as {result.back_as}")
    if not results:
        typer.echo("no file has failed")
    return Exit.FAILED if any(result.back_as is None for result in results) else Exit.OK


def _real(file: Path) -> bytes:
    """A path as the daemon can find it: absolute, without links up to its folder."""
    folder, name = os.path.split(os.path.abspath(os.fsencode(file)))
    try:
        return os.path.join(promptly(os.path.realpath, folder), name)
    except TimeoutError:
        return os.path.join(folder, name)


def _ask(
    path: Path | None, route: str, body: object, *, timeout: float | None = PATIENCE
) -> dict[str, Any] | None:
    """What the daemon answers; None when none runs. Prints why and exits where it refuses."""
    holder = running(path)
    if holder is None:
        return None
    if holder.control is None:
        typer.echo("watcherd is just starting; try again in a moment", err=True)
        raise typer.Exit(Exit.TEMPORARY)
    try:
        answer = ask(holder.control, "POST", route, body, timeout=timeout)
    except UnansweredError as error:
        typer.echo(f"watcherd runs ({holder}), but {error}; look at its log and its disks", err=True)
        raise typer.Exit(Exit.TEMPORARY) from None
    if answer.status == 200:
        return answer.body
    typer.echo(_refusal(answer), err=True)
    raise typer.Exit(_CODES.get(answer.status, Exit.FAILED))


def _refusal(answer: Answer) -> str:
    message, hint = answer.body.get("message"), answer.body.get("hint")
    text = f"{message}; {hint}" if message else f"watcherd answers {answer.status}: {answer.body}"
    return plain(text)
