"""The original: a job's file, opened once without following links and checked at every turn. Rim."""

from __future__ import annotations

import os

from watcherd.inbox.touch import identity_of, open_beneath
from watcherd.job import Job
from watcherd.pipeline.bench import Bench


class WithdrawnError(Exception):
    """The file is not the one that settled any more: `why` is `vanished` or `changed`.

    Or it stays where it is and needs nothing: `covered` or `unchanged`. `kept` is as in job.Withdrawn.
    """

    def __init__(self, why: str, *, kept: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.kept = kept


class Original:
    """One job's file. `fd` is -1 while it is not open, or where a delivery has moved it already."""

    def __init__(self, job: Job, bench: Bench) -> None:
        self._job = job
        self._bench = bench
        self.inbox_fd = -1
        self.fd = -1

    async def open(self) -> None:
        """Open inbox and file; raises WithdrawnError, and OSError where the storage is in trouble."""
        call = self._bench.storage.call
        self.inbox_fd = await call(self._bench.places.inbox.open)
        try:
            self.fd = await call(open_beneath, self.inbox_fd, self._job.path)
        except FileNotFoundError:
            # A delivery that was cut off may have moved it already: carrying the plan out tells.
            if self._job.plan is None:
                raise WithdrawnError("vanished") from None
            return
        except (NotADirectoryError, IsADirectoryError):
            raise WithdrawnError("changed") from None
        if self._job.plan is None:
            await self.check()

    async def check(self) -> None:
        """See that it is still the file that settled; raises WithdrawnError."""
        if identity_of(await self._bench.storage.call(os.fstat, self.fd)) != self._job.identity:
            raise WithdrawnError("changed")

    def close(self) -> None:
        """Let it go."""
        for descriptor in (self.fd, self.inbox_fd):
            if descriptor >= 0:
                self._bench.storage.release(descriptor)
