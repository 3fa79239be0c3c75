"""`watcherd plan`: files or whole inboxes in, what would become of them printed; nothing is written."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import typer

from watcherd import logs
from watcherd.cli.checks import NO_SUCH_FILE
from watcherd.cli.exits import Exit
from watcherd.cli.loading import load_or_exit
from watcherd.cli.outlook import Budget, Outlook, lines, objects, summary
from watcherd.cli.survey import Survey
from watcherd.cli.where import Kind, nearest, spots
from watcherd.clock import SystemClock
from watcherd.config.model import Config, Folder
from watcherd.endpoint.gates import Gates
from watcherd.endpoint.past import Past
from watcherd.escaping import escaped
from watcherd.faults import FaultError
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import ignore_lease_signal
from watcherd.journal.viewing import view
from watcherd.media.pool import MediaPool
from watcherd.pipeline.bench import Bench
from watcherd.state import StateFolder, cache_folder

PATIENCE = 10.0  # seconds without any progress; a person waits

_Wanted = Mapping[str, Sequence[bytes]]


def plan(path: Path | None, files: Sequence[Path], *, as_json: bool, everything: bool) -> int:
    """Print what would become of files, of all inboxes if none are named."""
    logs.configure(level="critical", form="console")
    ignore_lease_signal()
    config = load_or_exit(path)
    wanted, strangers = _sorted(files, config.folders)
    for stranger in strangers:
        typer.echo(stranger, err=True)
    outlooks: list[Outlook] = []
    if wanted or not files:
        try:
            outlooks, budgets = asyncio.run(_foreseen(config, wanted))
        except FaultError as error:
            typer.echo(f"{error.fault.message}; {error.fault.hint}", err=True)
            return Exit.FAILED
    if as_json:
        found = [one for outlook in outlooks for one in objects(outlook, everything=everything)]
        typer.echo(json.dumps(found, indent=2))
        for outlook in outlooks:
            for trouble in outlook.trouble:
                typer.echo(f"inbox {outlook.inbox}: {trouble}", err=True)
    elif outlooks:
        for outlook in outlooks:
            typer.echo("\n".join(lines(outlook, everything=everything)) + "\n")
        typer.echo("\n".join(summary(outlooks, budgets)))
    missing = any(one.rule == NO_SUCH_FILE for outlook in outlooks for one in outlook.files)
    failed = strangers or missing or any(outlook.trouble for outlook in outlooks)
    return Exit.FAILED if failed else Exit.OK


def _sorted(files: Sequence[Path], folders: Sequence[Folder]) -> tuple[dict[str, list[bytes]], list[str]]:
    """The files by their inboxes, and a sentence for each that lies in none."""
    wanted: dict[str, list[bytes]] = {}
    strangers = []
    for file in files:
        name, found = escaped(os.fsencode(file)), spots(file, folders)
        if not found:
            near = nearest(file, folders)
            strangers.append(f"{name}: it lies in no inbox; the nearest is {near.name}, {near.inbox}")
        elif found[0].kind is not Kind.INBOX:
            spot = found[0]
            strangers.append(f"{name}: it lies in the {spot.kind} folder of inbox {spot.folder.name}")
        else:
            wanted.setdefault(found[0].folder.name, []).append(found[0].path)
    return wanted, strangers


async def _foreseen(config: Config, wanted: _Wanted) -> tuple[list[Outlook], list[Budget]]:
    """What is ahead of the inboxes of the files that are wanted, or of all."""
    clock, state = SystemClock(), StateFolder(config.state)
    journal = view(state.journal, clock)
    await journal.recall_names()
    past = Past(journal.ledger)
    await past.recall(clock.now())
    async with AsyncExitStack() as stack:
        gates = await stack.enter_async_context(
            Gates(wake=asyncio.Event(), clock=clock, cache=cache_folder(os.environ), past=past)
        )
        gates.furnish(config.endpoints)
        media = MediaPool()
        stack.push_async_callback(media.close)
        looking = []
        for folder in config.folders:
            if wanted and folder.name not in wanted:
                continue
            storage = Storage(folder.name, patience=PATIENCE)
            stack.callback(storage.close)
            bench = Bench(
                folder=folder,
                gate=gates[folder.endpoint],
                storage=storage,
                media=media,
                journal=journal,
                clock=clock,
                work=state.work,
                reports=state.reports,
                planning=asyncio.Lock(),
            )
            looking.append(Survey(bench).run(wanted.get(folder.name, ())))
        outlooks = await asyncio.gather(*looking)
        used = {outlook.endpoint for outlook in outlooks}
        return outlooks, [
            Budget(endpoint=name, per_day=endpoint.budget.minutes_per_day, spent=gates[name].minutes_today)
            for name, endpoint in config.endpoints.items()
            if endpoint.budget is not None and name in used
        ]
