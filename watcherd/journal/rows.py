"""Journal rows to values and back. Pure: plans and faults travel as JSON, names as file-system text."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Protocol

from watcherd.faults import Fault, Remedy, Scope
from watcherd.job import Identity, Job, Outcome, Plan, Sidecar, State, WaitReason
from watcherd.settings import Settings


class Row(Protocol):
    """What SQLite gives: values by the names of their columns."""

    def __getitem__(self, column: str, /) -> Any:  # noqa: ANN401 - SQLite's values are of any type
        ...


def job_from(row: Row) -> Job:
    """A row of `jobs` as the value it records."""
    return Job(
        id=row["id"],
        inbox=row["inbox"],
        path=row["path"],
        identity=Identity(row["dev"], row["ino"], row["size"], row["mtime_ns"], row["ctime_ns"]),
        settled_at=row["settled_at"],
        state=State(row["state"]),
        attempts=row["attempts"],
        crashes=row["crashes"],
        reason=None if row["reason"] is None else WaitReason(row["reason"]),
        until=row["until"],
        plan=None if row["plan"] is None else _plan_from(row["plan"]),
        fault=None if row["fault"] is None else fault_from(row["fault"]),
        warnings=tuple(json.loads(row["warnings"])),
    )


def plan_text(plan: Plan) -> str:
    """A plan as JSON; bytes that are no UTF-8 survive as lone surrogates."""
    return json.dumps(
        {
            "outcome": plan.outcome,
            "folder": _text(plan.folder),
            "original": _text(plan.original),
            "sidecars": [[_text(sidecar.name), sidecar.format] for sidecar in plan.sidecars],
            "at": plan.at,
            "stays": plan.stays,
            "cues": plan.cues,
        }
    )


def _plan_from(text: str) -> Plan:
    data = json.loads(text)
    return Plan(
        outcome=Outcome(data["outcome"]),
        folder=_bytes(data["folder"]),
        original=_bytes(data["original"]),
        sidecars=tuple(Sidecar(_bytes(name), kind) for name, kind in data["sidecars"]),
        at=data["at"],
        stays=data["stays"],
        cues=None if data["cues"] is None else tuple(data["cues"]),
    )


def fault_text(fault: Fault) -> str:
    """A fault as JSON."""
    return json.dumps(dataclasses.asdict(fault))


def fault_from(text: str) -> Fault:
    """A fault from `fault_text`."""
    data = json.loads(text)
    return Fault(**{**data, "scope": Scope(data["scope"]), "remedy": Remedy(data["remedy"])})


def settings_text(settings: Settings) -> str:
    """Request settings as JSON."""
    return json.dumps(dataclasses.asdict(settings))


def settings_from(text: str) -> Settings:
    """Request settings from `settings_text`."""
    data = json.loads(text)
    return Settings(**{**data, "fields": tuple((name, value) for name, value in data["fields"])})


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
