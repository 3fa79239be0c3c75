"""The files of a delivery: a plan and contents in, files in their places out. Rim; everything here blocks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Container, Mapping

from watcherd import pulse
from watcherd.delivery import folders, look, names, report
from watcherd.delivery.carry import TEMPORARY, Delivery
from watcherd.delivery.result import Changed, Delivered, NameTaken, Result, Vanished
from watcherd.delivery.sidecars import Sidecars
from watcherd.faults import FaultError
from watcherd.job import Identity, Plan
from watcherd.place import Place

__all__ = [
    "Changed",
    "Delivered",
    "NameTaken",
    "Result",
    "Vanished",
    "choose",
    "clear_report",
    "deliver",
    "sweep",
]

LARGEST_REPORT = 1 << 20  # bytes; a larger file is not one of ours


def deliver(
    plan: Plan,
    *,
    job_id: int,
    inbox_fd: int,
    path: bytes,
    identity: Identity,
    target: Place,
    contents: Mapping[bytes, bytes],
    fresh: bool = False,
) -> Result:
    """Write the sidecars and move the original, so that after a stop the same call ends in the same place.

    `path` is relative to the inbox, `identity` that of the file that settled, `target` the done or failed
    folder, `contents` what each of the plan's sidecars holds: the same bytes in every call for one plan.
    `fresh` says that this is the job's first call, so that nobody has to look for what a stop left.
    No file is replaced and none removed but our own. Raises FaultError where a folder cannot be made for
    what stands in its place or where there is no room, and OSError as the system does; the plan can then be
    carried out later.
    """
    folder, _, name = path.rpartition(b"/")
    with (
        folders.source(inbox_fd, folder) as source_fd,
        folders.made(target, plan.folder, inbox_fd=inbox_fd) as target_fd,
    ):
        delivery = Delivery(
            plan=plan,
            job_id=job_id,
            identity=identity,
            name=name,
            source_fd=source_fd,
            target_fd=target_fd,
            sidecars=Sidecars(folder_fd=target_fd, job_id=job_id, contents=contents, fresh=fresh),
        )
        return delivery.run()


class _Standing:
    """The names in an open folder, looked up one by one: to list a done folder of years takes longer."""

    def __init__(self, folder_fd: int, *, reserved: Collection[bytes], passed_over: bytes) -> None:
        self._folder_fd = folder_fd
        self._reserved = reserved
        self._passed_over = passed_over

    def __contains__(self, name: object) -> bool:
        assert isinstance(name, bytes)
        if name in self._reserved:
            return True
        return name != self._passed_over and look.status(self._folder_fd, name) is not None


def choose(
    target: Place,
    folder: bytes,
    plan: Callable[[Container[bytes]], Plan],
    *,
    reserved: Collection[bytes],
    passed_over: bytes = b"",
) -> Plan:
    """Let `plan` choose among the names that are free in `folder` below done or failed, and not `reserved`.

    `passed_over` counts as free though it stands there. Raises FaultError where a link or a file is in the
    folder's place, OSError where it cannot be read.
    """
    try:
        with folders.opened(target, folder) as fd:
            return plan(_Standing(fd, reserved=reserved, passed_over=passed_over))
    except FileNotFoundError:
        return plan(reserved)


def sweep(target: Place, *, is_over: Callable[[int], bool]) -> int:
    """Remove the temporary files below done or failed of jobs that are over; return how many.

    Raises OSError and FaultError where the folder cannot be opened.
    """
    with contextlib.suppress(FileNotFoundError), folders.opened(target, b"") as root_fd:
        return sum(_swept(fd, found, is_over) for _, _, found, fd in os.fwalk(b".", dir_fd=root_fd))
    return 0


def clear_report(failed: Place, path: bytes) -> bool:
    """Remove the report of an earlier failure of the file at `path`; return whether there was one.

    For a file that was moved from failed back into its inbox: only while the original is not beside the
    report, and only what is a report of ours. Raises OSError as the system does.
    """
    folder, _, name = path.rpartition(b"/")
    old = names.report_name(name)
    if len(old) > names.LONGEST:  # a failed original's name is shortened until its report's fits
        return False
    try:
        with folders.opened(failed, folder) as fd:
            found = look.content(fd, old, LARGEST_REPORT)
            if found is None or not report.is_report(found) or look.status(fd, name) is not None:
                return False
            os.unlink(old, dir_fd=fd)
            return True
    except (FileNotFoundError, FaultError):
        return False


def _swept(folder_fd: int, found: Collection[bytes], is_over: Callable[[int], bool]) -> int:
    removed = 0
    pulse.beat()
    for name in found:
        match = TEMPORARY.fullmatch(name)
        if match and is_over(int(match.group(1))):
            with contextlib.suppress(OSError):  # it goes with the next sweep
                os.unlink(name, dir_fd=folder_fd)
                removed += 1
    return removed
