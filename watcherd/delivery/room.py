"""Room: an open folder and the sizes of new files in, a fault with what is missing out. Rim."""

from __future__ import annotations

import os
from collections.abc import Iterable

from watcherd.escaping import escaped
from watcherd.faults import Fault, FaultError, Remedy, Scope

_LARGEST_RESERVE = 16 << 20
_SHARE = 100  # a reserve of one part in so many of a small disk, for folders, and for others who write


def check(folder_fd: int, sizes: Iterable[int]) -> None:
    """See that files of so many bytes fit into the folder; raises FaultError, and OSError as the system does.

    Where a file system does not know how much room it has, everything fits.
    """
    found = os.fstatvfs(folder_fd)
    if not found.f_blocks:
        return
    unit = found.f_frsize
    needed = sum(-(-size // unit) * unit for size in sizes)
    reserve = min(found.f_blocks * unit // _SHARE, _LARGEST_RESERVE)
    free = (found.f_bfree if os.geteuid() == 0 else found.f_bavail) * unit
    if needed and needed + reserve > free:
        raise FaultError(_full(folder_fd, needed, missing=needed + reserve - free))


def _full(folder_fd: int, needed: int, *, missing: int) -> Fault:
    where = escaped(os.fsencode(os.readlink(f"/proc/self/fd/{folder_fd}")))
    return Fault(
        scope=Scope.INBOX,
        code="disk_full",
        message=f"{where} has no room for a delivery of {needed:,} bytes: {missing:,} more are needed",
        hint="Free some space there; watcherd goes on by itself.",
        remedy=Remedy.PAUSE,
    )
