"""Control: what may be asked of a running daemon, and the plain values it answers with. No I/O.

The page, the API and the commands speak to the daemon through this and nothing else.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from watcherd.faults import Fault
from watcherd.job import Job
from watcherd.journal.ledger import Kind

if TYPE_CHECKING:
    from watcherd.delivery.pieces import Piece  # only the daemon reads any


class RefusedError(Exception):
    """What was asked for cannot be done: one sentence what, and a hint what to do. `code` is stable."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(f"{message}; {hint}")
        self.code = code
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint or inbox."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointLive:
    """An endpoint as it is now; times are seconds since the epoch, UTC.

    `held_since` is set while it is paused by hand, the three after it while a fault pauses it.
    `concurrency` is how many requests may be in flight now, `slots` how many the configuration allows;
    the minutes are of audio, of the local calendar day. `child` is the process of an embedded endpoint, while
    there is one.
    """

    name: str
    base_url: str
    model: str
    slots: int
    concurrency: int
    in_flight: int
    minutes_today: float
    minutes_per_day: float | None
    held_since: float | None = None
    paused_since: float | None = None
    paused_until: float | None = None
    fault: Fault | None = None
    child: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxLive:
    """An inbox as it is now; `condition` is a word, `text` and `hint` say more where it is in trouble.

    `arriving` counts the files that have not settled; `held_since` is set while it is paused by hand.
    """

    name: str
    path: bytes
    endpoint: str
    condition: str
    text: str = ""
    hint: str = ""
    arriving: int = 0
    held_since: float | None = None
    scanned_at: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The last reload, which changed nothing: when it was (UTC seconds), and what is wrong with the file."""

    at: float
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What only the running daemon knows; without a `page` (its address), `page_problem` says why."""

    pid: int
    started_at: float
    control: Path | None
    page: str | None = None
    page_problem: str = ""
    stopping: bool
    inboxes: tuple[InboxLive, ...]
    endpoints: tuple[EndpointLive, ...]
    rejected: Rejected | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What became of one file that was to go round again.

    `file` is its path as it was asked for, or below its failed folder; `back_as` its path in the inbox,
    None where it was not moved, and then `text` says why, in one sentence.
    """

    file: bytes
    inbox: str | None
    back_as: bytes | None = None
    text: str = ""


class Control(Protocol):
    """The daemon as others see it. Whatever cannot be done raises RefusedError."""

    def live(self) -> Live:
        """What the daemon is doing now; waits for nothing."""
        ...

    async def retry(self, files: Sequence[bytes] | None, *, fresh: bool) -> list[Retried]:
        """Move failed files back into their inboxes; None for all of them, else absolute paths.

        `fresh` forgets what was answered for them, so that they are sent again.
        """
        ...

    async def pause(self, name: str) -> Target:
        """Pause an endpoint or an inbox until `resume`, over restarts too."""
        ...

    async def resume(self, name: str) -> Target:
        """End a pause; also one that a fault of the endpoint caused."""
        ...

    async def piece(self, job: Job, name: bytes, *, offset: int = 0, size: int = 0) -> Piece | None:
        """Up to `size` bytes of a file that a finished job left behind; None where there is no such file.

        `name` is one of the job's plan. Raises FaultError where its storage is in trouble.
        """
        ...

    async def see_journal(self) -> None:
        """See that the journal can be written; raises FaultError."""
        ...

    async def reload(self) -> tuple[str, ...]:
        """Apply the configuration file as it is now; returns the problems for which nothing was changed."""
        ...


def find(name: str, *, endpoints: Collection[str], inboxes: Collection[str]) -> Target:
    """The endpoint or inbox of that name; `endpoint:NAME` and `inbox:NAME` say which. Raises RefusedError."""
    found = [
        Target(kind, name)
        for kind, names in ((Kind.ENDPOINT, endpoints), (Kind.INBOX, inboxes))
        if name in names
    ]
    if not found:
        prefix, _, rest = name.partition(":")
        if prefix == Kind.ENDPOINT and rest in endpoints:
            found = [Target(Kind.ENDPOINT, rest)]
        elif prefix == Kind.INBOX and rest in inboxes:
            found = [Target(Kind.INBOX, rest)]
    match found:
        case [target]:
            return target
        case []:
            raise _unknown(name, endpoints=endpoints, inboxes=inboxes)
        case _:
            raise RefusedError(
                "ambiguous_name",
                f"{name} is an endpoint and an inbox",
                f"write endpoint:{name} or inbox:{name}",
            )


def _unknown(name: str, *, endpoints: Collection[str], inboxes: Collection[str]) -> RefusedError:
    near = difflib.get_close_matches(name, [*endpoints, *inboxes], n=1)
    hint = f'did you mean "{near[0]}"? ' if near else ""
    for word, names in (("endpoints", endpoints), ("inboxes", inboxes)):
        hint += f"{word}: {', '.join(sorted(names)) or 'none'}; "
    return RefusedError("unknown_name", f'no endpoint or inbox is named "{name}"', hint.rstrip("; "))
