"""A status that no daemon tells: the configuration in; what the journal and the folders tell out."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Literal

import typer

from watcherd.cli.exits import Exit
from watcherd.config.model import Config, Endpoint, Folder
from watcherd.control import EndpointLive, InboxLive
from watcherd.escaping import plain
from watcherd.journal.ledger import Kind, StoredPause
from watcherd.journal.reader import reading
from watcherd.promptly import promptly
from watcherd.state import Holder, StateFolder
from watcherd.status.shapes import DaemonStatus, Status
from watcherd.status.snapshot import NOTHING, Record, read_record, status_of

_Unasked = Literal["starting", "not running", "not answering"]


def unasked(config: Config, holder: Holder | None) -> Status:
    """Gather it; `holder` is a daemon that does not answer. Where that fails, prints why and exits 1."""
    state: _Unasked = "not running"
    if holder is not None:
        state = "starting" if holder.control is None else "not answering"
    record, pauses, minutes = _journal(StateFolder(config.state))
    held = {(pause.kind, pause.name): pause for pause in pauses if pause.by_hand}
    faulted = {pause.name: pause for pause in pauses if not pause.by_hand}
    condition = "not watched" if holder is None else "unknown"
    with ThreadPoolExecutor(max_workers=max(1, len(config.folders))) as threads:
        inboxes = list(threads.map(lambda folder: _inbox(folder, condition, held), config.folders))
    return status_of(
        record,
        daemon=DaemonStatus(
            state=state,
            pid=None if holder is None else holder.pid,
            control=None if holder is None or holder.control is None else plain(str(holder.control)),
        ),
        inboxes=inboxes,
        endpoints=[
            _endpoint(endpoint, held.get((Kind.ENDPOINT, name)), faulted.get(name), minutes.get(name, 0.0))
            for name, endpoint in config.endpoints.items()
        ],
        now=time.time(),
    )


def _journal(state: StateFolder) -> tuple[Record, Sequence[StoredPause], Mapping[str, float]]:
    """What the journal holds; prints why and exits 1 where it cannot be read."""
    now = datetime.now().astimezone()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()

    def read() -> tuple[Record, Sequence[StoredPause], Mapping[str, float]]:
        if not state.journal.exists():
            return NOTHING, (), {}
        with reading(state.journal) as reader:
            return read_record(reader), reader.pauses(), reader.minutes_sent(midnight)

    try:
        return promptly(read)
    except (sqlite3.Error, OSError) as error:
        hint = "run this as the user that watcherd runs as, or look at the disk"
        typer.echo(f"cannot read {state.journal}: {error or 'no answer'}; {hint}.", err=True)
        raise typer.Exit(Exit.FAILED) from None


def _inbox(folder: Folder, condition: str, held: Mapping[tuple[Kind, str], StoredPause]) -> InboxLive:
    text = hint = ""
    try:
        if not promptly(folder.inbox.is_dir):
            condition, text = "missing", f"there is no folder {folder.inbox}"
            hint = f"Create it (mkdir -p {folder.inbox}) or mount what belongs there."
    except TimeoutError:
        condition, text = "storage not answering", f"the storage of {folder.inbox} does not answer"
        hint = "Look at the disk, the mount or the server behind it."
    except OSError as error:
        condition, text = "unreadable", f"{folder.inbox} cannot be looked at: {error.strerror}"
    pause = held.get((Kind.INBOX, folder.name))
    return InboxLive(
        name=folder.name,
        path=bytes(folder.inbox),
        endpoint=folder.endpoint,
        condition=condition,
        text=text,
        hint=hint,
        held_since=None if pause is None else pause.since,
    )


def _endpoint(
    endpoint: Endpoint, held: StoredPause | None, faulted: StoredPause | None, minutes: float
) -> EndpointLive:
    return EndpointLive(
        name=endpoint.name,
        base_url=endpoint.base_url,
        model=endpoint.model,
        slots=endpoint.concurrency,
        concurrency=endpoint.concurrency,
        in_flight=0,
        minutes_today=minutes,
        minutes_per_day=None if endpoint.budget is None else endpoint.budget.minutes_per_day,
        held_since=None if held is None else held.since,
        paused_since=None if faulted is None else faulted.since,
        paused_until=None if faulted is None else faulted.until,
        fault=None if faulted is None else faulted.fault,
    )
