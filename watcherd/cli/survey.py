"""Survey: an inbox in, what will become of its files out. Nothing is written, sent or locked.

Everything is decided by the daemon's own code: the walk and the rules of names, the looks, what is sent of a
file, what the journal has answered, the names of the delivery.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from watcherd.cli.checks import checks
from watcherd.cli.costs import Naming, cost_of
from watcherd.cli.outlook import Foreseen, Outlook, Verdict
from watcherd.escaping import escaped
from watcherd.faults import FaultError, Scope
from watcherd.inbox.accept import MARKER, Rules, accept, accept_folder, accept_name, covers, holders, rules_of
from watcherd.inbox.accept import Kind as NameKind
from watcherd.inbox.condition import Reach
from watcherd.inbox.reconcile import Kept, Listing
from watcherd.inbox.root import visit
from watcherd.inbox.scan import Walk
from watcherd.inbox.settle import Kind
from watcherd.inbox.touch import look, marked_folder, open_folder
from watcherd.job import Job
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.original import Original
from watcherd.pipeline.staying import Staying
from watcherd.pipeline.withdrawn import WithdrawnError

AT_ONCE = 4  # files of one inbox
LISTEN = 0.5  # seconds between two looks at whether storage answers

_WITHDRAWN = {
    "covered": (Verdict.LEAVE, "its sidecars are there already"),
    "unchanged": (Verdict.LEAVE, "what it holds was translated with these settings"),
}


class Survey:
    """What is ahead of one inbox. `bench` is that of its journeys, over a journal that is only read."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._folder = bench.folder
        self._outlook = Outlook(
            inbox=self._folder.name, path=bytes(self._folder.inbox), endpoint=bench.endpoint.name
        )
        self._naming = Naming(bench)

    async def run(self, only: Collection[bytes]) -> Outlook:
        """Look at the whole inbox, or `only` at these paths below it, and say what could not be seen.

        Storage that falls silent is given up. Raises FaultError where the journal cannot be read.
        """
        storage = self._bench.storage
        looking = asyncio.ensure_future(self._all(only))
        try:
            while not (await asyncio.wait({looking}, timeout=LISTEN))[0]:
                if storage.silent:
                    self._outlook.trouble.append("its storage does not answer; look at the disk or the mount")
                    return self._outlook
        finally:
            looking.cancel()
        looking.result()
        return self._outlook

    async def _all(self, only: Collection[bytes]) -> None:
        bench = self._bench
        targets = () if self._folder.stays else (self._folder.done, self._folder.failed)
        async with AsyncExitStack() as stack:
            try:
                self._root = await bench.storage.call(visit, bench.places.inbox, targets=targets)
                stack.callback(bench.storage.release, self._root.fd)
                self._rules = rules_of(self._folder, self._root.own)
                for path in only or (b"",):
                    await self._below(path)
            except OSError as error:
                self._outlook.trouble.append(f"it cannot be looked at: {error.strerror or error}")
            except FaultError as error:
                if error.fault.scope is not Scope.INBOX:
                    raise
                self._outlook.trouble.append(f"{error.fault.message}; {error.fault.hint}")

    async def _below(self, path: bytes) -> None:
        """One path that was named: a file, or a folder with all below it."""
        call, fd = self._bench.storage.call, self._root.fd
        if path and not await call(_is_folder, fd, path):
            await self._judge([path], named=True)
            return
        rule = await self._closed(path) if path else None
        if rule is not None:
            self._leave(path + b"/", rule, named=True)
            return
        walk = Walk(fd, self._rules, start=path)
        while listings := await call(walk.step):
            for listing in listings:
                await self._listed(listing)

    async def _closed(self, folder: bytes) -> str | None:
        """Why nothing below a folder is looked at; None where it is."""
        verdict = accept_folder(folder, rules=self._rules)
        if verdict.kind is not NameKind.MEDIA:
            return verdict.rule
        marked = await self._bench.storage.call(marked_folder, self._root.fd, folder)
        return None if marked is None else _marked(marked)

    async def _listed(self, listing: Listing) -> None:
        """All files of one folder, a few at a time."""
        if listing.error:
            self._outlook.trouble.append(f"{escaped(listing.folder)}: {listing.error}")
            return
        if listing.marked:
            self._leave(listing.folder + b"/", _marked(listing.folder))
            return
        for path, rule in await self._bench.storage.call(_passed_over, self._root.fd, listing, self._rules):
            self._leave(path, rule)
        await self._judge([found.path for found in listing.files], named=False)

    async def _judge(self, paths: Sequence[bytes], *, named: bool) -> None:
        """Files of one folder; their names are given in their order."""
        if not paths:
            return
        journal, folder = self._bench.journal, paths[0].rpartition(b"/")[0]
        jobs = {job.path: job for job in await journal.open_jobs(self._folder.name, folder)}
        kept = await journal.kept.marks(self._folder.name, folder) if self._folder.stays else {}
        for start in range(0, len(paths), AT_ONCE):
            some = paths[start : start + AT_ONCE]
            for one in await asyncio.gather(*(self._weigh(path, jobs.get(path), kept) for path in some)):
                if one.verdict is Verdict.LEAVE:
                    self._leave(one.file, one.rule, named=named)
                else:
                    self._outlook.files.append(await self._named(one, jobs.get(one.file)))

    async def _named(self, one: Foreseen, job: Job | None) -> Foreseen:
        """The same with the names that original and sidecars will have."""
        if one.cost is None and one.verdict is not Verdict.FAIL:
            return one
        try:
            return await self._naming.named(one, None if job is None else job.plan)
        except (OSError, FaultError) as error:
            said = error.fault.message if isinstance(error, FaultError) else error.strerror
            self._outlook.trouble.append(f"{escaped(one.file)}: its names cannot be chosen: {said}")
            return one

    def _leave(self, path: bytes, rule: str, *, named: bool = False) -> None:
        left = Foreseen(file=path, verdict=Verdict.LEAVE, rule=rule)
        (self._outlook.files if named else self._outlook.left_alone).append(left)

    # One file.

    async def _weigh(self, path: bytes, job: Job | None, kept: Kept) -> Foreseen:
        """What will become of a file, and what it costs."""
        root, name = self._root, path.rpartition(b"/")[2]
        seen = await self._bench.storage.call(
            look,
            *(root.fd, path),
            beside=holders(name),
            covers=covers(name, self._rules),
            leases=root.reach is not Reach.REMOTE,
        )
        if job is not None and seen.identity == job.identity:
            return await self._costed(Foreseen(file=path, verdict=Verdict.OPEN, rule=_told(job)), job)
        failed = list(checks(path, seen, rules=self._rules, kept=kept))[-1]
        if failed.verdict is not None:
            return Foreseen(file=path, verdict=failed.verdict, rule=failed.found)
        assert seen.identity is not None, "a plain file that can be read"
        new = Job(
            id=0,
            inbox=self._folder.name,
            path=path,
            identity=seen.identity,
            settled_at=self._bench.clock.now(),
        )
        rule = accept(path, rules=self._rules).rule
        return await self._costed(Foreseen(file=path, verdict=Verdict.TRANSLATE, rule=rule), new)

    async def _costed(self, one: Foreseen, job: Job) -> Foreseen:
        """The same with what it costs, or with the fault that would fail it."""
        original = Original(job, self._bench)
        try:
            await original.open()
            if original.fd < 0:
                return one
            if self._folder.stays and job.id == 0:
                await Staying(job, self._bench, original).see_need(self._bench.settings.key)
            return replace(one, cost=await cost_of(job, original, self._bench))
        except WithdrawnError as error:
            verdict, rule = _WITHDRAWN.get(error.why, (Verdict.NOT_YET, "it is changing"))
            return replace(one, verdict=verdict, rule=rule)
        except OSError as error:
            return replace(one, verdict=Verdict.NOT_YET, rule=f"it cannot be read: {error.strerror}")
        except FaultError as error:
            if error.fault.scope is not Scope.FILE:
                raise
            return replace(one, verdict=Verdict.FAIL, rule=error.fault.message)
        finally:
            await original.close()


# In the inbox's threads.


def _is_folder(root_fd: int, path: bytes) -> bool:
    try:
        os.close(open_folder(root_fd, path))
    except (NotADirectoryError, FileNotFoundError):
        return False
    return True


def _passed_over(root_fd: int, listing: Listing, rules: Rules) -> list[tuple[bytes, str]]:
    """What of a folder is left alone, with the rule; the inbox's own folders are not worth a word."""
    taken = {found.path for found in listing.files}
    prefix = listing.folder + b"/" if listing.folder else b""
    found: list[tuple[bytes, str]] = []
    try:
        entries = _entries(root_fd, listing.folder)
    except OSError:
        return found  # gone since
    siblings = {os.fsencode(entry.name) for entry in entries}
    for entry in entries:
        path = prefix + os.fsencode(entry.name)
        if entry.is_dir(follow_symlinks=False):
            verdict = accept_folder(path, rules=rules)
            if verdict.kind is NameKind.IGNORED:
                found.append((path + b"/", verdict.rule))
        elif path not in taken:
            verdict = accept_name(path, rules=rules, siblings=siblings)
            special = Kind.SYMLINK if entry.is_symlink() else Kind.SPECIAL
            plain = verdict.kind is not NameKind.MEDIA
            found.append((path, verdict.rule if plain else f"a {special}, not a plain file"))
    return found


def _entries(root_fd: int, folder: bytes) -> list[os.DirEntry[str]]:
    parent = open_folder(root_fd, folder)
    try:
        descriptor = os.open(b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=parent)
    finally:
        os.close(parent)
    try:
        with os.scandir(descriptor) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
            for entry in found:
                entry.is_dir(follow_symlinks=False)  # asks the system, if it does, while the folder is open
            return found
    finally:
        os.close(descriptor)


def _marked(folder: bytes) -> str:
    where = f"in {escaped(folder)}/" if folder else "in the inbox itself"
    return f"{MARKER.decode()} lies {where}"


def _told(job: Job) -> str:
    """An open job, in a few words."""
    reason = "" if job.reason is None else f" ({job.reason})"
    return f"job {job.id} is {job.state}{reason}"
