"""`watcherd demo`: the real daemon and the real model on a temporary inbox; each step is shown."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from importlib import resources
from pathlib import Path

import typer

from watcherd import logs
from watcherd.cli.exits import Exit
from watcherd.cli.loading import in_state_folder
from watcherd.cli.progress import Steps
from watcherd.config.load import parse
from watcherd.daemon import Daemon
from watcherd.escaping import escaped
from watcherd.job import (
    Delivered,
    Event,
    Job,
    Outcome,
    Planned,
    Postponed,
    Refused,
    Replied,
    Reused,
    Sending,
    Started,
)
from watcherd.state import StateFolder

CLIP = "hallo.flac"
SPOKEN = "Hallo, mein Name ist Wolfgang und ich komme aus Deutschland. Wohin gehen Sie heute?"
NEXT = """\
Where to go next:
  watcherd translate FILE      subtitles for one file of yours, with the same model
  watcherd init                a commented configuration, then: watcherd check, watcherd run"""


def demo(keep: Path | None) -> int:
    """Run the demo in `keep`, or in a temporary folder that is removed afterwards."""
    logs.configure(level="error", form="console")
    if keep is not None:
        return _in(keep.expanduser().absolute(), kept=True)
    folder = Path(tempfile.mkdtemp(prefix="watcherd-demo-"))
    try:
        return _in(folder, kept=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _in(folder: Path, *, kept: bool) -> int:
    inbox, done = folder / "inbox", folder / "done"
    for path in (inbox, done, folder / "failed"):
        path.mkdir(parents=True, exist_ok=True)
    settings = {"inbox": str(inbox), "done": str(done), "failed": str(folder / "failed"), "settle": "2s"}
    text = json.dumps({"folders": [settings], "state": str(folder / "state"), "status": "off"})
    config = parse(text, source=None, environ={})

    def work(state: StateFolder) -> int:
        story = _Story()
        plan = asyncio.run(_run(Daemon(config, state, listener=story.tell), story, inbox))
        return Exit.FAILED if plan is None else _show(plan, done)

    code = in_state_folder(config.state, work, hint="choose another folder")
    if code == Exit.OK:
        typer.echo(f"\nEverything is in {folder}." if kept else "")
        typer.echo(NEXT)
    return code


def _show(plan: Planned, done: Path) -> Exit:
    for sidecar in plan.plan.sidecars:
        typer.echo(f"\n--- {escaped(sidecar.name)}")
        typer.echo((done / os.fsdecode(sidecar.name)).read_text("utf-8").rstrip())
    return Exit.OK


async def _run(daemon: Daemon, story: _Story, inbox: Path) -> Planned | None:
    """Start the daemon, drop the clip, wait for its end, stop the daemon."""
    typer.echo(
        "watcherd demo: the real daemon, real Whisper on this machine, a bundled clip of German speech.\n"
    )
    serving = asyncio.create_task(daemon.run())
    starting = asyncio.create_task(daemon.started.wait())
    await asyncio.wait({serving, starting}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        clip = resources.files("watcherd.whisper").joinpath("demo.flac").read_bytes()
        (inbox / CLIP).write_bytes(clip)
        story.say(f'dropped {CLIP} ({len(clip) // 1000} kB) into {inbox}: "{SPOKEN}"')
        with story.steps:
            ending = asyncio.create_task(story.ended.wait())
            await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
    starting.cancel()
    daemon.stop()
    await serving
    if not story.ended.is_set():
        raise KeyboardInterrupt("the daemon took the Ctrl-C for its own")
    return story.delivered


class _Story:
    """Hears every move of the demo's one job and tells it in words."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.delivered: Planned | None = None
        self.steps = Steps("waiting until it has finished arriving")
        self._planned: Planned | None = None
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """One line with the seconds since the start."""
        self.steps.say(f"{time.monotonic() - self._began:5.1f} s  {text}")

    def tell(self, job: Job, event: Event) -> None:
        """The daemon's listener."""
        match event:
            case Started():
                self.say(f"settled: {escaped(job.path)} has finished arriving, job {job.id}")
                self.steps.now("translating (the model is loaded at the first use)")
            case Sending():
                self.say("sent to the embedded endpoint")
            case Replied():
                self.say(
                    f"translated: a reply of {len(event.body)} bytes, in the journal before anything else"
                )
                self.steps.now("delivering")
            case Reused():
                self.say("known: answered before, so nothing is sent")
            case Planned():
                self._planned = event
            case Delivered() if job.plan is not None and job.plan.outcome is Outcome.DONE:
                self.say("done: original and sidecars are in the done folder")
                self.delivered = self._planned
                self.ended.set()
            case Delivered():
                self.ended.set()
            case Refused() | Postponed():
                self.say(f"{event.fault.message}\n         {event.fault.hint}")
                if isinstance(event, Postponed):
                    self.ended.set()
            case _:
                pass
