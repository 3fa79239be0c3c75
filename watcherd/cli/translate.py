"""`watcherd translate`: files named on the command line in, sidecars beside them (or one on stdout) out.

The daemon's own queue and journey over a journal below the cache folder: an answer that was received is not
asked for again when the command was cut off. A daemon's pauses are not shared.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import get_args

import typer

from watcherd import logs
from watcherd.cli.exits import Exit
from watcherd.cli.loading import in_state_folder, load_or_exit
from watcherd.cli.progress import Steps
from watcherd.clock import SystemClock
from watcherd.config.load import ConfigError, find, parse
from watcherd.config.model import Config, Folder, Format
from watcherd.endpoint.gates import Gates
from watcherd.endpoint.past import Past
from watcherd.escaping import escaped
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import identity_of
from watcherd.job import Delivered, Event, Job, Outcome, Postponed, Started, Withdrawn
from watcherd.journal.store import Journal
from watcherd.media.pool import MediaPool
from watcherd.pipeline.bench import Bench
from watcherd.queue import Queue
from watcherd.state import StateFolder, cache_folder

PATIENCE = 60.0  # seconds that the command waits by itself for an endpoint
TICK = 0.05
FORMATS: tuple[Format, ...] = get_args(Format)
WRITTEN: tuple[Format, ...] = Folder.model_fields["formats"].default


def translate(
    files: Sequence[Path], path: Path | None, *, endpoint: str | None, to_stdout: str | None, prompt: str
) -> int:
    """Translate the files; 0 all done, 1 some failed, 75 the endpoint is not to be had now."""
    logs.configure(level="critical", form="console")
    formats = WRITTEN if to_stdout is None else tuple(kind for kind in FORMATS if kind == to_stdout)
    if not formats:
        typer.echo(f"--stdout {to_stdout}: no such format; choose from {', '.join(FORMATS)}", err=True)
        return Exit.USAGE
    config = _configuration(path)
    chosen = endpoint or config.folders[0].endpoint
    if chosen not in config.endpoints:
        typer.echo(f"endpoint {chosen} is not defined; there is {', '.join(config.endpoints)}", err=True)
        return Exit.USAGE
    unreadable = [file for file in files if not file.is_file() or not os.access(file, os.R_OK)]
    for file in unreadable:
        typer.echo(f"{escaped(os.fsencode(file))}: not a file that can be read", err=True)
    if unreadable:
        return Exit.USAGE

    def work(state: StateFolder) -> int:
        with tempfile.TemporaryDirectory(prefix="watcherd-") as scratch:
            run = _Run(files, config, state, printed=None if to_stdout is None else Path(scratch))
            return asyncio.run(run.run(chosen, formats, prompt))

    return in_state_folder(
        cache_folder(os.environ) / "translate", work, hint="set XDG_CACHE_HOME to another folder"
    )


def _configuration(path: Path | None) -> Config:
    """The configuration named or found; without any, the embedded endpoint."""
    if path is None:
        try:
            path = find(None)
        except ConfigError:
            return parse("folders: [{inbox: /, name: translate}]", source=None, environ=os.environ)
    return load_or_exit(path)


class _Run:
    """One run of the command: every file an inbox of its own, so that nothing else on record is touched."""

    def __init__(
        self, files: Sequence[Path], config: Config, state: StateFolder, *, printed: Path | None
    ) -> None:
        self._files = {os.path.realpath(file): file for file in files}
        self._config = config
        self._state = state
        self._printed = printed
        self._steps = Steps("waiting", total=len(self._files))
        self._ends: dict[str, Exit] = {}
        self._unread: BrokenPipeError | None = None

    async def run(self, endpoint: str, formats: tuple[Format, ...], prompt: str) -> int:
        """Put every file into a queue and serve it until nothing more can run soon."""
        clock = SystemClock()
        async with AsyncExitStack() as stack:
            journal = await Journal.open(self._state.journal, clock)
            stack.push_async_callback(journal.close)
            media = MediaPool()
            stack.push_async_callback(media.close)
            storage = Storage("translate")
            stack.callback(storage.close)
            wake = asyncio.Event()
            cache = cache_folder(os.environ)
            past = Past(journal.ledger)
            await past.recall(clock.now())
            gates = await stack.enter_async_context(Gates(wake=wake, clock=clock, cache=cache, past=past))
            gates.furnish(self._config.endpoints)
            planning = asyncio.Lock()
            benches = {
                name: Bench(
                    folder=Folder(
                        name=name,
                        inbox=Path("/"),
                        done=Path("/"),
                        failed=Path("/"),
                        endpoint=endpoint,
                        prompt=prompt,
                        formats=formats,
                    ),
                    gate=gates[endpoint],
                    storage=storage,
                    media=media,
                    journal=journal,
                    clock=clock,
                    work=self._state.work,
                    reports=self._state.reports,
                    planning=planning,
                    beside=self._printed or Path(name).parent,
                )
                for name in self._files
            }
            queue = Queue(journal, benches, wake=wake, clock=clock, listener=self._tell)
            await queue.recover()
            for name in self._files:
                path = os.fsencode(name)
                await queue.admit(name, path.lstrip(b"/"), identity_of(os.stat(path)))
            serving = asyncio.create_task(queue.run())
            with self._steps:
                while not (serving.done() or self._unread or await queue.resting(PATIENCE)):  # noqa: ASYNC110 - no event says so
                    await asyncio.sleep(TICK)
            await queue.stop(0)
            await serving
        if self._unread is not None:
            raise self._unread
        return max(self._ends.values(), default=Exit.OK)

    def _tell(self, job: Job, event: Event) -> None:
        """The queue's listener. Where nobody reads any more, the rest is not worth a request."""
        try:
            self._say(job, event)
        except BrokenPipeError as error:
            self._unread = error

    def _say(self, job: Job, event: Event) -> None:
        file = self._files[job.inbox]
        match event:
            case Started():
                self._steps.now(f"translating {file.name}")
            case Delivered() if job.plan is not None and job.plan.outcome is Outcome.DONE:
                self._ended(job, Exit.OK)
                self._done(job, file)
            case Delivered() if job.fault is not None:
                self._ended(job, Exit.FAILED)
                self._steps.complain(f"{file}: {job.fault.message}\n  {job.fault.hint}")
            case Postponed():
                self._ends[job.inbox] = Exit.TEMPORARY
                self._steps.complain(f"{file}: {event.fault.message}\n  {event.fault.hint}")
            case Withdrawn():
                self._ended(job, Exit.FAILED)
                self._steps.complain(f"{file}: it changed while it was read; run the command again")
            case _:
                pass

    def _ended(self, job: Job, how: Exit) -> None:
        self._ends[job.inbox] = how
        self._steps.advance()

    def _done(self, job: Job, file: Path) -> None:
        assert job.plan is not None, "a job that is done was planned"
        names = [sidecar.name for sidecar in job.plan.sidecars]
        if self._printed is not None:
            sys.stdout.buffer.write((self._printed / os.fsdecode(names[0])).read_bytes())
            sys.stdout.buffer.flush()
            return
        warned = f" ({', '.join(job.warnings)})" if job.warnings else ""
        self._steps.say(f"{file}: wrote {', '.join(map(escaped, names))}{warned}")
