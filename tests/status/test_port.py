"""The page's port: clients that flood it, say nothing or read nothing, and an address that is taken."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import pytest
import structlog

from tests.status.network import Echo, Network, network
from tests.waiting import eventually
from watcherd.clock import SystemClock
from watcherd.config.page import StatusPage
from watcherd.status import connection, guard, port
from watcherd.status.address import bind, trouble, url_of
from watcherd.status.connection import Connection
from watcherd.status.port import Port

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "LOOK_EVERY", 0.01)


async def ended(client: Stream) -> bytes:
    """What a client still gets until the server ends its connection."""
    async with asyncio.timeout(20):
        try:
            return await client[0].read()
        except ConnectionResetError:
            return b""


def connections(net: Network) -> list[Connection]:
    server = net.served._server
    assert server is not None
    return [one for one in server.server_state.connections if isinstance(one, Connection)]


async def test_a_client_that_says_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WAITING", 0.05)
    async with network(Echo()) as net:
        assert await ended(await net.connect()) == b""
        assert not connections(net)


async def test_a_slow_loris_is_let_go_however_often_it_says_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WAITING", 0.2)
    monkeypatch.setattr(guard, "BODY_TIME", 1000)
    app = Echo()
    async with network(app) as net:
        post = "POST / HTTP/1.1\r\nhost: HOST\r\ncontent-type: application/json\r\n"
        said = (
            "GET / HT",
            "GET / HTTP/1.1\r\nhost: x\r\n",
            "GET / HTTP/1.1\r\nhost: HOST\r\n\r\nGET / HTTP/1.1\r\n",
            f"{post}content-length: 999\r\n\r\n[1,",
            f"{post}transfer-encoding: chunked\r\n\r\n",
        )
        clients = [await net.connect() for _ in said]
        for (_, writer), text in zip(clients, said, strict=True):
            writer.write(text.replace("HOST", net.host).encode())
        ending = [asyncio.create_task(ended(client)) for client in clients]
        while not all(task.done() for task in ending):
            for _, writer in clients:
                writer.write(b"1")
            await asyncio.wait(ending, timeout=0.02)
        assert (await net.ask("GET", "/")).status == 200
    assert all(method == "GET" for method, _, _ in app.asked)


async def test_a_flood_of_headers_is_ended_early() -> None:
    async with network(Echo()) as net:
        client = await net.connect()
        client[1].write(b"GET / HTTP/1.1\r\n")
        for _ in range(64):
            client[1].write(b"x-flood: " + b"x" * 1024 + b"\r\n")
        assert (await ended(client)).startswith((b"HTTP/1.1 400 ", b""))
        head = f"GET / HTTP/1.1\r\nhost: {net.host}\r\nx: {'x' * 20_000}\r\n\r\n"
        assert (await net.say(head.encode())).status in {400, 431}
        assert (await net.ask("GET", "/")).status == 200


async def test_who_opens_many_connections_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST", 8)
    app = Echo()
    async with network(app) as net:
        for _ in range(3):
            reader, writer = await net.connect()
            writer.write(f"GET /api/v1/events HTTP/1.1\r\nhost: {net.host}\r\n\r\n".encode())
            await reader.readuntil(b"data: x")
        with ExitStack() as stack:
            for _ in range(30):  # at once: the server sees them all in one go
                stack.enter_context(socket.create_connection(("127.0.0.1", net.port)))
            assert (await net.ask("GET", "/")).status == 200
            assert len(connections(net)) <= 8
            assert (await net.ask("GET", "/")).status == 200
        assert app.streaming == 3


async def test_a_stream_without_news_and_a_client_that_goes_on_asking_are_not_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(port, "LOOK_EVERY", 1000)
    async with network(Echo()) as net:
        reader, writer = await net.connect()
        request = f"GET /plain HTTP/1.1\r\nhost: {net.host}\r\n\r\n".encode()
        since = []
        for _ in range(2):
            writer.write(request)
            await reader.readuntil(b"echo\r\n0\r\n\r\n")
            (one,) = connections(net)
            since.append(one.since)
        assert since[0] < since[1]
        writer.write(request.replace(b"/plain", b"/api/v1/events"))
        await reader.readuntil(b"data: x")
        for later in (1, 100, 10_000):
            one.look(since[1] + later)
        assert not one.transport.is_closing()


async def test_a_client_that_reads_nothing_fills_no_memory_and_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "STUCK", 0.3)
    app = Echo()
    async with network(app) as net:
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
            stuck.connect(("127.0.0.1", net.port))
            stuck.sendall(f"GET /flood HTTP/1.1\r\nhost: {net.host}\r\n\r\n".encode())
            await eventually(lambda: app.sent)
            (one,) = connections(net)
            await eventually(lambda: one.flow.write_paused)
            assert one.transport.get_write_buffer_size() < 1 << 17
            assert (await net.ask("GET", "/")).status == 200
            await eventually(lambda: not connections(net))
        await eventually(lambda: app.ended)


async def test_a_client_that_reads_now_and_then_is_not_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "LOOK_EVERY", 1000)
    async with network(Echo()) as net:
        reader, writer = await net.connect()
        writer.write(f"GET /flood HTTP/1.1\r\nhost: {net.host}\r\n\r\n".encode())
        await reader.readuntil(b"200 OK")
        (one,) = connections(net)
        for now in (100, 150, 200, 250):
            await eventually(lambda: one.flow.write_paused)
            unsent = one.transport.get_write_buffer_size()
            one.look(now)
            one.look(now + 20)
            assert not one.transport.is_closing()
            while one.transport.get_write_buffer_size() == unsent:
                await reader.read(1 << 16)
        await eventually(lambda: one.flow.write_paused)
        for now in (300, 361):
            one.look(now)
        assert one.transport.is_closing()


async def test_an_open_stream_and_a_stuck_client_hold_up_no_stop(caplog: pytest.LogCaptureFixture) -> None:
    app = Echo()
    async with network(app) as net:
        streams = [await net.connect() for _ in range(5)]
        for (reader, writer), path in zip(streams, ["/api/v1/events"] * 4 + ["/flood"], strict=True):
            writer.write(f"GET {path} HTTP/1.1\r\nhost: {net.host}\r\n\r\n".encode())
            await reader.readuntil(b"200 OK")
        await eventually(lambda: app.streaming == 4)
        net.served.stop()
        for client in streams:
            await ended(client)
    assert app.streaming == 0
    assert not caplog.records


async def test_a_port_that_is_taken_is_said_once_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "RETRY", 0.02)
    told: list[tuple[str | None, str]] = []
    tries: list[StatusPage] = []

    def tried(page: StatusPage) -> socket.socket:
        tries.append(page)
        return bind(page)

    monkeypatch.setattr(port, "bind", tried)
    other = bind(StatusPage(listen="127.0.0.1:0"))
    number = other.getsockname()[1]
    page = StatusPage(listen=f"127.0.0.1:{number}")
    served = Port(Echo(), page, clock=SystemClock(), told=lambda *said: told.append(said))
    with structlog.testing.capture_logs() as logged:
        serving = asyncio.create_task(served.run())
        await eventually(lambda: len(tries) > 3)
        assert told == [
            (None, f"cannot listen on 127.0.0.1:{number}: Address already in use; tried again each minute")
        ]
        other.close()
        await eventually(lambda: len(told) == 2)
        assert told[1] == (f"http://127.0.0.1:{number}/", "")
        served.stop()
        await serving
    assert [line["event"] for line in logged] == ["page.not_served", "page.served"]
    assert "Another program listens there" in logged[0]["hint"]


async def test_a_server_that_fails_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "RETRY", 0.02)
    told: list[tuple[str | None, str]] = []
    served = Port(
        Echo(), StatusPage(listen="127.0.0.1:0"), clock=SystemClock(), told=lambda *s: told.append(s)
    )
    with monkeypatch.context() as broken, structlog.testing.capture_logs() as logged:
        broken.setattr(port.PageServer, "startup", lambda *_, **__: 1 / 0)
        serving = asyncio.create_task(served.run())
        await eventually(lambda: len(told) == 2)
    await eventually(lambda: len(told) > 2 and told[-1][0])
    assert told[1] == (None, "its server failed, as the log says; tried again each minute")
    assert "page.crashed" in {line["event"] for line in logged}
    served.stop()
    async with asyncio.timeout(20):
        await serving


async def test_a_stop_waits_for_no_retry() -> None:
    with bind(StatusPage(listen="127.0.0.1:0")) as other:
        page = StatusPage(listen=f"127.0.0.1:{other.getsockname()[1]}")
        served = Port(Echo(), page, clock=SystemClock(), told=lambda *_: None)
        serving = asyncio.create_task(served.run())
        await asyncio.sleep(0)
        served.stop()
        async with asyncio.timeout(20):
            await serving


async def test_without_a_page_there_is_nothing() -> None:
    served = Port(Echo(), None, clock=SystemClock(), told=lambda *_: pytest.fail("nothing to tell"))
    await served.run()
    assert served.adopt(None)
    assert not served.adopt(StatusPage())


def test_a_restart_need_not_wait_for_old_clients() -> None:
    page = StatusPage(listen="127.0.0.1:0")
    with bind(page) as listener, socket.socket() as client:
        number = listener.getsockname()[1]
        client.connect(("127.0.0.1", number))
        accepted, _ = listener.accept()
        accepted.close()  # first, so that the server's side waits for stragglers
    with bind(StatusPage(listen=f"127.0.0.1:{number}")) as again:
        assert again.getsockname()[1] == number


def test_an_address_that_this_machine_does_not_have_is_no_end() -> None:
    page = StatusPage.model_validate({"listen": "192.0.2.1:8484", "token": "obviously-fake-token"})
    with pytest.raises(OSError, match="assign") as caught:
        bind(page)
    why, hint = trouble(page, caught.value)
    assert why == "cannot listen on 192.0.2.1:8484: Cannot assign requested address"
    assert hint.startswith("This machine has no such address now")


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:8484", "http://127.0.0.1:8484/"),
        ("localhost:80", "http://127.0.0.1:80/"),
        ("[::1]:8484", "http://[::1]:8484/"),
        ("0.0.0.0:8484", "http://127.0.0.1:8484/"),
        ("[::]:8484", "http://[::1]:8484/"),
        ("192.168.1.7:8484", "http://192.168.1.7:8484/"),
    ],
)
def test_the_address_is_one_that_a_browser_of_this_machine_opens(listen: str, url: str) -> None:
    assert url_of(StatusPage.model_validate({"listen": listen, "token": "obviously-fake-token"})) == url


def test_all_addresses_of_six_are_those_of_four_too() -> None:
    page = StatusPage.model_validate({"listen": "[::]:0", "token": "obviously-fake-token"})
    try:
        listener = bind(page)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener, socket.socket() as client:
        client.connect(("127.0.0.1", listener.getsockname()[1]))
