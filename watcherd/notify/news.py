"""News: what hooks and webhooks can hear of. Plain values; no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from watcherd.config.model import Folder
from watcherd.faults import Fault
from watcherd.job import Job


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A file is done or failed, delivered as `folder` was configured then; `seconds` of audio, if known."""

    job: Job
    folder: Folder
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class EndpointPaused:
    """Nothing is sent to an endpoint: until a time (UTC seconds), or until a person ends it (None)."""

    endpoint: str
    fault: Fault
    until: float | None


@dataclass(frozen=True, slots=True)
class EndpointResumed:
    """An endpoint is sent to again."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class InboxMissing:
    """An inbox cannot be watched: missing, unreadable, silent, or another process's (`condition`)."""

    inbox: str
    condition: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class InboxBack:
    """An inbox is watched again."""

    inbox: str


News = JobEnded | EndpointPaused | EndpointResumed | InboxMissing | InboxBack
Hear = Callable[[News], None]


def both(one: Hear, other: Hear) -> Hear:
    """Two hear it."""

    def hear(news: News) -> None:
        one(news)
        other(news)

    return hear


def unheard(_: News) -> None:
    """Nobody is told: where there is no daemon."""
