"""Taking stock: an inbox whose files stay in, the journal's record of those that are there kept true."""

from __future__ import annotations

import os
from collections.abc import Sequence

import structlog

from watcherd.delivery import folders
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
        while paths := await bench.journal.kept.paths(name, after=after, limit=AT_ONCE):
            gone = await bench.storage.ask(_missing, bench.places.inbox, paths)
            there = sorted(set(paths) - gone)
            now = bench.clock.now()
            await bench.journal.kept.note(name, present=there, missing=sorted(gone), now=now)
            after, missing = paths[-1], missing + len(gone)
    except (OSError, FaultError):
        log.debug("stock.postponed", inbox=name)
        return
    log.debug("stock.taken", inbox=name, missing=missing)


def _missing(inbox: Place, paths: Sequence[bytes]) -> set[bytes]:
    with folders.opened(inbox, b"") as root_fd:
        return {path for path in paths if not _stands(root_fd, path)}


def _stands(root_fd: int, path: bytes) -> bool:
    try:
        os.stat(path, dir_fd=root_fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
