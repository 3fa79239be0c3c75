"""Who is heard on the network: the real server on a real port, and clients that mean it ill."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlencode

import pytest
import structlog

from tests.status.network import FORM, Echo, Network, network
from tests.waiting import eventually
from watcherd.config.page import StatusPage
from watcherd.status import guard, sessions
from watcherd.status.guard import SECURE
from watcherd.status.sites import LARGEST_BODY

TOKEN = "obviously-fake-token"
BEARER = f"Bearer {TOKEN}"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SPACING", 0.001)


async def log_in(net: Network, token: str = TOKEN, **headers: str) -> str:
    """Log in with the form; the cookie, empty where it came to nothing."""
    reply = await net.post("/login", urlencode({"token": token, "to": "/jobs/7"}).encode(), FORM, **headers)
    assert (reply.status, reply.headers.get("location")) == (
        (303, "/jobs/7") if token == TOKEN else (403, None)
    )
    return reply.headers.get("set-cookie", "").partition(";")[0]


async def test_every_answer_keeps_a_browser_strict_whatever_the_application_says() -> None:
    async with network(Echo()) as net:
        replies = [
            await net.ask("GET", "/"),
            await net.ask("GET", "/plain"),
            await net.ask("GET", "/", host="evil.example"),
            await net.post("/", origin="https://evil.example"),
            await net.say(b"this is no HTTP\r\n\r\n"),
        ]
    assert [reply.status for reply in replies] == [200, 200, 421, 403, 400]
    for reply in replies:
        for name, value in SECURE.items():
            assert reply.headers.get_all(name) == [value]
    kept, *others = [reply.headers.get_all("cache-control") for reply in replies[:-1]]
    assert (kept, others) == (["private, max-age=60"], [["no-store"]] * 3)


async def test_without_a_token_another_sites_page_and_another_name_are_refused_all_the_same() -> None:
    app = Echo()
    async with network(app, allowed_hosts=["media.example"]) as net:
        assert (await net.ask("GET", "/api/v1/status", host="rebound.example")).status == 421
        assert (await net.post("/api/v1/pause", host="rebound.example")).status == 421
        assert (await net.post("/api/v1/pause", origin="https://evil.example")).status == 403
        assert (await net.post("/api/v1/pause", kind="text/plain")).status == 415
        assert (await net.ask("GET", "/", sec_fetch_site="cross-site", sec_fetch_mode="cors")).status == 403
        assert not app.asked
        assert (await net.post("/api/v1/pause", origin=f"http://{net.host}")).status == 200
        assert (await net.post("/", host="media.example", origin="https://media.example")).status == 200
        assert (await net.ask("GET", "/login")).body.endswith(b"echo\r\n0\r\n\r\n")
    assert [(method, body) for method, _, body in app.asked] == [
        ("POST", b"{}"),
        ("POST", b"{}"),
        ("GET", b""),
    ]


PATHS = (
    "/", "/metrics", "/api/v1/status", "/api/v1/openapi.json", "/healthz/", "/healthz/x", "//healthz",
    "/HEALTHZ", "/healthz%2f..%2fapi", "/login/..%2fmetrics", "/login.css/", "/readyz;x", "/static/x.js",
)  # fmt: skip


async def test_with_a_token_nothing_is_shown_without_it() -> None:
    app = Echo()
    async with network(app, token=TOKEN) as net:
        for path in PATHS:
            for authorization in ("", "Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"):
                reply = await net.ask("GET", path, authorization=authorization)
                assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer"), path
                assert json.loads(reply.body)["code"] == "token_needed"
            for cookie in ("watcherd_session=", "watcherd_session=x", f"watcherd_session={TOKEN}"):
                assert (await net.ask("GET", path, cookie=cookie)).status == 401, path
        assert not app.asked
        for scheme in ("Bearer ", "bearer "):
            assert (await net.ask("GET", "/metrics", authorization=scheme + TOKEN)).status == 200


async def test_with_a_token_nothing_is_changed_without_it() -> None:
    app = Echo()
    async with network(app, token=TOKEN) as net:
        for path in ("/api/v1/pause", "/metrics"):
            assert (await net.post(path)).status == 401
        assert (
            await net.post("/api/v1/pause", authorization=BEARER, origin="https://evil.example")
        ).status == 403
        assert not app.asked
        assert (await net.post("/api/v1/pause", authorization=BEARER)).status == 200


async def test_a_monitor_sees_health_without_the_token() -> None:
    async with network(Echo(), token=TOKEN) as net:
        assert [(await net.ask("GET", path)).status for path in ("/healthz", "/readyz")] == [200, 200]
        assert (await net.ask("GET", "/healthz", host="evil.example")).status == 421


async def test_a_browser_is_led_to_the_login_and_back() -> None:
    app = Echo()
    async with network(app, token=TOKEN) as net:
        led = await net.ask("GET", "/jobs/7?x=y", accept="text/html,*/*")
        assert (led.status, led.headers["location"]) == (303, "/login?to=%2Fjobs%2F7%3Fx%3Dy")
        form = await net.ask("GET", led.headers["location"])
        assert b'value="/jobs/7?x=y"' in form.body
        assert (await net.ask("GET", "/login.css")).headers["content-type"].startswith("text/css")
        cookie = await log_in(net, origin=f"http://{net.host}")
        assert (await net.ask("GET", "/jobs/7", cookie=cookie)).status == 200
        assert (await net.post("/api/v1/pause", cookie=f"a=b; {cookie}")).status == 200
        assert (await net.ask("GET", "/login?to=/x", cookie=cookie)).headers["location"] == "/x"
    assert [scope["state"]["session"] for scope in app.scopes] == [True, True]


async def test_the_cookie_of_another_sites_page_does_nothing() -> None:
    app = Echo()
    async with network(app, token=TOKEN) as net:
        cookie = await log_in(net)
        for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
            assert (await net.post("/api/v1/pause", cookie=cookie, origin=origin)).status == 403
            assert (await net.post("/logout", b"", FORM, cookie=cookie, origin=origin)).status == 403
            assert (await net.post("/login", b"token=x", FORM, origin=origin)).status == 403
        assert (await net.post("/api/v1/pause", b"a=b", FORM, cookie=cookie)).status == 415
        assert not app.asked
        assert (await net.ask("GET", "/", cookie=cookie)).status == 200


async def test_a_wrong_token_opens_no_session_and_is_said_once_in_the_log() -> None:
    with structlog.testing.capture_logs() as logged:
        async with network(Echo(), token=TOKEN) as net:
            replies = [
                await net.post("/login", f"token={word}".encode(), FORM) for word in ("", "x", TOKEN[1:])
            ]
            await net.ask("GET", "/", authorization="Bearer guess")
    assert [reply.status for reply in replies] == [403] * 3
    assert not any("set-cookie" in reply.headers for reply in replies)
    assert b"That is not the token." in replies[0].body
    (line,) = [line for line in logged if line["event"] == "page.refused_token"]
    assert line["last_from"] == "127.0.0.1"
    assert "guess" not in str(logged)


async def test_where_too_many_try_at_once_one_is_asked_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "QUEUE", 0)
    async with network(Echo(), token=TOKEN) as net:
        page = await net.post("/login", f"token={TOKEN}".encode(), FORM)
        program = await net.ask("GET", "/", authorization=BEARER)
    assert [(reply.status, reply.headers["retry-after"]) for reply in (page, program)] == [
        (429, "5"),
        (503, "5"),
    ]


async def test_the_cookie_says_secure_where_the_browser_came_over_https() -> None:
    async with network(Echo(), token=TOKEN, allowed_hosts=["media.example"]) as net:
        body = f"token={TOKEN}".encode()
        secure = await net.post("/login", body, FORM, host="media.example", origin="https://media.example")
        plain = await net.post("/login", body, FORM, origin=f"http://{net.host}")
    assert secure.headers["set-cookie"].endswith("; HttpOnly; SameSite=Strict; Secure")
    assert plain.headers["set-cookie"].endswith("; HttpOnly; SameSite=Strict")


async def test_a_logout_ends_the_session_and_no_other() -> None:
    async with network(Echo(), token=TOKEN) as net:
        mine, other = await log_in(net), await log_in(net)
        assert mine != other
        left = await net.post("/logout", b"", FORM, cookie=mine)
        assert (left.status, left.headers["location"]) == (303, "/login")
        assert "Max-Age=0" in left.headers["set-cookie"]
        assert (await net.ask("GET", "/", cookie=mine)).status == 401
        assert (await net.ask("GET", "/", cookie=other)).status == 200


async def test_another_token_ends_every_session_and_other_hosts_none() -> None:
    async with network(Echo(), token=TOKEN) as net:
        cookie = await log_in(net)
        here = {"listen": "127.0.0.1:0"}
        page = StatusPage.model_validate(here | {"token": TOKEN, "allowed_hosts": ["media.example"]})
        assert net.served.adopt(page)
        assert (await net.ask("GET", "/", cookie=cookie, host="media.example")).status == 200
        assert net.served.adopt(StatusPage.model_validate(here | {"token": "another-fake-token"}))
        assert (await net.ask("GET", "/", cookie=cookie)).status == 401
        assert (await net.ask("GET", "/", authorization=BEARER)).status == 401
        assert (await net.ask("GET", "/", authorization="Bearer another-fake-token")).status == 200


async def test_a_token_that_is_no_longer_the_one_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SPACING", 0.1)
    async with network(Echo(), token=TOKEN) as net:
        page = StatusPage.model_validate({"listen": "127.0.0.1:0", "token": "another-fake-token"})
        assert net.served._guard is not None
        door = net.served._guard._door
        guessing = asyncio.create_task(net.ask("GET", "/", authorization="Bearer guess"))
        await eventually(lambda: door._waiting == 1)
        late = asyncio.create_task(net.post("/login", f"token={TOKEN}".encode(), FORM))
        await eventually(lambda: door._waiting == 2)
        assert net.served.adopt(page)
        assert ((await guessing).status, (await late).status) == (401, 403)


async def test_settings_for_another_address_open_nothing_on_this_one() -> None:
    async with network(Echo(), token=TOKEN) as net:
        for page in (StatusPage(listen="127.0.0.1:1"), None):
            assert not net.served.adopt(page)
            assert (await net.ask("GET", "/")).status == 401


async def test_the_login_does_nothing_else() -> None:
    async with network(Echo(), token=TOKEN) as net:
        for method, path in (
            ("PUT", "/login"),
            ("DELETE", "/logout"),
            ("GET", "/logout"),
            ("POST", "/login.css"),
        ):
            assert (await net.ask(method, path, content_type=FORM)).status == 405


async def test_a_flood_of_a_body_reaches_nobody() -> None:
    app = Echo()
    async with network(app) as net:
        assert (await net.post("/", bytes(LARGEST_BODY))).status == 200
        head = f"POST / HTTP/1.1\r\nhost: {net.host}\r\ncontent-type: application/json\r\n"
        said = await net.say(f"{head}content-length: 99999999999\r\n\r\n".encode())
        chunk = f"{LARGEST_BODY:x}\r\n".encode() + bytes(LARGEST_BODY) + b"\r\n"
        counted = await net.say(f"{head}transfer-encoding: chunked\r\n\r\n".encode() + chunk + b"1\r\nx\r\n")
        unread = await net.say(f"GET / HTTP/1.1\r\nhost: {net.host}\r\ncontent-length: 1\r\n\r\n".encode())
    assert (said.status, counted.status, unread.status) == (413, 413, 400)
    assert {reply.headers["connection"] for reply in (said, counted, unread)} == {"close"}
    assert len(app.asked) == 1


async def test_a_body_that_is_slow_or_cut_short_reaches_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_TIME", 0.05)
    app = Echo()
    async with network(app) as net:
        head = f"POST / HTTP/1.1\r\nhost: {net.host}\r\ncontent-type: application/json\r\n"
        cut = f"{head}content-length: 9\r\n\r\n[1,".encode()
        assert (await net.say(cut)).status == 408
        _, writer = await net.connect()
        writer.write(cut)
        await writer.drain()
        writer.transport.abort()
        await net.ask("GET", "/")
    assert [method for method, _, _ in app.asked] == ["GET"]


async def test_there_are_so_many_requests_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_REQUESTS", 1)
    app = Echo()
    async with network(app) as net:
        reader, writer = await net.connect()
        writer.write(f"GET /api/v1/events HTTP/1.1\r\nhost: {net.host}\r\n\r\n".encode())
        await reader.readuntil(b"data: x")
        assert (await net.ask("GET", "/")).status == 503
        writer.transport.abort()
        await eventually(lambda: not app.streaming)
        assert (await net.ask("GET", "/")).status == 200


async def test_there_are_so_many_streams_and_a_page_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_STREAMS", 2)
    app = Echo()
    async with network(app) as net:
        request = f"GET /api/v1/events HTTP/1.1\r\nhost: {net.host}\r\n\r\n".encode()
        clients = [await net.connect() for _ in range(2)]
        for reader, writer in clients:
            writer.write(request)
            await reader.readuntil(b"data: x")
        refused = await net.say(request)
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert (await net.ask("GET", "/")).status == 200
        clients[0][1].transport.abort()
        await eventually(lambda: app.streaming == 1)
        reader, writer = await net.connect()
        writer.write(request)
        await reader.readuntil(b"data: x")
