"""`watcherd why`: a path in; every rule for it, its history in the journal, and what comes next printed.

Nothing is written, and storage that does not answer is said instead of waited for.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from watcherd.cli.asking import running
from watcherd.cli.checks import Check, checks, resting
from watcherd.cli.exits import Exit
from watcherd.cli.loading import load_or_exit
from watcherd.cli.outlook import Verdict
from watcherd.cli.story import Chapter, Story, tell
from watcherd.cli.where import Kind, Spot, nearest, spots
from watcherd.config.model import Config, Folder
from watcherd.escaping import escaped
from watcherd.inbox.accept import covers, holders, rules_of
from watcherd.inbox.condition import Reach
from watcherd.inbox.root import visit
from watcherd.inbox.settle import Kind as Thing
from watcherd.inbox.touch import ignore_lease_signal, look
from watcherd.job import Outcome
from watcherd.journal.ledger import Kind as Paused
from watcherd.journal.ledger import StoredPause
from watcherd.journal.reader import Reader, Seen, reading
from watcherd.place import Place
from watcherd.promptly import promptly
from watcherd.state import StateFolder

_KEPT_REPORT = re.compile(rb"\.([0-9]+)\.error\.json\Z")  # of a file that stays in its inbox
_OUTCOMES = {Kind.DONE: Outcome.DONE, Kind.FAILED: Outcome.FAILED}
_ONLY_STAYING = {"existing", "kept"}  # rules that mean nothing where originals are moved


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the journal knows: the file's own path in the inbox, its jobs, the one that was asked for."""

    folder: Folder
    path: bytes
    chapters: Sequence[Chapter] = ()
    about: Chapter | None = None
    kept: tuple[int, int] | None = None
    pauses: Sequence[StoredPause] = ()


def why(path: Path | None, file: Path) -> int:
    """Print the story of a file; 1 where nobody knows anything of it."""
    ignore_lease_signal()
    config = load_or_exit(path)
    if _is_folder(file):
        name = escaped(os.fsencode(file))
        typer.echo(f"{name} is a folder: name a file, or say watcherd plan {name} for all below it", err=True)
        return Exit.USAGE
    state = StateFolder(config.state)
    try:
        known, delivered = promptly(_known, config, state, file)
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        typer.echo(
            f"cannot read {state.journal}: {reason}; run this as the user that watcherd runs as", err=True
        )
        return Exit.FAILED
    if known is None:
        typer.echo(_stranger(config, file), err=True)
        return Exit.FAILED
    there, applied = (False, []) if delivered else _looked(known)
    story = Story(
        folder=known.folder,
        path=known.path,
        there=there,
        checks=applied,
        chapters=known.chapters,
        about=known.about,
        pauses=known.pauses,
        running=running(path) is not None,
    )
    typer.echo("\n".join(tell(story)))
    return Exit.OK


def _is_folder(file: Path) -> bool:
    try:
        return promptly(lambda: file.is_dir() and not file.is_symlink())
    except OSError:
        return False  # what is wrong shows when it is looked at


def _stranger(config: Config, file: Path) -> str:
    name, near = escaped(os.fsencode(file)), nearest(file, config.folders)
    found = spots(file, config.folders)
    if found:
        where = f"the {found[0].kind} folder of inbox {found[0].folder.name}"
        return f"{name}: it lies in {where}, but the journal knows of no job that put it there"
    return f"{name}: it lies in no inbox, and the journal does not know it; the nearest inbox is {near.inbox}"


# The journal.


def _known(config: Config, state: StateFolder, file: Path) -> tuple[_Known | None, bool]:
    """What is known of a file, and whether it is one that was delivered. Raises sqlite3.Error and OSError."""
    found = spots(file, config.folders)
    if not state.journal.exists():
        spot = next((spot for spot in found if spot.kind is Kind.INBOX), None)
        return (None if spot is None else _Known(folder=spot.folder, path=spot.path)), False
    with reading(state.journal) as reader:
        for spot in found:
            seen = _delivered(reader, spot)
            if seen is not None:
                return _from(reader, spot.folder, seen.job.path, seen), True
        inbox = next((spot for spot in found if spot.kind is Kind.INBOX), None)
        if inbox is not None:
            return _from(reader, inbox.folder, inbox.path, None), False
        return _reported(reader, config, state, file), True


def _delivered(reader: Reader, spot: Spot) -> Seen | None:
    """The newest job of which a file is the delivered original, a sidecar or the report."""
    folder, _, name = spot.path.rpartition(b"/")
    for seen in reversed(reader.delivered(spot.folder.name, folder)):
        plan = seen.job.plan
        if plan is None or plan.stays is not (spot.kind is Kind.INBOX):
            continue
        names = {sidecar.name for sidecar in plan.sidecars}
        if not plan.stays:
            names.add(plan.original)
        if name in names and _OUTCOMES.get(spot.kind, plan.outcome) is plan.outcome:
            return seen
    return None


def _reported(reader: Reader, config: Config, state: StateFolder, file: Path) -> _Known | None:
    """What a report in the state folder is about."""
    match = _KEPT_REPORT.search(os.fsencode(file))
    if match is None or Path(os.path.abspath(file)).parent != state.reports:
        return None
    job = reader.job(int(match.group(1)))
    folder = next((one for one in config.folders if job is not None and one.name == job.inbox), None)
    return None if job is None or folder is None else _from(reader, folder, job.path, None)


def _from(reader: Reader, folder: Folder, path: bytes, about: Seen | None) -> _Known:
    chapters = [
        Chapter(seen=seen, requests=reader.requests(seen.job.id), parts=reader.parts(seen.job.id))
        for seen in reader.history(folder.name, path)
    ]
    mine = [chapter for chapter in chapters if about is None or chapter.job.id == about.job.id]
    wanted = {(Paused.INBOX, folder.name), (Paused.ENDPOINT, folder.endpoint)}
    return _Known(
        folder=folder,
        path=path,
        chapters=chapters,
        about=mine[-1] if mine else None,
        kept=reader.kept(folder.name, path) if folder.stays else None,
        pauses=[pause for pause in reader.pauses() if (pause.kind, pause.name) in wanted],
    )


# The file.


def _looked(known: _Known) -> tuple[bool, list[Check]]:
    """Whether a file is there, and the rules for it."""
    try:
        return promptly(_rules, known)
    except OSError as error:
        found = f"{escaped(bytes(known.folder.inbox))} cannot be looked at: {error.strerror}"
        rule = "The inbox must be there and answer."
        return True, [Check(name="inbox", rule=rule, found=found, verdict=Verdict.NOT_YET)]


def _rules(known: _Known) -> tuple[bool, list[Check]]:
    folder, path = known.folder, known.path
    targets = () if folder.stays else (folder.done, folder.failed)
    root = visit(Place(folder.inbox), targets=targets)
    try:
        rules = rules_of(folder, root.own)
        name = path.rpartition(b"/")[2]
        seen = look(
            *(root.fd, path),
            beside=holders(name),
            covers=covers(name, rules),
            leases=root.reach is not Reach.REMOTE,
        )
    finally:
        root.close()
    kept = {} if known.kept is None else {path: known.kept}
    applied = list(checks(path, seen, rules=rules, kept=kept))
    if applied[-1].verdict is None:
        applied.append(resting(seen, folder.settle, now=time.time()))
    shown = [check for check in applied if folder.stays or check.name not in _ONLY_STAYING]
    return seen.kind is not Thing.GONE, shown
