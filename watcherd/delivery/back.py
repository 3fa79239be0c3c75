"""The way back: a failed file's place in, the file in its inbox out, never over another one. Rim; blocks.

It is the move of a delivery, made the other way: what that leaves behind after a stop anywhere, and how a
second try goes on from there, is the same (see carry).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator

from watcherd.delivery import files, folders, look, names, report
from watcherd.delivery.carry import Delivery
from watcherd.delivery.result import Changed, Delivered, NameTaken, Vanished
from watcherd.delivery.sidecars import Sidecars
from watcherd.faults import FaultError
from watcherd.job import Outcome, Plan
from watcherd.place import Place


def bring_back(
    failed: Place, found: bytes, inbox: Place, path: bytes, *, job_id: int
) -> bytes | Vanished | Changed:
    """Move the file `found` below the failed folder to `path` in the inbox; return the path that it got.

    The name is numbered where it is taken; folders that are missing below the inbox are made. Then the
    file's report goes. Across devices the file is copied first and removed last. Raises FaultError where a
    link or a file is in a folder's place, and OSError as the system does; the file is then where it was.
    """
    folder, _, wanted = path.rpartition(b"/")
    source, _, name = found.rpartition(b"/")
    _, extension = names.split(wanted)
    with contextlib.ExitStack() as stack:
        source_fd = stack.enter_context(folders.opened(failed, source))
        status = look.status(source_fd, name)
        identity = None if status is None else look.identity(status)
        if identity is None:
            return Vanished()
        inbox_fd = stack.enter_context(folders.opened(inbox, b""))
        target_fd = stack.enter_context(folders.made(inbox, folder, inbox_fd=inbox_fd))
        for stem in names.numbered(wanted):
            chosen = stem + extension
            delivery = Delivery(
                plan=Plan(outcome=Outcome.FAILED, folder=folder, original=chosen, sidecars=()),
                job_id=job_id,
                identity=identity,
                name=name,
                source_fd=source_fd,
                target_fd=target_fd,
                sidecars=Sidecars(folder_fd=target_fd, job_id=job_id, contents={}),
            )
            match delivery.run():
                case NameTaken():
                    continue
                case Delivered():
                    break
                case Vanished() | Changed() as result:
                    return result
    with contextlib.suppress(OSError):  # a report that stays says nothing wrong: it has its time in it
        files.clear_report(failed, found)
    return folder + b"/" + chosen if folder else chosen


def stands(place: Place, path: bytes) -> bool:
    """Tell whether a plain file has the path below a folder; links are no files.

    Raises OSError where the folder itself cannot be opened.
    """
    folder, _, name = path.rpartition(b"/")
    with folders.opened(place, b""):
        pass
    try:
        with folders.opened(place, folder) as fd:
            status = look.status(fd, name)
    except (FileNotFoundError, FaultError):
        return False
    return status is not None and look.identity(status) is not None


def reported(failed: Place) -> dict[bytes, str]:
    """The files below the failed folder that have a report of ours beside them, each with its inbox's name.

    Raises OSError where the folder cannot be opened.
    """
    found: dict[bytes, str] = {}
    with folders.opened(failed, b"") as root_fd:
        for folder, _, there, fd in os.fwalk(b".", dir_fd=root_fd):
            for name, inbox in _reported_in(fd, set(there)):
                found[os.path.normpath(os.path.join(folder, name))] = inbox
    return found


def _reported_in(folder_fd: int, there: set[bytes]) -> Iterator[tuple[bytes, str]]:
    for name in sorted(there):
        if names.report_name(name) not in there:
            continue
        content = look.content(folder_fd, names.report_name(name), files.LARGEST_REPORT)
        status = look.status(folder_fd, name)
        if content is None or not report.is_report(content) or status is None:
            continue
        if look.identity(status) is not None:
            yield name, _inbox_of(json.loads(content))


def _inbox_of(content: dict[str, object]) -> str:
    inbox = content.get("inbox")
    return str(inbox.get("name", "")) if isinstance(inbox, dict) else ""
