"""The fault values: everything that can go wrong, with the scope it costs. Plain values; no I/O.

Fault        what went wrong: scope, code, message, hint, remedy
FaultError   carries a Fault from the rim where it was seen to the one place that handles it
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a fault costs, and nothing beyond it."""

    FILE = "file"
    ENDPOINT = "endpoint"
    INBOX = "inbox"
    MACHINE = "machine"


class Remedy(StrEnum):
    """What to do about a fault."""

    RETRY = "retry"  # the same bytes again, after a backoff
    PAUSE = "pause"  # the whole endpoint (or inbox) waits; the file is not charged
    CONFIGURE = "configure"  # wait until the configuration changes; probed now and then
    FORMAT = "format"  # ask for the next response format
    TRANSCODE = "transcode"  # send the audio once more, decoded and encoded by us
    SPLIT = "split"  # send smaller parts
    PLAIN = "plain"  # ask once more without the optional fields (prompt, temperature)
    SILENT = "silent"  # nothing to hear in this part: an empty transcript
    FAIL = "fail"  # this file fails, with a report


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault, in words for a person and values for the program.

    `code` is stable and snake_case; `message` is one sentence without a final newline; `hint` says what
    to do. `said` is what the endpoint answered, shortened and free of control characters; `retry_after`
    is the server's own wish in seconds, `limit_seconds` the longest audio that it says it takes.
    """

    scope: Scope
    code: str
    message: str
    hint: str
    remedy: Remedy
    said: str = ""
    status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None
    limit_seconds: float | None = None

    @property
    def retryable(self) -> bool:
        """Whether waiting alone may cure it."""
        return self.remedy in {Remedy.RETRY, Remedy.PAUSE, Remedy.CONFIGURE}


class FaultError(Exception):
    """A fault on its way to the place that handles it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.code}: {fault.message}")
        self.fault = fault


LINK_HINT = "Put the folder back; if the link is meant, write the path that it leads to in the configuration."

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


def storage_fault(error: OSError, *, doing: str, where: str) -> Fault:
    """Classify an operating system error on an inbox's, done's or failed's files.

    Such an error never fails a file: the inbox waits and heals by itself. `doing` is a verb phrase
    ("writing sidecars"), `where` a printable path.
    """
    if error.errno in _DISK_FULL:
        code, hint = "disk_full", "Free some space; watcherd goes on by itself."
    elif error.errno in {errno.EACCES, errno.EPERM}:
        code, hint = "permission_denied", "Give the user that watcherd runs as read and write access there."
    elif error.errno == errno.EROFS:
        code, hint = "read_only", "Mount it read-write; under systemd, list the parent in ReadWritePaths=."
    elif error.errno == errno.ENODEV:
        code, hint = "mount_missing", "Mount it again; to use the folder as it is now, restart watcherd."
    elif error.errno in {errno.ENOENT, errno.ENOTDIR}:
        code, hint = "folder_missing", f"Create it (mkdir -p {where}) or mount what belongs there."
    elif error.errno == errno.ELOOP:
        code, hint = "folder_is_a_link", LINK_HINT
    else:
        code, hint = "storage_error", "Look at the disk or mount; watcherd tries again by itself."
    reason = error.strerror or type(error).__name__
    return Fault(
        scope=Scope.INBOX,
        code=code,
        message=f"{doing} failed at {where}: {reason}",
        hint=hint,
        remedy=Remedy.PAUSE,
    )
