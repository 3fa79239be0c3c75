"""The letter: an event in, its JSON for hooks and webhooks out, and a hook's environment. Pure.

    {"version": 1, "event": "done", "id": …, "at": …, "inbox": …, "job": …, "fault": …, "endpoint": …}

What an event has nothing to do with is null. A path is text for people and a `file:` URI for programs, which
carries names that are no UTF-8 as well. It never holds a key: none is taken in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, assert_never
from urllib.parse import quote, unquote_to_bytes

from watcherd.config.model import Folder
from watcherd.faults import Fault
from watcherd.job import Job, Outcome, Plan
from watcherd.notify.news import EndpointPaused, EndpointResumed, InboxBack, InboxMissing, JobEnded, News

VERSION = 1
_SCHEME = "file://"


def name_of(news: News) -> str:
    """The event's name, as hooks and webhooks know it."""
    match news:
        case JobEnded(job):
            return job.state.value
        case EndpointPaused():
            return "endpoint_paused"
        case EndpointResumed():
            return "endpoint_resumed"
        case InboxMissing():
            return "inbox_missing"
        case InboxBack():
            return "inbox_back"
        case _ as unreachable:
            assert_never(unreachable)


def write(news: News, *, event_id: str, at: float, folder: Folder) -> str:
    """The event as JSON in one line of ASCII; `folder` is the inbox's, or one whose endpoint it is."""
    inbox = {"name": folder.name, "path": _path(bytes(folder.inbox))}
    content: dict[str, Any] = {
        "version": VERSION,
        "event": name_of(news),
        "id": event_id,
        "at": _time(at),
        "inbox": inbox,
        "job": None,
        "fault": None,
        "endpoint": None,
    }
    match news:
        case JobEnded(job, delivered, seconds):
            content["job"] = _job(job, delivered, seconds)
            content["fault"] = None if job.fault is None else _fault(job.fault)
        case EndpointPaused(endpoint, fault, until):
            content["inbox"], content["fault"] = None, _fault(fault)
            content["endpoint"] = {"name": endpoint, "until": None if until is None else _time(until)}
        case EndpointResumed(endpoint):
            content["inbox"], content["endpoint"] = None, {"name": endpoint, "until": None}
        case InboxMissing(_, condition, message, hint):
            code = condition.replace(" ", "_")
            content["fault"] = {"scope": "inbox", "code": code, "message": message, "hint": hint}
        case InboxBack():
            pass
        case _ as unreachable:
            assert_never(unreachable)
    return json.dumps(content)


def environment(body: str) -> Mapping[bytes, bytes]:
    """What a hook finds in its environment of an event, for programs that read no JSON."""
    content = json.loads(body)
    job, fault = content["job"], content["fault"]
    found = {"EVENT": content["event"], "ID": content["id"]}
    if content["inbox"] is not None:
        found["INBOX"] = content["inbox"]["name"]
    if fault is not None:
        found |= {"FAULT": fault["code"], "MESSAGE": fault["message"]}
    named = {f"WATCHERD_{name}".encode(): _fit(text) for name, text in found.items()}
    if job is not None:
        named[b"WATCHERD_JOB"] = str(job["id"]).encode()
        named[b"WATCHERD_FILE"] = _bytes_of(job["file"]["uri"])
        named[b"WATCHERD_FOLDER"] = _bytes_of(job["folder"]["uri"])
    return named


def _job(job: Job, folder: Folder, seconds: float | None) -> dict[str, Any]:
    """A finished job: where its file was, where it and its sidecars are."""
    assert job.plan is not None, "a job that ended was delivered"
    home = _home(folder, job.plan)
    # The report about a file that stays is in our own folder, which is nobody else's to read.
    sidecars = () if job.plan.stays and job.plan.outcome is Outcome.FAILED else job.plan.sidecars
    return {
        "id": job.id,
        "arrived_as": _path(_below(bytes(folder.inbox), job.path)),
        "file": _path(_below(home, job.plan.original)),
        "folder": _path(home),
        "bytes": job.identity.size,
        "seconds": seconds,
        "warnings": list(job.warnings),
        "sidecars": [{"format": sidecar.format, **_path(_below(home, sidecar.name))} for sidecar in sidecars],
    }


def _home(folder: Folder, plan: Plan) -> bytes:
    """The folder that the plan delivered into: the file's own where it stays."""
    if plan.stays:
        return _below(bytes(folder.inbox), plan.folder)
    root: Path = folder.done if plan.outcome is Outcome.DONE else folder.failed
    return _below(bytes(root), plan.folder)


def _below(folder: bytes, path: bytes) -> bytes:
    return folder.rstrip(b"/") + b"/" + path if path else folder


def _fault(fault: Fault) -> dict[str, Any]:
    return {"scope": fault.scope.value, "code": fault.code, "message": fault.message, "hint": fault.hint}


def _path(path: bytes) -> dict[str, str]:
    return {"path": path.decode("utf-8", "backslashreplace"), "uri": _SCHEME + quote(path)}


def _bytes_of(uri: str) -> bytes:
    return unquote_to_bytes(uri.removeprefix(_SCHEME))


def _fit(text: str) -> bytes:
    """A text as an environment can hold it."""
    return text.replace("\0", "").encode("utf-8", "backslashreplace")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
