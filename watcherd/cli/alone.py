"""What `retry`, `pause` and `resume` do where no daemon runs: done here, with the state folder held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import typer

from watcherd.again import Again, Yard
from watcherd.cli.exits import Exit
from watcherd.cli.loading import in_state_folder, load_or_exit
from watcherd.clock import SystemClock
from watcherd.config.model import Config
from watcherd.control import RefusedError, Target, find
from watcherd.faults import FaultError
from watcherd.inbox.storage import Storage
from watcherd.journal.ledger import StoredPause
from watcherd.journal.store import Journal
from watcherd.pipeline.bench import Places
from watcherd.state import StateFolder
from watcherd.status.shapes import NameAnswer, RetryResult
from watcherd.status.snapshot import shown

T = TypeVar("T")
_Work = Callable[[Config, StateFolder, Journal], Coroutine[Any, Any, T]]


def retry(path: Path | None, files: Sequence[bytes] | None, *, fresh: bool) -> list[RetryResult]:
    """Move failed files back into their inboxes; None for all of them."""

    async def work(config: Config, state: StateFolder, journal: Journal) -> list[RetryResult]:
        with ExitStack() as stack:
            yards = [
                Yard(folder=folder, places=Places.of(folder), storage=_storage(stack, folder.name))
                for folder in config.folders
            ]
            records = _storage(stack, "records")
            again = Again(yards, journal=journal, path=state.journal, records=records)
            found = await (
                again.everything(fresh=fresh) if files is None else again.these(files, fresh=fresh)
            )
        return [shown(result) for result in found]

    return _held(path, work)


def pause(path: Path | None, name: str) -> NameAnswer:
    """Record a pause by hand."""

    async def work(config: Config, _: StateFolder, journal: Journal) -> NameAnswer:
        target = _found(config, name)
        pauses = await journal.ledger.pauses()
        if not any((one.kind, one.name, one.by_hand) == (target.kind, target.name, True) for one in pauses):
            pause = StoredPause(kind=target.kind, name=target.name, since=time.time(), until=None, fault=None)
            await journal.ledger.pause(pause)
        return NameAnswer(kind=target.kind.value, name=target.name)

    return _held(path, work)


def resume(path: Path | None, name: str) -> NameAnswer:
    """Forget a pause by hand, and one that a fault of the endpoint made."""

    async def work(config: Config, _: StateFolder, journal: Journal) -> NameAnswer:
        target = _found(config, name)
        for by_hand in (True, False):
            await journal.ledger.end_pause(target.kind, target.name, by_hand=by_hand)
        return NameAnswer(kind=target.kind.value, name=target.name)

    return _held(path, work)


def _held(path: Path | None, work: _Work[T]) -> T:
    """What `work` returns; prints why and exits where it cannot be done."""
    config = load_or_exit(path)
    done: list[T] = []

    async def run(state: StateFolder) -> None:
        journal = await Journal.open(state.journal, SystemClock())
        try:
            done.append(await work(config, state, journal))
        finally:
            await journal.close()

    def held(state: StateFolder) -> int:
        try:
            asyncio.run(run(state))
        except RefusedError as error:
            typer.echo(str(error), err=True)
            return Exit.USAGE
        except FaultError as error:
            typer.echo(f"{error.fault.message}; {error.fault.hint}", err=True)
            return Exit.TEMPORARY
        return Exit.OK

    code = in_state_folder(config.state, held, hint="say it again when it runs")
    if code != Exit.OK:
        raise typer.Exit(code)
    return done[0]


def _storage(stack: ExitStack, name: str) -> Storage:
    storage = Storage(name)
    stack.callback(storage.close)
    return storage


def _found(config: Config, name: str) -> Target:
    return find(name, endpoints=config.endpoints, inboxes=[folder.name for folder in config.folders])
