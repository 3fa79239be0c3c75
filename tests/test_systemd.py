"""sd_notify, spoken to a real datagram socket."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.manager import Manager
from tests.waiting import eventually
from watcherd import systemd


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Manager]:
    abstract = request.param == "abstract"
    with Manager(f"@watcherd-test-{os.getpid()}") if abstract else Manager.at(tmp_path) as listening:
        monkeypatch.setenv("NOTIFY_SOCKET", listening.address)
        yield listening


def test_lines_arrive_in_one_datagram(manager: Manager) -> None:
    systemd.notify("READY=1", "STATUS=watching 2 inboxes")
    assert manager.hear() == [["READY=1", "STATUS=watching 2 inboxes"]]


def test_a_reload_and_its_time_in_microseconds_are_one_datagram(manager: Manager) -> None:
    before = time.monotonic_ns() // 1000
    systemd.reloading()
    ((reloading, usec),) = manager.hear()
    assert reloading == "RELOADING=1"
    assert before <= int(usec.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_stop_says_how_long_it_may_take(manager: Manager) -> None:
    systemd.stopping(45)
    assert manager.hear() == [["STOPPING=1", "STATUS=stopping", "EXTEND_TIMEOUT_USEC=45000000"]]


async def test_a_start_asks_for_more_time_until_it_is_over(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "EXTENSION", 0.03)
    async with systemd.taking_its_time("opening the journal"):
        await eventually(lambda: manager.heard("EXTEND_TIMEOUT_USEC=30000") >= 3)
        assert manager.status == "opening the journal"
    await asyncio.sleep(0)
    asked = manager.heard("EXTEND_TIMEOUT_USEC=")
    await asyncio.sleep(0.05)  # longer than the time between two
    assert manager.heard("EXTEND_TIMEOUT_USEC=") == asked


def test_nothing_happens_without_a_socket_or_without_anyone_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    systemd.notify("READY=1")


def flooded(sender: socket.socket, manager: Manager) -> int:
    """Send until nothing more can be sent; how many went."""
    sender.setblocking(False)
    for sent in itertools.count():
        try:
            sender.sendto(b"x", manager.address)
        except BlockingIOError:
            return sent
    raise AssertionError


def test_a_service_manager_that_takes_nothing_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "PATIENCE", 0.01)
    with Manager.at(tmp_path) as deaf:
        monkeypatch.setenv("NOTIFY_SOCKET", deaf.address)
        with contextlib.ExitStack() as senders:
            while flooded(senders.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)), deaf):
                pass  # whatever fills up first, its queue or a sender's buffer
            systemd.notify("READY=1")
        assert not deaf.heard("READY=1")


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
    ],
)
def test_a_ping_comes_in_half_of_the_time_that_this_process_is_given(
    environ: dict[str, str], interval: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert systemd.ping_interval() == interval
