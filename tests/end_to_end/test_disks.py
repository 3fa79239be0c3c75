"""Disks in trouble: the inbox or the machine waits and goes on by itself; no file fails for it."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Respond, error
from tests.servers.fuse import FuseMount, needs_fuse
from tests.waiting import wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
pytestmark = needs_root

MIB = 1 << 20
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
        unmount(at)


def unmount(at: Path) -> None:
    """Take away what is mounted there, if anything is, whoever uses it."""
    subprocess.run(["umount", "--lazy", at], check=False, capture_output=True)


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


@pytest.mark.slow
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


# Every local fault at once, each in an inbox of its own.


@dataclass(frozen=True, slots=True)
class Ailing:
    """One inbox in trouble: the fault that its file waits for, how it is mended, where things are."""

    name: str
    code: str
    mend: Callable[[], object]
    inbox: Path
    done: Path
    clip: str = "mp3"


class Hospital:
    """Inboxes below a folder, each broken in its own way by the system; everything is undone at the end."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self._home = home
        self._stack = stack

    def place(self, name: str, kind: str) -> Path:
        """The inbox's own folder of a kind."""
        folder = self._home / f"{kind} {name}"
        folder.mkdir(exist_ok=True)
        return folder

    def mounted(self, at: Path, *options: str) -> Path:
        """Mount something there until the end."""
        subprocess.run(["mount", *options, at], check=True)
        self._stack.callback(unmount, at)
        return at

    def fuse(self, at: Path) -> FuseMount:
        """A file system that errs on demand."""
        return self._stack.enter_context(FuseMount(at.with_name(f"{at.name} backing"), at))

    def read_only(self) -> Ailing:
        """The done folder is mounted read-only."""
        done = self.place("read-only", "done")
        self.mounted(done, "--bind", str(done))
        subprocess.run(["mount", "-o", "remount,bind,ro", done], check=True)
        mend = partial(subprocess.run, ["mount", "-o", "remount,bind,rw", done], check=True)
        return Ailing("read-only", "read_only", mend, self.place("read-only", "inbox"), done)

    def forbidden(self) -> Ailing:
        """The done folder may not be written."""
        done = self.place("forbidden", "done")
        done.chmod(0o500)
        mend = partial(done.chmod, 0o700)
        return Ailing("forbidden", "permission_denied", mend, self.place("forbidden", "inbox"), done)

    def missing(self) -> Ailing:
        """The done folder is not there."""
        done = self._home / "done missing"
        return Ailing("missing", "folder_missing", done.mkdir, self.place("missing", "inbox"), done)

    def crowded(self) -> Ailing:
        """There is room in done for the sidecars, and none for the original."""
        done = self.mounted(self.place("crowded", "done"), "-t", "tmpfs", "-o", "size=2m", "none")
        (done / "ballast").write_bytes(bytes(2 * MIB - 64 * 1024))
        mend = (done / "ballast").unlink
        return Ailing("crowded", "disk_full", mend, self.place("crowded", "inbox"), done)

    def unreadable(self, name: str, clip: str) -> Ailing:
        """Blocks of the inbox's files cannot be read."""
        mount = self.fuse(self.place(name, "inbox"))
        mount.fail(READ=errno.EIO)
        return Ailing(name, "storage_error", mount.heal, mount.at, self.place(name, "done"), clip)

    def unwritable(self, call: str) -> Ailing:
        """The done folder's disk fails at one call."""
        name = f"failing {call}"
        mount = self.fuse(self.place(name, "done"))
        mount.fail(**{call: errno.EIO})
        return Ailing(name, "storage_error", mount.heal, self.place(name, "inbox"), mount.at)


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    with ExitStack() as stack:
        yield Hospital(tmp_path, stack)


WITHOUT_ROOTS_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")


def with_inboxes(home: Path, endpoint: LocalEndpoint, inboxes: Sequence[Ailing]) -> dict[str, Any]:
    content = configuration(home, endpoint=endpoint)
    (healthy,) = content["folders"]
    others = [{"name": one.name, "inbox": str(one.inbox), "done": str(one.done)} for one in inboxes]
    content["folders"] = [healthy, *(healthy | other for other in others)]
    return content


@pytest.mark.slow
@needs_fuse
def test_a_local_fault_makes_its_own_inbox_wait_fails_no_file_and_heals(
    tmp_path: Path, endpoint: LocalEndpoint, hospital: Hospital
) -> None:
    inboxes = [
        hospital.read_only(),
        hospital.forbidden(),
        hospital.missing(),
        hospital.crowded(),
        hospital.unreadable("bad blocks", "mp3"),
        hospital.unreadable("bad blocks of a film", "mkv"),
        *(hospital.unwritable(call) for call in ("CREATE", "WRITE", "FSYNC", "RENAME2", "STATFS")),
    ]
    content = with_inboxes(tmp_path, endpoint, inboxes)
    with RunningDaemon(tmp_path, content, key=endpoint.key, prefix=WITHOUT_ROOTS_RIGHTS) as daemon:
        for number, one in enumerate(inboxes, start=1):
            daemon.event("inbox.watching", inbox=one.name)
            found = clip(one.clip).read_bytes() + bytes(number)
            (one.inbox / f"{one.name}.{one.clip}").write_bytes(found)
        daemon.drop(clip("mp3"), "healthy.mp3")
        for one in inboxes:
            waiting = daemon.event("job.waiting", inbox=one.name)
            assert waiting["fault"] == one.code, waiting
            assert waiting["reason"] == ("disk full" if one.code == "disk_full" else "storage not answering")
        daemon.event("job.done", file="healthy.mp3")
        assert "more are needed" in daemon.event("job.waiting", inbox="crowded")["message"]
        assert [entry.name for entry in (tmp_path / "done crowded").iterdir()] == ["ballast"]
        for one in inboxes:
            one.mend()
        for one in inboxes:
            daemon.event("job.done", inbox=one.name, timeout=60)
            kept = sorted([f"{one.name}.{form}" for form in (one.clip, "srt", "txt", "vtt")])
            assert sorted(entry.name for entry in one.done.iterdir()) == kept
            assert not list(one.inbox.iterdir())
        assert not list(daemon.failed.iterdir())
        assert not daemon.found("job.failed")
    assert len(endpoint.requests) == len(inboxes) + 1, "something was sent twice"


@pytest.mark.slow
def test_nothing_is_delivered_into_the_place_of_a_mount_that_is_gone(
    tmp_path: Path, endpoint: LocalEndpoint, small_disk: SmallDisk
) -> None:
    done = small_disk(tmp_path / "done", "8m")
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.event("folder.swept", path=str(done))
        subprocess.run(["umount", done], check=True)
        daemon.drop(clip("mp3"), "talk.mp3")
        assert daemon.event("job.waiting")["fault"] == "mount_missing"
        assert not list(done.iterdir())
        assert not list(daemon.failed.iterdir())
        small_disk(done, "8m")
        daemon.event("job.done", timeout=60)
        assert daemon.sidecars() == ["talk.mp3", "talk.srt", "talk.txt", "talk.vtt"]
        subprocess.run(["umount", done], check=True)
        assert not list(done.iterdir()), "something was put into the place of the mount"


@pytest.mark.slow
def test_an_inbox_whose_mount_is_gone_is_missing_and_keeps_its_jobs(
    tmp_path: Path, endpoint: LocalEndpoint, small_disk: SmallDisk
) -> None:
    disk, inbox = small_disk(tmp_path / "disk", "8m"), tmp_path / "inbox"
    inbox.mkdir()
    subprocess.run(["mount", "--bind", disk, inbox], check=True)
    try:
        endpoint.always(error(503, "overloaded"))
        with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
            daemon.drop(clip("mp3"), "talk.mp3")
            daemon.event("job.waiting", reason="endpoint paused")
            subprocess.run(["umount", "--lazy", inbox], check=True)
            daemon.event("inbox.missing")
            endpoint.always(Respond())
            daemon.event("job.waiting", fault="mount_missing")
            subprocess.run(["mount", "--bind", disk, inbox], check=True)
            daemon.event("inbox.recovered")
            daemon.event("job.done", timeout=60)
            assert not daemon.found("job.skipped")
            assert len(daemon.found("job.settled")) == 1
    finally:
        subprocess.run(["umount", "--lazy", inbox], check=True)
