"""The original: a job's file, opened once without following links and checked at every turn. Rim."""

from __future__ import annotations

import os

from watcherd.inbox.touch import identity_of, open_beneath
from watcherd.job import Identity, Job
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.contents import Contents
from watcherd.pipeline.withdrawn import WithdrawnError
from watcherd.place import Place


class Original:
    """One job's file. `fd` is -1 while it is not open, or where a delivery has moved it already."""

    def __init__(self, job: Job, bench: Bench) -> None:
        self._job = job
        self._bench = bench
        self.inbox_fd = -1
        self.fd = -1
        self.contents = Contents(bench.storage, -1, job.identity)

    async def open(self) -> None:
        """Open inbox and file; raises WithdrawnError, and OSError where the storage is in trouble."""
        opened = await self._bench.storage.call(_opened, self._bench.places.inbox, self._job.path)
        self.inbox_fd, self.fd, found = opened
        self.contents = Contents(self._bench.storage, self.fd, self._job.identity)
        match found:
            case FileNotFoundError() if self._job.plan is None:
                raise WithdrawnError("vanished")
            case FileNotFoundError():
                pass  # a delivery that was cut off may have moved it already: carrying the plan out tells
            case Identity() if found == self._job.identity or self._job.plan is not None:
                pass
            case _:
                raise WithdrawnError("changed")

    async def check(self) -> None:
        """See that it is still the file that settled; raises WithdrawnError."""
        if identity_of(await self._bench.storage.call(os.fstat, self.fd)) != self._job.identity:
            raise WithdrawnError("changed")

    async def close(self) -> None:
        """Let it go."""
        await self.contents.close()
        self._bench.storage.release(self.fd, self.inbox_fd)


def _opened(inbox: Place, path: bytes) -> tuple[int, int, Identity | OSError]:
    """Descriptors of the inbox and of a file in it, and what file that is; -1 and why there is none."""
    inbox_fd, fd = inbox.open(), -1
    try:
        fd = open_beneath(inbox_fd, path)
        return inbox_fd, fd, identity_of(os.fstat(fd))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        return inbox_fd, fd, error
    except BaseException:
        for descriptor in (inbox_fd, fd):
            if descriptor >= 0:
                os.close(descriptor)
        raise
