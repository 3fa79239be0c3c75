"""`watcherd check`: the file and the world, one line each, with a hint for whatever is wrong."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
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
from watcherd.faults import FaultError
from watcherd.inbox.condition import Reach
from watcherd.inbox.root import reach_of
from watcherd.inbox.touch import open_root
from watcherd.state import StateFolder, cache_folder


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
        *(finding for folder in config.folders for finding in _folder(folder)),
        *asyncio.run(_endpoints(config)),
    ]
    for finding in findings:
        typer.echo(f"{finding.level:<5} {finding.what}: {finding.found}")
        if finding.hint:
            typer.echo(f"{'':5} -> {finding.hint}")
    return Exit.FAILED if any(finding.level is Level.BAD for finding in findings) else Exit.OK


def _state(path: Path) -> Finding:
    parent = next(folder for folder in (path, *path.parents) if folder.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        return Finding(
            Level.BAD,
            "state",
            f"{path} cannot be written",
            "Set `state:` to a folder of your own, or run as its owner.",
        )
    return Finding(Level.OK, "state", f"{path}, daemon: {StateFolder(path).holder()}")


def _folder(folder: Folder) -> Iterator[Finding]:
    what = f"inbox {folder.name}"
    try:
        inbox = folder.inbox.stat()
    except FileNotFoundError:
        yield Finding(
            Level.BAD,
            what,
            f"{folder.inbox} does not exist",
            f"Create it: mkdir -p {folder.inbox}, or mount it.",
        )
        return
    except OSError as error:
        yield Finding(Level.BAD, what, f"{folder.inbox}: {error.strerror}", "Look at the mount.")
        return
    if not folder.inbox.is_dir():
        yield Finding(Level.BAD, what, f"{folder.inbox} is not a folder", "Name a folder as `inbox:`.")
        return
    if not os.access(folder.inbox, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            Level.BAD, what, f"{folder.inbox} cannot be read and written", "Give the daemon's user rwx there."
        )
    else:
        yield Finding(Level.OK, what, f"{folder.inbox} ({_how(folder)})")
    for name, target in (("done", folder.done), ("failed", folder.failed)):
        yield _target(f"{name} of {folder.name}", target, folder, inbox.st_dev)


def _how(folder: Folder) -> str:
    descriptor = open_root(folder.inbox)
    try:
        reach = reach_of(descriptor)
    finally:
        os.close(descriptor)
    polled = folder.watch == "poll" or (folder.watch == "auto" and reach is not Reach.LOCAL)
    how = f"scanned every {folder.poll_interval:g} s" if polled else "watched by events"
    return f"{reach} file system, {how}"


def _target(what: str, target: Path, folder: Folder, device: int) -> Finding:
    if target.is_dir():
        if not os.access(target, os.W_OK | os.X_OK):
            return Finding(
                Level.BAD, what, f"{target} cannot be written", "Give the daemon's user rwx there."
            )
        if target.stat().st_dev != device:
            return Finding(Level.NOTE, what, f"{target}: another file system, so originals are copied there")
        return Finding(Level.OK, what, f"{target}")
    if target.exists():
        return Finding(
            Level.BAD, what, f"{target} is not a folder", f"Name a folder as `{what.split(maxsplit=1)[0]}:`."
        )
    if target.is_relative_to(folder.inbox):
        return Finding(Level.OK, what, f"{target}: made when it is first needed")
    return Finding(Level.BAD, what, f"{target} does not exist", f"Create it: mkdir -p {target}, or mount it.")


async def _endpoints(config: Config) -> list[Finding]:
    used = {folder.endpoint for folder in config.folders}
    cache = cache_folder(os.environ)
    async with Gates(wake=asyncio.Event(), clock=SystemClock(), cache=cache) as gates:
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
