"""Taking stock: an inbox in, the record of its files that stay made true, leftovers of stops cleared up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

import structlog

from watcherd.delivery import files, folders
from watcherd.faults import FaultError
from watcherd.pipeline.bench import Bench
from watcherd.place import Place

log = structlog.get_logger()

AT_ONCE = 2000  # files in one call


async def take_stock(bench: Bench) -> None:
    """Note which files of an inbox have gone from their places, or are there again.

    A mount that is away for a while makes all of them missing: so they are only noted, and it is the journal
    that forgets a file which was missing for long. Storage that is in trouble is left for another day.
    """
    name, after, missing = bench.folder.name, b"", 0
    try:
        while noted := await bench.journal.kept.paths(name, after=after, limit=AT_ONCE):
            gone = await bench.storage.ask(_missing, bench.places.inbox, list(noted))
            back = [path for path, was_missing in noted.items() if was_missing and path not in gone]
            lost = [path for path, was_missing in noted.items() if not was_missing and path in gone]
            if back or lost:
                await bench.journal.kept.note(name, present=back, missing=lost, now=bench.clock.now())
            after, missing = next(reversed(noted)), missing + len(gone)
    except (OSError, FaultError):
        log.debug("stock.postponed", inbox=name)
        return
    log.debug("stock.taken", inbox=name, missing=missing)


async def look_at_targets(bench: Bench) -> None:
    """Say which done or failed folder of an inbox is missing."""
    for place in _targets(bench):
        target = place.path
        inside = target.is_relative_to(bench.folder.inbox)  # then it is made when it is first needed
        if not inside and not await bench.storage.call(os.path.isdir, target):
            hint = f"Create it: mkdir -p {target}, or mount what belongs there."
            log.warning("folder.missing", inbox=bench.folder.name, path=str(target), hint=hint)


async def clear_up(bench: Bench) -> None:
    """Remove what a move that a stop cut off has left in an inbox and its targets."""
    for place in (*_targets(bench), bench.places.inbox):
        with contextlib.suppress(OSError, FaultError):  # a delivery that needs the folder says what is wrong
            is_over = await bench.journal.what_is_over()
            swept = await bench.storage.call(files.sweep, place, is_over=is_over)
            log.debug("folder.swept", inbox=bench.folder.name, path=str(place.path), files=swept)


def _targets(bench: Bench) -> Sequence[Place]:
    return () if bench.folder.stays else (bench.places.done, bench.places.failed)


def _missing(inbox: Place, paths: Sequence[bytes]) -> set[bytes]:
    with folders.opened(inbox, b"") as root_fd:
        return {path for path in paths if not _stands(root_fd, path)}


def _stands(root_fd: int, path: bytes) -> bool:
    try:
        os.stat(path, dir_fd=root_fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
