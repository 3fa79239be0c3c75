"""Disks that fill up: the inbox or the machine waits and goes on by itself; no file fails for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint
from tests.waiting import wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
pytestmark = needs_root

SmallDisk = Callable[[Path, str], Path]


@pytest.fixture
def small_disk() -> Iterator[SmallDisk]:
    """Mount a tmpfs of a given size somewhere; unmounted at the end."""
    mounted: list[Path] = []

    def mount(at: Path, size: str) -> Path:
        at.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", at], check=True)
        mounted.append(at)
        return at

    yield mount
    for at in mounted:
        subprocess.run(["umount", "--lazy", at], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return ballast
    return ballast


def test_a_full_done_folder_delays_the_delivery_and_asks_nothing_twice(
    tmp_path: Path, endpoint: LocalEndpoint, small_disk: SmallDisk
) -> None:
    done = small_disk(tmp_path / "done", "1m")
    ballast = fill(done)
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        assert daemon.event("job.waiting")["reason"] == "disk full"
        assert (daemon.inbox / "talk.mp3").exists()
        assert not list(daemon.failed.iterdir())
        ballast.unlink()
        daemon.event("job.done", timeout=90)
        assert daemon.sidecars() == ["talk.mp3", "talk.srt", "talk.txt", "talk.vtt"]
    assert len(endpoint.requests) == 1


def test_a_full_state_folder_stops_everything_and_then_goes_on(
    tmp_path: Path, endpoint: LocalEndpoint, small_disk: SmallDisk
) -> None:
    state = small_disk(tmp_path / "state", "8m")
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "first.mp3")
        daemon.event("job.done", file="first.mp3")
        ballast = fill(state)
        names = [f"talk {number}.mp3" for number in range(30)]
        for number, name in enumerate(names, start=1):
            daemon.drop(clip("mp3"), name, padding=number)
        wait_until(lambda: daemon.found("journal.failing") or daemon.found("arrivals.postponed"), timeout=60)
        ballast.unlink()
        wait_until(lambda: len(daemon.found("job.done")) == 31, timeout=90)
        assert not list(daemon.failed.iterdir())
        assert all((daemon.done / name).exists() for name in names)
