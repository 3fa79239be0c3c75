"""`watcherd status`: what the journal holds and who runs, as a table or JSON."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from watcherd.cli.exits import Exit
from watcherd.cli.loading import load_or_exit
from watcherd.config.model import Config
from watcherd.job import Job
from watcherd.journal.reader import Reader, Seen, reading
from watcherd.logs import escaped
from watcherd.state import StateFolder

SHOWN = 10


def status(path: Path | None, *, as_json: bool) -> int:
    """Print the status; works with and without a daemon."""
    config = load_or_exit(path)
    state = StateFolder(config.state)
    if not state.journal.exists():
        snapshot = _snapshot(config, "none", None)
    else:
        try:
            with reading(state.journal) as reader:
                snapshot = _snapshot(config, state.holder(), reader)
        except (sqlite3.Error, PermissionError) as error:
            typer.echo(
                f"cannot read {state.journal}: {error}; run as the user that the daemon runs as.", err=True
            )
            return Exit.FAILED
    typer.echo(json.dumps(snapshot, indent=2) if as_json else _table(snapshot))
    return Exit.OK


def _snapshot(config: Config, daemon: str, reader: Reader | None) -> dict[str, Any]:
    counts = {} if reader is None else reader.counts()
    return {
        "daemon": daemon,
        "inboxes": [
            {
                "name": folder.name,
                "inbox": str(folder.inbox),
                "present": folder.inbox.is_dir(),
                "endpoint": folder.endpoint,
                "jobs": {str(state): n for state, n in sorted(counts.get(folder.name, {}).items())},
            }
            for folder in config.folders
        ],
        "not_configured": {
            name: {str(state): n for state, n in sorted(counts[name].items())}
            for name in sorted(counts.keys() - {folder.name for folder in config.folders})
        },
        "in_flight": [] if reader is None else [_row(seen) for seen in reader.in_flight(SHOWN)],
        "recent": [] if reader is None else [_row(seen) for seen in reader.recent(SHOWN)],
    }


def _row(seen: Seen) -> dict[str, Any]:
    job = seen.job
    return {
        "job": job.id,
        "inbox": job.inbox,
        "file": escaped(job.path),
        "state": job.state,
        "reason": job.reason,
        "until": None if job.until is None else _time(job.until),
        "changed_at": _time(seen.changed_at),
        "attempts": job.attempts,
        "fault": _fault(job),
        "warnings": list(job.warnings),
    }


def _fault(job: Job) -> dict[str, str] | None:
    if job.fault is None:
        return None
    return {"code": job.fault.code, "message": job.fault.message, "hint": job.fault.hint}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _table(snapshot: dict[str, Any]) -> str:
    running = snapshot["daemon"]
    lines = ["daemon: not running" if running == "none" else f"daemon: running ({running})", "", "inboxes"]
    for inbox in snapshot["inboxes"]:
        jobs = ", ".join(f"{n} {state}" for state, n in inbox["jobs"].items()) or "nothing yet"
        missing = "" if inbox["present"] else "  MISSING: create or mount it"
        lines.append(f"  {inbox['name']}: {jobs}  ({inbox['inbox']} -> {inbox['endpoint']}){missing}")
    for name, states in snapshot["not_configured"].items():
        lines.append(
            f"  {name}: {', '.join(f'{n} {state}' for state, n in states.items())}  (not configured)"
        )
    for title, rows in (
        ("in flight and waiting", snapshot["in_flight"]),
        ("last done and failed", snapshot["recent"]),
    ):
        if rows:
            lines += ["", title, *(_line(row) for row in rows)]
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    text = f"  {row['state']:<11} {row['inbox']}: {row['file']}"
    if row["reason"]:
        text += f"  [{row['reason']}, until {row['until']}]"
    if row["fault"]:
        text += f"\n{'':14}{row['fault']['message']}\n{'':14}{row['fault']['hint']}"
    if row["warnings"]:
        text += f"  ({', '.join(row['warnings'])})"
    return text
