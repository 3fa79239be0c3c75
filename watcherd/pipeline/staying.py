"""Staying: a file that stays in its inbox in, what is to be written beside it out."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Collection, Container, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from watcherd.config.model import Folder
from watcherd.delivery import beside, files, folders, look, names
from watcherd.faults import FaultError
from watcherd.job import Job, Outcome, Plan, Sidecar
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.original import Original
from watcherd.pipeline.withdrawn import WithdrawnError
from watcherd.place import Place


class Staying:
    """One job whose original stays where it is."""

    def __init__(self, job: Job, bench: Bench, original: Original) -> None:
        self._job = job
        self._bench = bench
        self._original = original

    async def see_need(self, request: str) -> None:
        """See that something is to be done; raises WithdrawnError. `request` names the request settings.

        Nothing is where every sidecar has its place taken, and where the same content was translated with the
        same settings and all that was written then is still there: only its time changed.
        """
        job, journal, storage = self._job, self._bench.journal, self._bench.storage
        plan = await self.plan()
        if not plan.sidecars:
            # By the rule of `skip` the inbox itself leaves such a file alone, for as long as they are there.
            raise WithdrawnError("covered", kept=self._bench.folder.existing != "skip")
        last = await journal.kept.translated(job.inbox, job.path)
        if last is None or request != last.request:
            return
        if not await storage.call(_all_stand, self._bench.places.inbox, plan.folder, last.written):
            return
        contents = self._original.contents
        if await contents.quick() == last.quick and await contents.sha256() == last.sha256:
            raise WithdrawnError("unchanged", kept=True)

    async def plan(self) -> Plan:
        """Choose the sidecars that are to be written beside the original."""
        job, bench, folder = self._job, self._bench, self._job.path.rpartition(b"/")[0]
        written = await bench.journal.kept.written(job.inbox, job.path)
        ours = await bench.storage.call(_unchanged, bench.places.inbox, folder, written)
        chosen = partial(_planned, job.path, bench.folder, ours)
        plan = await bench.storage.call(files.choose, bench.places.inbox, folder, chosen, reserved=())
        return replace(plan, stays=True, at=bench.clock.now())

    def plan_report(self) -> Plan:
        """Name the report of a failure."""
        folder, _, name = self._job.path.rpartition(b"/")
        report = Sidecar(names.kept_report(self._job.path, self._job.id), "report")
        return Plan(
            outcome=Outcome.FAILED,
            folder=folder,
            original=name,
            sidecars=(report,),
            at=self._bench.clock.now(),
            stays=True,
        )

    async def carry_out(self, plan: Plan, contents: Mapping[bytes, bytes]) -> files.Result:
        """Write what the plan says; can be repeated after a stop anywhere."""
        job, bench = self._job, self._bench
        earlier = await bench.journal.kept.failures(job.inbox, job.path)
        old = {one.name for failure in earlier for one in failure.sidecars} - contents.keys()
        if plan.outcome is Outcome.DONE:
            result = await bench.storage.call(
                beside.deliver,
                plan,
                job_id=job.id,
                inbox_fd=self._original.inbox_fd,
                path=job.path,
                identity=job.identity,
                contents=contents,
                ours=await bench.journal.kept.written(job.inbox, job.path),
            )
        elif self._original.fd < 0:
            return files.Vanished()
        else:
            await self._original.check()
            await asyncio.to_thread(_write_reports, bench.reports, contents, job.id)
            result = files.Delivered()
        if isinstance(result, files.Delivered):
            await asyncio.to_thread(_remove, bench.reports, old)
        return result


def written(contents: Mapping[bytes, bytes]) -> tuple[tuple[bytes, str], ...]:
    """Sidecars with the SHA-256 of what they hold."""
    return tuple((name, hashlib.sha256(body).hexdigest()) for name, body in contents.items())


def _planned(path: bytes, folder: Folder, ours: Container[bytes], taken: Container[bytes]) -> Plan:
    return names.plan_beside(
        path=path,
        formats=folder.formats,
        sidecar_name=folder.sidecar_name,
        existing=folder.existing,
        taken=taken,
        ours=ours,
    )


# In the inbox's threads, and for reports in our own.


def _all_stand(inbox: Place, folder: bytes, wanted: Collection[bytes]) -> bool:
    with folders.opened(inbox, folder) as fd:
        return all(look.status(fd, name) is not None for name in wanted)


def _unchanged(inbox: Place, folder: bytes, written: Mapping[bytes, str]) -> frozenset[bytes]:
    """Which of the sidecars in a folder still hold what was written."""
    with contextlib.suppress(FileNotFoundError, FaultError), folders.opened(inbox, folder) as fd:
        return frozenset(name for name, digest in written.items() if look.digest(fd, name) == digest)
    return frozenset()


def _write_reports(folder: Path, contents: Mapping[bytes, bytes], job_id: int) -> None:
    for name, body in contents.items():
        beside.write_report(folder, name, body, job_id=job_id)


def _remove(folder: Path, old: Collection[bytes]) -> None:
    for name in old:
        (folder / name.decode("utf-8", "surrogateescape")).unlink(missing_ok=True)
