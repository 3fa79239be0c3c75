"""The status page on the network: the real daemon, attacked by real clients; and what that costs its work."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint
from tests.waiting import wait_until
from watcherd.state import StateFolder
from watcherd.status.guard import STREAMS

TOKEN = "obviously-fake-token"
JSON = {"Content-Type": "application/json"}


@contextmanager
def with_page(home: Path, endpoint: LocalEndpoint, *, token: str = "") -> Iterator[tuple[RunningDaemon, int]]:
    """A daemon with its page on a free port."""
    (home / "token").write_text(token)
    status = {"listen": "127.0.0.1:0"} | ({"token": {"file": str(home / "token")}} if token else {})
    content = configuration(home, endpoint=endpoint, top_keys={"status": status})
    with RunningDaemon(home, content, key=endpoint.key) as daemon:
        address = daemon.event("page.served")["address"]
        holder = StateFolder(home / "state").holder()
        assert holder is not None
        wait_until(lambda: (held := StateFolder(home / "state").holder()) and held.page == address)
        yield daemon, int(address.rpartition(":")[2].rstrip("/"))


def ask(
    port: int, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    """One request; the answer's status and JSON."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    client.request(method, path, body, said)
    answer = client.getresponse()
    content = answer.read()
    client.close()
    return answer.status, json.loads(content) if content.startswith(b"{") else {}


def post(port: int, path: str, body: object, **headers: str) -> tuple[int, dict[str, Any]]:
    return ask(port, "POST", path, json.dumps(body), **JSON, **headers)


def test_the_page_is_where_status_says_and_hears_nobody_else(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    with with_page(tmp_path, endpoint, token=TOKEN) as (daemon, port):
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        said = ask(port, "GET", "/api/v1/status", **bearer)[1]
        assert (said["daemon"]["page"], said["daemon"]["page_problem"]) == (f"http://127.0.0.1:{port}/", "")
        assert ask(port, "GET", "/api/v1/status")[0] == 401
        assert ask(port, "GET", "/api/v1/status", **bearer, Host="rebound.example")[0] == 421
        assert (
            post(port, "/api/v1/pause", {"name": "inbox"}, **bearer, Origin="https://evil.example")[0] == 403
        )
        assert ask(port, "GET", "/api/v1/status", **bearer)[1]["inboxes"][0]["state"] == "watching"
        assert post(port, "/api/v1/pause", {"name": "inbox"}, **bearer)[0] == 200
        assert ask(port, "GET", "/api/v1/status", **bearer)[1]["inboxes"][0]["state"] == "paused by hand"
        with socket.create_connection(("127.0.0.1", port)):  # of a client that never leaves
            moved = json.loads(daemon.config.read_text())
            moved["status"] = {"listen": "127.0.0.1:1"}
            daemon.config.write_text(json.dumps(moved))
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGHUP)
            daemon.event("configuration.postponed", key="status.listen")
            daemon.event("configuration.reloaded")
            assert ask(port, "GET", "/api/v1/status")[0] == 401  # though the file no longer has a token
            assert daemon.stop() == 0
    assert TOKEN not in str(daemon.events)


def flood(port: int, head: bytes, data: bytes) -> tuple[int, bytes]:
    """Send until the server ends it; how many bytes the way to it took, and its answer."""
    sent, deadline = 0, time.monotonic() + 20
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(head)
        try:
            while time.monotonic() < deadline:
                sent += client.send(data)
        except OSError:
            pass
        try:
            return sent, client.recv(64)
        except OSError:
            return sent, b""


@pytest.mark.slow
def test_figures_of_attacks_while_files_go_through(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    with with_page(tmp_path, endpoint, token=TOKEN) as (daemon, port):
        process = psutil.Process(daemon.pid)
        ask(port, "GET", "/healthz")
        before = process.memory_info().rss
        head = f"Host: 127.0.0.1:{port}\r\n".encode()
        took, answer = flood(port, b"GET / HTTP/1.1\r\n", b"x-a: " + b"x" * 60_000 + b"\r\n")
        print(f"\nheader flood: {took:,} bytes taken, then {answer[:12]!r}")
        request = b"POST /login HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        took, answer = flood(port, request + head + b"\r\n", b"8000\r\n" + bytes(0x8000) + b"\r\n")
        print(f"body flood: {took:,} bytes taken, then {answer[:12]!r}")
        with ExitStack() as stack:
            idle = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
                for _ in range(500)
            ]
            for client in idle[::2]:
                with suppress(OSError):
                    client.sendall(b"GET / HTTP/1.1\r\n")
            began = time.monotonic()
            assert ask(port, "GET", "/api/v1/status", Authorization=f"Bearer {TOKEN}")[0] == 200
            print(
                f"500 connections that say nothing: the owner's request took {time.monotonic() - began:.3f} s"
            )
            print(f"of them open: {len(process.net_connections('tcp')) - 1}")
            daemon.drop(clip("mp3"), "talk.mp3")
            daemon.event("job.done", file="talk.mp3")
            gone = 0
            for client in idle:
                try:
                    gone += client.recv(1) == b""
                except ConnectionResetError:
                    gone += 1
            print(f"let go in {time.monotonic() - began:.1f} s: {gone}")
            assert gone == 500
        began, tries = time.monotonic(), 0
        with ExitStack() as stack:
            guessing = []
            for _ in range(40):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
                client.sendall(b"GET / HTTP/1.1\r\nAuthorization: Bearer guess\r\n" + head + b"\r\n")
                guessing.append(client)
            assert ask(port, "GET", "/api/v1/status", Authorization=f"Bearer {TOKEN}")[0] == 200
            waited = time.monotonic() - began
            for client in guessing:
                tries += client.recv(12) == b"HTTP/1.1 401"
        took_all = time.monotonic() - began
        print(f"40 guesses: {tries / took_all:.1f} a second; the owner behind them waited {waited:.1f} s")
        assert tries == 40
        print(f"memory: {before / 1e6:.0f} MB before, {process.memory_info().rss / 1e6:.0f} MB after")
        assert not daemon.found("page.crashed")


FILES = 100
CLIENTS = 50
ROUNDS = 3


@pytest.mark.slow
def test_figures_of_throughput_with_fifty_clients_that_only_listen(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    """What counts is the processor's time: how long it takes depends on what else the machine does."""
    wall: dict[int, list[float]] = {0: [], CLIENTS: []}
    busy: dict[int, list[float]] = {0: [], CLIENTS: []}
    with with_page(tmp_path, endpoint) as (daemon, port):
        with listening(port) as client:
            kind = "streams" if client.recv(12) == b"HTTP/1.1 200" else "connections (there is no stream)"
        number = 0
        for clients in (0, *(0, CLIENTS) * ROUNDS):
            with ExitStack() as stack:
                for _ in range(clients):
                    stack.enter_context(listening(port))
                began, worked = time.monotonic(), processor_time(daemon)
                for _ in range(FILES):
                    number += 1
                    daemon.drop(clip("mp3"), f"talk{number}.mp3", padding=number)
                wait_until(partial(all_done, daemon, number), timeout=120)
                wall[clients].append(time.monotonic() - began)
                busy[clients].append(processor_time(daemon) - worked)
    for what, seconds in (("seconds", wall), ("of the processor", busy)):
        del seconds[0][0]  # everything is loaded now
        alone, watched = min(seconds[0]), min(seconds[CLIENTS])
        share = f"{alone / watched:.0%}"
        print(f"\n{FILES} files, {what}: {alone:.2f} alone, {watched:.2f} with {CLIENTS} {kind}: {share}")


def processor_time(daemon: RunningDaemon) -> float:
    times = psutil.Process(daemon.pid).cpu_times()
    return times.user + times.system


def all_done(daemon: RunningDaemon, number: int) -> bool:
    return len(daemon.found("job.done")) == number


def listening(port: int) -> socket.socket:
    """A client that asks for the stream and never reads it."""
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(f"GET {STREAMS} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    return client
