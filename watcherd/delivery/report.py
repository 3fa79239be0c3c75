"""The failure report: a failed job and its fault in, the bytes of `NAME.error.json` out. Pure.

For a person who finds the file, and for programs: UTF-8 JSON with a version. It never holds a key: none is
taken in, and of the endpoint's address only scheme, host and path are shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from watcherd.faults import Fault
from watcherd.job import Job

KIND = "watcherd failure report"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings that the job was tried with; `stays` where the file stays in its inbox."""

    endpoint: str
    base_url: str
    model: str
    prompt: str
    temperature: float
    formats: tuple[str, ...]
    inbox: Path
    stays: bool


def render(
    job: Job,
    fault: Fault,
    *,
    settings: Settings,
    attempts: Iterable[tuple[float, Fault | None]],
    now: float,
) -> bytes:
    r"""Return the report. The same arguments give the same bytes, as a repeated delivery needs.

    `attempts` are the rounds of requests with their times and what went wrong, if it is known; all times are
    seconds since the epoch, UTC. Bytes of names that are no UTF-8 are shown as `\xNN`.
    """
    path = _shown(job.path)
    content = {
        "kind": KIND,
        "version": VERSION,
        "file": path,
        "inbox": {"name": job.inbox, "path": _shown(bytes(settings.inbox))},
        "job": job.id,
        "bytes": job.identity.size,
        "settled_at": _time(job.settled_at),
        "failed_at": _time(now),
        "fault": {
            "scope": fault.scope.value,
            "code": fault.code,
            "message": fault.message,
            "hint": fault.hint,
        },
        "endpoint_said": _said(fault),
        "attempts": [_attempt(at, problem) for at, problem in attempts],
        "settings": _settings(settings),
        "how_to_retry": _how_to_retry(job.path, settings),
    }
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    return text.encode("utf-8", "backslashreplace")


def is_report(content: bytes) -> bool:
    """Tell whether this is a report of ours, of whatever version."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("kind") == KIND


def _settings(settings: Settings) -> dict[str, Any]:
    return {
        "endpoint": settings.endpoint,
        "base_url": _address(settings.base_url),
        "model": settings.model,
        "prompt": settings.prompt,
        "temperature": settings.temperature,
        "formats": list(settings.formats),
    }


def _attempt(at: float, problem: Fault | None) -> dict[str, Any]:
    if problem is None:
        return {"at": _time(at)}
    return {"at": _time(at), "code": problem.code, "message": problem.message} | (_said(problem) or {})


def _said(fault: Fault) -> dict[str, Any] | None:
    """Return what the endpoint answered; None where it did not."""
    answer = {"status": fault.status, "text": fault.said or None, "request_id": fault.request_id}
    return answer if any(value is not None for value in answer.values()) else None


def _how_to_retry(path: bytes, settings: Settings) -> str:
    """Name the file where it stays; else the folder below the inbox that it stood in, to be moved there."""
    inbox, (folder, _, _) = bytes(settings.inbox), path.rpartition(b"/")
    if settings.stays:
        where = _shown(inbox + b"/" + path)
        return f"Say watcherd retry and this file's path; it is also tried again when it changes: {where}"
    where = _shown(inbox + (b"/" + folder if folder else b""))
    return f"Say watcherd retry and this file's name, or move the file back into the inbox: {where}"


def _address(url: str) -> str:
    """Return scheme, host, port and path; user names, passwords and queries may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
