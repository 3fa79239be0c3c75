"""The main job with real Whisper: the twelve clips through the embedded endpoint of a real daemon."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import psutil
import pytest

from tests.audio import clip
from tests.end_to_end.test_main_job import check_delivered, drop_all
from tests.running import RunningDaemon, configuration
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def engine_of(daemon: RunningDaemon) -> list[psutil.Process]:
    """The child that holds the model, while there is one."""
    found = []
    for child in psutil.Process(daemon.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended while we looked
            if "watcherd.whisper.server" in child.cmdline():
                found.append(child)
    return found


def test_twelve_containers_in_four_ways_are_translated_by_whisper(tmp_path: Path) -> None:
    content = configuration(tmp_path, top_keys={"stop_grace": "30s"})
    with RunningDaemon(tmp_path, content) as daemon:
        dropped = drop_all(daemon)
        wait_until(lambda: len(daemon.found("job.done")) == len(dropped), timeout=170)
        check_delivered(daemon, dropped)
        assert len(daemon.found("part.sent")) == len(dropped)
        assert len(daemon.found("part.translated")) == len(dropped)
        settled = {event["file"]: event["bytes"] for event in daemon.found("job.settled")}
        assert settled == {name: source.stat().st_size for name, source in dropped.items()}, (
            "read half-arrived"
        )
        for name in dropped:
            text = (daemon.done / name).with_suffix(".txt").read_text()
            print(f"{name}: {text.strip()!r}")
            assert re.search("Wolfgang|Germany", text), name
        engines = engine_of(daemon)
        assert len(engines) == 1
    assert not engines[0].is_running()


def test_the_engine_is_started_on_demand_freed_when_idle_and_started_again(tmp_path: Path) -> None:
    endpoints = {"local": {"embedded": {"idle": "3s"}}}
    content = configuration(tmp_path, top_keys={"endpoints": endpoints})
    with RunningDaemon(tmp_path, content) as daemon:
        assert not engine_of(daemon)
        for name in ("one.flac", "two.mp3"):
            daemon.drop(clip(Path(name).suffix[1:]), name)
            daemon.event("job.done", file=name, timeout=120)
            wait_until(lambda: not engine_of(daemon), timeout=30)
        assert len(daemon.found("whisper.started")) == 2
