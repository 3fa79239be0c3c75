"""`watcherd check`: the file and the world, one line each, with a hint for whatever is wrong."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import typer

from watcherd import logs
from watcherd.cli.exits import Exit
from watcherd.cli.loading import load_or_exit
from watcherd.clock import SystemClock
from watcherd.config.model import Config, Endpoint, Folder
from watcherd.endpoint.gate import Gate
from watcherd.endpoint.gates import Gates
from watcherd.endpoint.past import Past
from watcherd.faults import FaultError
from watcherd.inbox.accept import MARKER, Kind, accept_folder, rules_of
from watcherd.inbox.condition import Reach
from watcherd.inbox.root import reach_of
from watcherd.inbox.touch import open_root
from watcherd.promptly import PATIENCE, promptly, side_by_side
from watcherd.state import StateFolder, cache_folder
from watcherd.status.address import bind, trouble, url_of

_GIVE_RIGHTS = "Give the daemon's user rwx there."


class Level(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    NOTE = "note"
    BAD = "BAD"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    level: Level
    what: str
    found: str
    hint: str = ""


def check(path: Path | None) -> int:
    """Print a table; 0 when nothing is bad, 1 otherwise (78 for the file itself)."""
    logs.configure(level="critical", form="console")
    config = load_or_exit(path)
    findings = [
        Finding(Level.OK, "configuration", f"{config.source}: valid"),
        _state(config.state),
        *_page(config),
        *_folders(config.folders),
        *_hooks(config.folders),
        *asyncio.run(_endpoints(config)),
    ]
    for finding in findings:
        typer.echo(f"{finding.level:<5} {finding.what}: {finding.found}")
        if finding.hint:
            typer.echo(f"{'':5} -> {finding.hint}")
    return Exit.FAILED if any(finding.level is Level.BAD for finding in findings) else Exit.OK


def _state(path: Path) -> Finding:
    try:
        return promptly(_state_folder, path)
    except OSError as error:
        return _unusable("state", path, error)


def _state_folder(path: Path) -> Finding:
    parent = next(folder for folder in (path, *path.parents) if folder.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        return Finding(
            Level.BAD,
            "state",
            f"{path} cannot be written",
            "Set `state:` to a folder of your own, or run as its owner.",
        )
    return Finding(Level.OK, "state", f"{path}, daemon: {StateFolder(path).holder() or 'none'}")


def _page(config: Config) -> Iterator[Finding]:
    """Look where the status page will be; a page that cannot be served keeps no daemon from its work."""
    page = config.status
    if page is None:
        yield Finding(Level.OK, "page", "off")
        return
    reach = "for this machine" if page.is_private else "for the network"
    token = "no token" if page.token is None else "with a token, which could be read"
    try:
        bind(page).close()
    except OSError as error:
        why, hint = trouble(page, error)
        if _serves(config.state, url_of(page)):
            yield Finding(Level.OK, "page", f"{url_of(page)}, served by the daemon that runs, {token}")
        else:
            yield Finding(Level.NOTE, "page", why, hint)
    else:
        yield Finding(Level.OK, "page", f"{url_of(page)}, {reach}, {token}")
    if not page.is_private:
        hint = "Where others can listen, put a proxy with https before it, and listen on 127.0.0.1."
        yield Finding(
            Level.NOTE, "page", "plain http shows names, subtitles and the token to the network", hint
        )


def _serves(state: Path, url: str) -> bool:
    try:
        holder = promptly(StateFolder(state).holder)
    except OSError:
        return False
    return holder is not None and holder.page == url


@dataclass(frozen=True, slots=True)
class _Look:
    """A folder, or what stands in its place, as it is found."""

    is_folder: bool
    device: int
    readable: bool
    writable: bool
    reach: Reach


def _folders(folders: Sequence[Folder]) -> Iterator[Finding]:
    """Look at all folders side by side: storage that does not answer keeps no other waiting."""
    paths = {folder.inbox for folder in folders} | {
        path for folder in folders for _, path in _targets(folder)
    }
    looks = side_by_side(_look, paths, patience=PATIENCE)
    closed = side_by_side(_closed, [folder for folder in folders if folder.stays], patience=PATIENCE)
    for folder in folders:
        yield from _folder(folder, looks)
        if folder.stays and not isinstance(looks[folder.inbox], OSError):
            yield _beside(folder, closed[folder])


def _targets(folder: Folder) -> tuple[tuple[str, Path], ...]:
    return () if folder.stays else (("done", folder.done), ("failed", folder.failed))


def _closed(folder: Folder) -> list[Path]:
    """Find the watched folders below an inbox in which no sidecar can be written, as many as time allows."""
    inbox, rules, deadline = bytes(folder.inbox), rules_of(folder, ()), time.monotonic() + PATIENCE / 2
    found: list[Path] = []
    for here, below, files in os.walk(inbox):
        if MARKER in files or MARKER in below:
            below.clear()
            continue
        if not os.access(here, os.R_OK | os.W_OK | os.X_OK):
            found.append(Path(os.fsdecode(here)))
        paths = {name: os.path.relpath(os.path.join(here, name), inbox) for name in below}
        below[:] = [name for name in below if accept_folder(paths[name], rules=rules).kind is Kind.MEDIA]
        if time.monotonic() > deadline:
            break
    return found


def _beside(folder: Folder, closed: list[Path] | OSError) -> Finding:
    what = f"subtitles of {folder.name}"
    if isinstance(closed, OSError):
        return _unusable(what, folder.inbox, closed)
    if not closed:
        return Finding(Level.OK, what, f"written beside the files in {folder.inbox}")
    more = f" and {len(closed) - 1:,} more" if len(closed) > 1 else ""
    return Finding(Level.BAD, what, f"{closed[0]}{more} cannot be read and written", _GIVE_RIGHTS)


def _look(path: Path) -> _Look:
    """Look at a folder; raises OSError. Blocks for as long as its storage does."""
    status = path.stat()
    is_folder, readable = stat.S_ISDIR(status.st_mode), os.access(path, os.R_OK)
    return _Look(
        is_folder=is_folder,
        device=status.st_dev,
        readable=readable,
        writable=os.access(path, os.W_OK | os.X_OK),
        reach=_reach(path) if is_folder and readable else Reach.LOCAL,
    )


def _reach(path: Path) -> Reach:
    descriptor = open_root(path)
    try:
        return reach_of(descriptor)
    finally:
        os.close(descriptor)


def _folder(folder: Folder, looks: Mapping[Path, _Look | OSError]) -> Iterator[Finding]:
    what, path, inbox = f"inbox {folder.name}", folder.inbox, looks[folder.inbox]
    if isinstance(inbox, OSError):
        yield _unusable(what, path, inbox)
        return
    if not inbox.is_folder:
        yield Finding(Level.BAD, what, f"{path} is not a folder", "Name a folder as `inbox:`.")
        return
    if inbox.readable and inbox.writable:
        yield Finding(Level.OK, what, f"{path} ({_how(folder, inbox.reach)})")
    else:
        yield Finding(Level.BAD, what, f"{path} cannot be read and written", _GIVE_RIGHTS)
    for key, target in _targets(folder):
        yield _target(key, target, folder, looks[target], device=inbox.device)


def _how(folder: Folder, reach: Reach) -> str:
    polled = folder.watch == "poll" or (folder.watch == "auto" and reach is not Reach.LOCAL)
    how = f"scanned every {folder.poll_interval:g} s" if polled else "watched by events"
    return f"{reach} file system, {how}"


def _target(key: str, path: Path, folder: Folder, look: _Look | OSError, *, device: int) -> Finding:
    what = f"{key} of {folder.name}"
    match look:
        case FileNotFoundError() if path.is_relative_to(folder.inbox):
            return Finding(Level.OK, what, f"{path}: made when it is first needed")
        case OSError():
            return _unusable(what, path, look)
        case _Look(is_folder=False):
            return Finding(Level.BAD, what, f"{path} is not a folder", f"Name a folder as `{key}:`.")
        case _Look(writable=False):
            return Finding(Level.BAD, what, f"{path} cannot be written", _GIVE_RIGHTS)
    if look.device != device:
        return Finding(Level.NOTE, what, f"{path}: another file system, so originals are copied there")
    return Finding(Level.OK, what, f"{path}")


def _unusable(what: str, path: Path, error: OSError) -> Finding:
    match error:
        case FileNotFoundError():
            hint = f"Create it: mkdir -p {path}, or mount it."
            return Finding(Level.BAD, what, f"{path} does not exist", hint)
        case TimeoutError():
            hint = "Look at the disk, the mount or the server behind it."
        case PermissionError():
            hint = _GIVE_RIGHTS
        case _:
            hint = "Look at the mount."
    return Finding(Level.BAD, what, f"{path}: {error.strerror}", hint)


def _hooks(folders: Sequence[Folder]) -> Iterator[Finding]:
    """Look whether each hook's program is there; none is started."""
    programs = {command[0] for folder in folders for command in (*folder.hooks.done, *folder.hooks.failed)}
    found = side_by_side(shutil.which, programs, patience=PATIENCE)
    for program in sorted(programs):
        match found[program]:
            case str() as path:
                yield Finding(Level.OK, f"hook {program}", path)
            case OSError() as error:
                yield _unusable("hook", Path(program), error)
            case None:
                hint = "Write its whole path, and make it executable: chmod +x."
                yield Finding(Level.BAD, f"hook {program}", "there is no such program to execute", hint)


async def _endpoints(config: Config) -> list[Finding]:
    used = {folder.endpoint for folder in config.folders}
    cache = cache_folder(os.environ)
    async with Gates(wake=asyncio.Event(), clock=SystemClock(), cache=cache, past=Past()) as gates:
        gates.furnish(config.endpoints)
        return [await _endpoint(gates[name], config) for name in sorted(used)]


async def _endpoint(gate: Gate, config: Config) -> Finding:
    endpoint = gate.endpoint
    what = f"endpoint {endpoint.name}"
    if endpoint.embedded is None and endpoint.api_key is None and not endpoint.headers:
        keyless = ", no key configured"
    else:
        keyless = ""
    try:
        async with gate.client() as client:
            answer = await client.models()
    except FaultError as error:
        fault = error.fault
        if fault.status in {404, 405}:
            return Finding(Level.NOTE, what, f"{endpoint.base_url} answers, but lists no models{keyless}")
        return Finding(Level.BAD, what, fault.message, fault.hint)
    wanted = _models(endpoint, config)
    unknown = sorted(wanted - set(answer.known)) if answer.known and endpoint.embedded is None else []
    if unknown:
        known = ", ".join(answer.known[:8]) if answer.known else ""
        return Finding(Level.NOTE, what, f"does not list model {', '.join(unknown)}", f"It lists: {known}")
    return Finding(Level.OK, what, f"{endpoint.base_url} answers{keyless}, model {', '.join(sorted(wanted))}")


def _models(endpoint: Endpoint, config: Config) -> set[str]:
    return {folder.model or endpoint.model for folder in config.folders if folder.endpoint == endpoint.name}
