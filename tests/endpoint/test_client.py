"""The client against a real local endpoint: what it sends, what it takes, and how each failure comes out."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import hashlib
import json
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from pydantic import SecretStr

from tests.servers.endpoint import CERTIFICATE, HangUp, LocalEndpoint, Raw, Respond, error
from tests.servers.speech import sentences
from tests.waiting import eventually
from watcherd import __version__
from watcherd.config.model import Timeout
from watcherd.endpoint.client import REPLY_LIMIT, Ask, Client, Upload
from watcherd.endpoint.reply import ReplyFormat
from watcherd.faults import Fault, FaultError, Remedy, Scope

MIB = 1024 * 1024
ASK = Ask(model="whisper-1", prompt="", temperature=0, format=ReplyFormat.VERBOSE_JSON)
PATIENT = Timeout(connect=5, read=30)


def flac(size: int) -> bytes:
    """Bytes that begin as FLAC does."""
    return (b"fLaC" + bytes(range(256)) * (size // 256 + 1))[:size]


def an_upload(content: bytes = flac(1000), *, block: int = MIB) -> Upload:
    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), block):
            yield content[start : start + block]

    return Upload(name="audio.flac", content_type="audio/flac", size=len(content), blocks=blocks)


def a_large_upload(mebibytes: int) -> Upload:
    """One block over and over, so that the upload itself takes no memory."""
    block = flac(MIB)

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(mebibytes):
            yield block

    return Upload(name="audio.flac", content_type="audio/flac", size=mebibytes * MIB, blocks=blocks)


@contextlib.asynccontextmanager
async def a_client(
    endpoint: LocalEndpoint,
    **changes: Any,  # noqa: ANN401 - any key of an endpoint
) -> AsyncIterator[Client]:
    client = Client(endpoint.settings(**{"timeout": PATIENT} | changes))
    try:
        yield client
    finally:
        await client.close()


async def the_fault(client: Client, upload: Upload | None = None) -> Fault:
    with pytest.raises(FaultError) as raised:
        await client.translate(upload or an_upload(), ASK)
    return raised.value.fault


def our_connections(port: int) -> list[str]:
    """The states of this process's connections to a port."""
    found = psutil.Process().net_connections(kind="tcp")
    return [one.status for one in found if one.raddr and one.raddr.port == port]


@pytest.fixture
def tls_endpoint() -> Iterator[LocalEndpoint]:
    with LocalEndpoint(tls=True) as running:
        yield running
    assert not running.violations


# What is sent


async def test_a_request_holds_the_file_and_the_two_fields_that_are_always_needed(
    endpoint: LocalEndpoint,
) -> None:
    content = flac(3 * MIB + 5)
    async with a_client(endpoint) as client:
        answer = await client.translate(an_upload(content), ASK)
    request = endpoint.requests[0]
    assert dict(request.fields) == {"model": "whisper-1", "response_format": "verbose_json"}
    assert (request.filename, request.content_type) == ("audio.flac", "audio/flac")
    assert (request.size, request.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert request.headers["user-agent"] == f"watcherd/{__version__}"
    heard = " ".join(sentences(request.size, request.sha256))
    assert json.loads(answer.body)["text"] == heard
    assert 0 < answer.seconds < 30


@pytest.mark.parametrize("asked", list(ReplyFormat))
async def test_each_format_is_asked_for_by_its_name(endpoint: LocalEndpoint, asked: ReplyFormat) -> None:
    async with a_client(endpoint) as client:
        answer = await client.translate(an_upload(), replace(ASK, format=asked))
    assert endpoint.requests[0].fields["response_format"] == asked
    assert b"This file has 1000 bytes." in answer.body


async def test_prompt_and_temperature_are_sent_where_they_are_set(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint) as client:
        await client.translate(an_upload(), replace(ASK, prompt='Ærø, "Öresund"\nnames', temperature=0.25))
    fields = endpoint.requests[0].fields
    assert fields["prompt"] == 'Ærø, "Öresund"\nnames'
    assert fields["temperature"] == "0.25"


async def test_a_plain_request_leaves_prompt_and_temperature_out(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint) as client:
        await client.translate(an_upload(), replace(ASK, prompt="names", temperature=0.2, plain=True))
    assert set(endpoint.requests[0].fields) == {"model", "response_format"}


async def test_fields_headers_and_path_of_the_configuration_are_used() -> None:
    odd = 'a "quoted" name'
    with LocalEndpoint(path="inference", extra_fields={"translate", "a %22quoted%22 name"}) as endpoint:
        settings = endpoint.settings(path="inference", headers={"X-Tenant": SecretStr("seven")})
        client = Client(settings)
        await client.translate(an_upload(), replace(ASK, fields=(("translate", "true"), (odd, "1"))))
        await client.close()
        assert endpoint.requests[0].fields["translate"] == "true"
        assert endpoint.requests[0].fields["a %22quoted%22 name"] == "1"
        assert endpoint.requests[0].headers["x-tenant"] == "seven"
        assert not endpoint.violations


async def test_a_configured_authorization_header_takes_the_place_of_the_key(endpoint: LocalEndpoint) -> None:
    headers = {"authorization": SecretStr(f"Bearer {endpoint.key}")}
    async with a_client(endpoint, api_key=SecretStr("sk-another-0123456789"), headers=headers) as client:
        await client.translate(an_upload(), ASK)
    assert endpoint.requests[0].answered == 200


async def test_cookies_are_not_sent_back(endpoint: LocalEndpoint) -> None:
    endpoint.script(Respond(headers={"Set-Cookie": "backend=dead; Path=/"}))
    async with a_client(endpoint) as client:
        await client.translate(an_upload(), ASK)
        await client.translate(an_upload(), ASK)
    assert "cookie" not in endpoint.requests[1].headers


async def test_the_environments_proxy_is_not_used(
    endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with a_client(endpoint) as client:
        await client.translate(an_upload(), ASK)
    assert endpoint.requests[0].answered == 200


async def test_the_configured_proxy_is_used(endpoint: LocalEndpoint) -> None:
    targets: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        targets.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    proxy = f"http://someone:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, a_client(endpoint, proxy=proxy) as client:
        fault = await the_fault(client)
    assert targets[0].startswith(f"POST {endpoint.base_url}/audio/translations HTTP/1.1".encode())
    assert b"Proxy-Authorization: Basic" in targets[0]
    assert fault.code == "proxy_refused"
    assert not endpoint.requests


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_https_goes_through_a_proxys_tunnel(tls_endpoint: LocalEndpoint, scheme: str) -> None:
    asked: list[bytes] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        there = await asyncio.open_connection("127.0.0.1", tls_endpoint.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
        done.set()

    done = asyncio.Event()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    server = await asyncio.start_server(tunnel, "127.0.0.1", 0, ssl=context if scheme == "https" else None)
    proxy = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        async with a_client(tls_endpoint, proxy=proxy) as client:
            await client.translate(a_large_upload(3), ASK)
            await client.translate(an_upload(), ASK)
        await done.wait()
    assert asked == [f"CONNECT 127.0.0.1:{tls_endpoint.port} HTTP/1.1".encode()]
    assert [request.connection for request in tls_endpoint.requests] == [1, 1]


async def test_an_upload_of_any_size_takes_constant_memory(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint) as client:
        await client.translate(a_large_upload(4), ASK)
        tracemalloc.start()
        try:
            await client.translate(a_large_upload(200), ASK)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert endpoint.requests[1].size == 200 * MIB
    assert peak < 8 * MIB


async def test_the_file_is_opened_anew_for_every_request(endpoint: LocalEndpoint) -> None:
    opened = 0
    content = flac(5000)

    async def blocks() -> AsyncIterator[bytes]:
        nonlocal opened
        opened += 1
        yield content

    upload = Upload(name="audio.flac", content_type="audio/flac", size=len(content), blocks=blocks)
    async with a_client(endpoint) as client:
        await client.translate(upload, ASK)
        await client.translate(upload, ASK)
    assert opened == 2
    assert {request.sha256 for request in endpoint.requests} == {hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("real", [999, 1001, 3000])
async def test_a_file_that_changed_its_length_is_not_sent_whole(endpoint: LocalEndpoint, real: int) -> None:
    upload = replace(an_upload(flac(real)), size=1000)
    async with a_client(endpoint) as client:
        fault = await the_fault(client, upload)
    assert (fault.scope, fault.code, fault.remedy) == (Scope.FILE, "file_changed", Remedy.RETRY)
    await eventually(lambda: endpoint.requests)
    assert not endpoint.requests[0].whole


@pytest.mark.parametrize("trouble", [OSError(errno.EIO, "I/O error"), TimeoutError(errno.ETIMEDOUT, "NFS")])
async def test_an_error_of_the_file_itself_comes_out_as_it_is(
    endpoint: LocalEndpoint, trouble: OSError
) -> None:
    closed = False

    async def blocks() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            yield flac(10)
            raise trouble
        finally:
            closed = True

    upload = Upload(name="audio.flac", content_type="audio/flac", size=1000, blocks=blocks)
    async with a_client(endpoint) as client:
        with pytest.raises(OSError, match=str(trouble.strerror)) as raised:
            await client.translate(upload, ASK)
    assert raised.value is trouble
    assert closed
    await eventually(lambda: endpoint.connections == 0)


# What is answered


async def test_the_answers_request_id_is_kept(endpoint: LocalEndpoint) -> None:
    endpoint.script(Respond(headers={"X-Request-Id": "req_42"}))
    async with a_client(endpoint) as client:
        answer = await client.translate(an_upload(), ASK)
    assert answer.request_id == "req_42"


async def test_any_2xx_is_an_answer_and_judged_elsewhere(endpoint: LocalEndpoint) -> None:
    endpoint.script(Respond(status=201, body=b"<html>hello</html>"))
    async with a_client(endpoint) as client:
        assert (await client.translate(an_upload(), ASK)).body == b"<html>hello</html>"


async def test_no_compression_is_asked_for_and_a_compressed_answer_is_read(endpoint: LocalEndpoint) -> None:
    packed = gzip.compress(b"WEBVTT\n")
    endpoint.script(Respond(body=packed, headers={"Content-Encoding": "gzip"}))
    async with a_client(endpoint) as client:
        assert (await client.translate(an_upload(), ASK)).body == b"WEBVTT\n"
    assert endpoint.requests[0].headers["accept-encoding"] == "identity"


async def test_an_answer_beyond_the_limit_is_given_up(endpoint: LocalEndpoint) -> None:
    endpoint.script(Respond(body=bytes(REPLY_LIMIT + 1)))
    endpoint.script(Respond(body=bytes(REPLY_LIMIT)))
    async with a_client(endpoint) as client:
        fault = await the_fault(client)
        assert len((await client.translate(an_upload(), ASK)).body) == REPLY_LIMIT
    assert fault.code == "reply_too_large"


async def test_a_refusal_is_diagnosed_with_what_the_server_said(endpoint: LocalEndpoint) -> None:
    headers = {"Retry-After": "7", "X-Request-Id": "req_9"}
    endpoint.script(error(429, "Slow down, please.", code="rate_limit_exceeded", headers=headers))
    async with a_client(endpoint) as client:
        fault = await the_fault(client)
    assert (fault.code, fault.status, fault.retry_after) == ("rate_limited", 429, 7.0)
    assert (fault.said, fault.request_id) == ("Slow down, please.", "req_9")


async def test_a_wrong_key_is_the_endpoints_fault(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint, api_key=SecretStr("sk-wrong-0123456789")) as client:
        fault = await the_fault(client)
    assert (fault.scope, fault.code, fault.status) == (Scope.ENDPOINT, "key_refused", 401)


async def test_a_redirect_is_reported_and_not_followed(endpoint: LocalEndpoint) -> None:
    elsewhere = f"{endpoint.base_url}/audio/translations"
    endpoint.script(Respond(status=307, headers={"Location": elsewhere}, body=b""))
    async with a_client(endpoint) as client:
        fault = await the_fault(client)
    assert (fault.code, fault.status) == ("redirected", 307)
    assert elsewhere in fault.message
    assert len(endpoint.requests) == 1


async def test_of_a_long_complaint_only_the_beginning_is_read(
    endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcherd.endpoint.client._COMPLAINT_SECONDS", 100.0)
    endpoint.script(Respond(status=502, body=bytes(8 * MIB), after=10, cut=100 * 1024, stall=True))
    async with a_client(endpoint) as client, asyncio.timeout(20):
        assert (await the_fault(client)).status == 502


async def test_a_complaint_without_end_is_not_waited_for(
    endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcherd.endpoint.client._COMPLAINT_SECONDS", 0.2)
    endpoint.script(Respond(status=502, body=bytes(1000), after=10, cut=100, stall=True))
    async with a_client(endpoint) as client, asyncio.timeout(20):
        assert (await the_fault(client)).status == 502


async def test_a_complaint_that_is_cut_short_still_has_its_status(endpoint: LocalEndpoint) -> None:
    endpoint.script(replace(error(401, "Incorrect API key provided."), cut=12, reset=True))
    async with a_client(endpoint) as client:
        assert (await the_fault(client)).code == "key_refused"


# An answer before the request is whole


@pytest.mark.parametrize("linger", [False, True])
async def test_an_early_413_is_heard_though_the_server_hangs_up(
    endpoint: LocalEndpoint, *, linger: bool
) -> None:
    page = b"<html><head><title>413 Request Entity Too Large</title></head></html>"
    endpoint.always(Respond(status=413, body=page, after=128 * 1024, linger=linger))
    async with a_client(endpoint) as client:
        faults = [await the_fault(client, a_large_upload(40)) for _ in range(5)]
    assert {(fault.code, fault.status) for fault in faults} == {("too_large", 413)}


async def test_an_early_answer_is_heard_through_tls(tls_endpoint: LocalEndpoint) -> None:
    tls_endpoint.always(replace(error(413, "Maximum content size limit exceeded"), after=128 * 1024))
    async with a_client(tls_endpoint) as client:
        faults = [await the_fault(client, a_large_upload(40)) for _ in range(5)]
    assert {(fault.code, fault.status) for fault in faults} == {("too_large", 413)}


@pytest.mark.parametrize("tls", [False, True])
async def test_an_early_answer_ends_the_upload(*, tls: bool) -> None:
    sent = 0

    async def blocks() -> AsyncIterator[bytes]:
        nonlocal sent
        for sent in range(1, 101):  # noqa: B007 - read after the loop was left
            yield flac(MIB)
            await eventually(lambda: endpoint.requests)
            await asyncio.sleep(0.01)

    upload = Upload(name="audio.flac", content_type="audio/flac", size=100 * MIB, blocks=blocks)
    with LocalEndpoint(tls=tls) as endpoint:
        endpoint.script(Respond(status=413, after=128 * 1024, linger=True))
        async with a_client(endpoint) as client:
            assert (await the_fault(client, upload)).status == 413
    assert sent < 100


async def test_an_early_answer_is_heard_though_the_server_reads_no_further(
    endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcherd.endpoint.client._WRITE_SECONDS", 1.0)
    refusal = error(401, "Incorrect API key provided.")
    endpoint.script(replace(refusal, after=10, delay=0.3, stall=True))
    async with a_client(endpoint) as client:
        fault = await the_fault(client, a_large_upload(40))
    assert fault.status == 401


async def test_a_server_that_takes_nothing_is_given_up_after_the_write_timeout(
    endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcherd.endpoint.client._WRITE_SECONDS", 0.3)
    endpoint.script(Respond(after=10, delay=30))
    async with a_client(endpoint) as client:
        fault = await the_fault(client, a_large_upload(40))
    assert fault.code == "write_timeout"


async def test_an_unasked_100_continue_does_not_end_the_upload(endpoint: LocalEndpoint) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nWEBVTT"
    endpoint.script(Raw(data=answer, interim=b"HTTP/1.1 100 Continue\r\n\r\n"))
    async with a_client(endpoint) as client:
        assert (await client.translate(a_large_upload(8), ASK)).body == b"WEBVTT"
    assert endpoint.requests[0].whole


# Connections that break


async def test_nothing_listens(endpoint: LocalEndpoint) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with a_client(endpoint, base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1") as client:
            fault = await the_fault(client)
    assert (fault.scope, fault.code) == (Scope.ENDPOINT, "connection_refused")


async def test_a_host_that_does_not_exist(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint, base_url="https://nowhere.invalid/v1") as client:
        fault = await the_fault(client)
    assert (fault.scope, fault.code) == (Scope.ENDPOINT, "name_not_found")


async def test_a_host_whose_name_cannot_be_one(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint, base_url=f"https://{'a' * 70}.invalid/v1") as client:
        fault = await the_fault(client)
    assert fault.scope is Scope.ENDPOINT


async def test_tls_to_a_plain_port(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint, base_url=endpoint.base_url.replace("http:", "https:")) as client:
        fault = await the_fault(client)
    assert (fault.scope, fault.code) == (Scope.ENDPOINT, "tls_failed")


async def test_a_certificate_nobody_vouches_for(tls_endpoint: LocalEndpoint) -> None:
    async with a_client(tls_endpoint, ca_file=None) as client:
        fault = await the_fault(client)
    assert (fault.scope, fault.code) == (Scope.ENDPOINT, "tls_failed")
    assert "certificate" in fault.message


async def test_a_certificate_that_ca_file_vouches_for(tls_endpoint: LocalEndpoint) -> None:
    async with a_client(tls_endpoint, ca_file=CERTIFICATE) as client:
        await client.translate(a_large_upload(4), ASK)
        await client.translate(an_upload(), ASK)
    assert [request.connection for request in tls_endpoint.requests] == [1, 1]


async def test_through_tls_too_an_answer_of_no_stated_length_ends_with_the_connection(
    tls_endpoint: LocalEndpoint,
) -> None:
    tls_endpoint.script(Raw(data=b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nWEBVTT"))
    async with a_client(tls_endpoint) as client:
        assert (await client.translate(an_upload(), ASK)).body == b"WEBVTT"


async def test_a_ca_file_without_certificates(tls_endpoint: LocalEndpoint, tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("no certificate here\n")
    async with a_client(tls_endpoint, ca_file=empty) as client:
        fault = await the_fault(client)
    assert (fault.code, fault.remedy) == ("ca_file_unusable", Remedy.CONFIGURE)
    assert str(empty) in fault.message


@pytest.mark.parametrize("behaviour", [HangUp(), HangUp(reset=True), HangUp(after=1000, reset=True)])
async def test_a_new_connection_that_breaks_without_an_answer_is_reported(
    endpoint: LocalEndpoint, behaviour: HangUp
) -> None:
    endpoint.script(behaviour)
    async with a_client(endpoint) as client:
        fault = await the_fault(client, a_large_upload(2))
    assert (fault.scope, fault.code, fault.remedy) == (Scope.FILE, "connection_lost", Remedy.RETRY)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("reset", [False, True])
async def test_an_answer_that_breaks_off_is_no_answer(endpoint: LocalEndpoint, *, reset: bool) -> None:
    endpoint.script(Respond(cut=40, reset=reset))
    async with a_client(endpoint) as client:
        fault = await the_fault(client)
    assert (fault.scope, fault.code) == (Scope.FILE, "connection_lost")


async def test_an_answer_that_is_not_http(endpoint: LocalEndpoint) -> None:
    endpoint.script(Raw(data=b"SSH-2.0-OpenSSH_9.2\r\n"))
    async with a_client(endpoint) as client:
        assert (await the_fault(client)).code == "connection_lost"


async def test_a_server_that_never_answers_is_given_up_after_the_read_timeout(
    endpoint: LocalEndpoint,
) -> None:
    endpoint.script(Respond(hold=True))
    async with a_client(endpoint, timeout=Timeout(connect=5, read=0.2)) as client:
        fault = await the_fault(client)
    assert (fault.scope, fault.code) == (Scope.FILE, "read_timeout")
    await eventually(lambda: endpoint.connections == 0)


async def test_an_answer_that_drips_without_end_is_given_up(endpoint: LocalEndpoint) -> None:
    endpoint.script(Respond(body=b"x" * 10_000, drip=0.05))
    async with a_client(endpoint, timeout=Timeout(connect=5, read=0.5)) as client:
        fault = await the_fault(client)
    assert fault.code == "read_timeout"


# The kept connection


async def test_requests_in_a_row_share_a_connection(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint) as client:
        for _ in range(3):
            await client.translate(an_upload(), ASK)
    assert [request.connection for request in endpoint.requests] == [1, 1, 1]


@pytest.mark.parametrize("behaviour", [HangUp(), HangUp(reset=True), HangUp(after=1000, reset=True)])
async def test_a_kept_connection_that_turns_out_dead_is_replaced_once(
    endpoint: LocalEndpoint, behaviour: HangUp
) -> None:
    async with a_client(endpoint) as client:
        await client.translate(an_upload(), ASK)
        endpoint.script(behaviour)
        content = flac(3 * MIB)
        answer = await client.translate(an_upload(content), ASK)
    assert f"This file has {3 * MIB} bytes.".encode() in answer.body
    assert [request.connection for request in endpoint.requests] == [1, 1, 2]
    assert [request.answered for request in endpoint.requests] == [200, None, 200]


async def test_a_dead_connection_is_replaced_only_once(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint) as client:
        await client.translate(an_upload(), ASK)
        endpoint.always(HangUp(reset=True))
        fault = await the_fault(client)
    assert fault.code == "connection_lost"
    assert [request.connection for request in endpoint.requests] == [1, 1, 2]


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\n", b"HT"])
async def test_a_kept_connection_that_breaks_after_a_byte_is_not_replaced(
    endpoint: LocalEndpoint, data: bytes
) -> None:
    async with a_client(endpoint) as client:
        await client.translate(an_upload(), ASK)
        endpoint.script(Raw(data=data))
        assert (await the_fault(client)).code == "connection_lost"
    assert len(endpoint.requests) == 2


async def test_a_kept_connection_that_times_out_is_not_replaced(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint, timeout=Timeout(connect=5, read=1)) as client:
        await client.translate(an_upload(), ASK)
        endpoint.script(Respond(hold=True))
        assert (await the_fault(client)).code == "read_timeout"
    await eventually(lambda: endpoint.connections == 0)
    assert len(endpoint.requests) == 2


async def test_a_connection_that_was_idle_too_long_is_not_used_again(
    endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcherd.endpoint.wire.KEEP_ALIVE", 0.0)
    async with a_client(endpoint) as client:
        await client.translate(an_upload(), ASK)
        await client.translate(an_upload(), ASK)
    assert [request.connection for request in endpoint.requests] == [1, 2]


async def test_what_a_server_says_on_an_idle_connection_is_no_answer(endpoint: LocalEndpoint) -> None:
    idle, served = asyncio.Event(), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nWEBVTT")
        await idle.wait()
        if served == 1:
            writer.write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, a_client(endpoint, base_url=f"http://127.0.0.1:{port}/v1") as client:
        await client.translate(an_upload(), ASK)
        idle.set()
        await eventually(lambda: "ESTABLISHED" not in our_connections(port))
        assert (await client.translate(an_upload(), ASK)).body == b"WEBVTT"
    assert served == 2


async def test_a_connection_is_probed_while_the_server_is_silent(endpoint: LocalEndpoint) -> None:
    keep_alive_timer = "02"
    async with a_client(endpoint) as client:
        await client.translate(an_upload(), ASK)
        rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()]
    ours = [row for row in rows if row[2] == f"0100007F:{endpoint.port:04X}" and row[3] == "01"]
    assert [row[5].split(":")[0] for row in ours] == [keep_alive_timer]


async def test_a_client_goes_on_after_every_kind_of_failure(endpoint: LocalEndpoint) -> None:
    failures = (Respond(status=500), Respond(cut=5), Raw(data=b"?"), Respond(status=413, after=10))
    async with a_client(endpoint) as client:
        for failure in failures:
            endpoint.script(failure)
            await the_fault(client, an_upload(flac(2 * MIB)))
            await client.translate(an_upload(), ASK)
    assert [request.answered for request in endpoint.requests].count(200) == len(failures) + 1


# Cancelling and closing


async def test_cancelling_while_waiting_closes_the_connection(endpoint: LocalEndpoint) -> None:
    endpoint.script(Respond(hold=True))
    async with a_client(endpoint) as client:
        waiting = asyncio.create_task(client.translate(an_upload(), ASK))
        await eventually(lambda: endpoint.held == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await eventually(lambda: endpoint.connections == 0)
        await client.translate(an_upload(), ASK)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelling_an_upload_lets_go_of_file_and_connection(endpoint: LocalEndpoint) -> None:
    let_go = asyncio.Event()

    async def blocks() -> AsyncIterator[bytes]:
        try:
            yield flac(MIB)
            await asyncio.Event().wait()
        finally:
            let_go.set()

    upload = Upload(name="audio.flac", content_type="audio/flac", size=2 * MIB, blocks=blocks)
    async with a_client(endpoint) as client:
        sending = asyncio.create_task(client.translate(upload, ASK))
        await eventually(lambda: endpoint.in_flight == 1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert let_go.is_set()
        await eventually(lambda: endpoint.connections == 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_upload_that_the_server_cuts_off_lets_go_of_the_file(endpoint: LocalEndpoint) -> None:
    let_go = False

    async def blocks() -> AsyncIterator[bytes]:
        nonlocal let_go
        try:
            for _ in range(40):
                yield flac(MIB)
        finally:
            let_go = True

    endpoint.script(Respond(status=413, after=1000))
    upload = Upload(name="audio.flac", content_type="audio/flac", size=40 * MIB, blocks=blocks)
    async with a_client(endpoint) as client:
        await the_fault(client, upload)
        assert let_go


async def test_closing_closes_the_connection(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint) as client:
        await client.translate(an_upload(), ASK)
        assert endpoint.connections == 1
    await eventually(lambda: endpoint.connections == 0)


# Secrets, and another transport


async def test_the_key_stands_in_no_text(endpoint: LocalEndpoint) -> None:
    endpoint.always(lambda request: error(400, f"you sent {request.headers['authorization']}"))
    headers = {"api-key": SecretStr("azure-0123456789abcdef")}
    async with a_client(endpoint, headers=headers) as client:
        with pytest.raises(FaultError) as raised:
            await client.translate(an_upload(), ASK)
        texts = [repr(client), repr(raised.value), str(raised.value), repr(raised.value.fault)]
        endpoint.always(HangUp())
        with pytest.raises(FaultError) as lost:
            await client.translate(an_upload(), ASK)
        texts += [str(lost.value), repr(lost.value.fault), repr(lost.value.__cause__)]
    assert endpoint.requests[0].answered == 400
    assert not [text for text in texts if endpoint.key in text or "azure-0123" in text]


async def test_the_query_of_the_address_is_sent_and_not_shown() -> None:
    path = "audio/translations?token=abcdef"
    with LocalEndpoint(path=path) as endpoint:
        endpoint.script(Respond(status=503))
        async with a_client(endpoint, path=path) as client:
            fault = await the_fault(client)
    assert fault.status == 503
    assert "abcdef" not in repr(fault)


async def test_an_answer_does_not_show_its_body(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint) as client:
        answer = await client.translate(an_upload(), ASK)
    assert "bytes" not in repr(answer)


async def test_another_transport_takes_the_place_of_the_network(endpoint: LocalEndpoint) -> None:
    async def handle(request: httpx.Request) -> httpx.Response:
        sent = await request.aread()
        return httpx.Response(200, content=str(len(sent)).encode())

    client = Client(endpoint.settings(), transport=httpx.MockTransport(handle))
    answer = await client.translate(an_upload(), ASK)
    await client.close()
    assert int(answer.body) > 1000
    assert not endpoint.requests


# Models


async def test_the_models_are_listed() -> None:
    with LocalEndpoint(models=("whisper-1", "whisper-large")) as endpoint:
        async with a_client(endpoint) as client:
            answer = await client.models()
        assert (answer.status, answer.known) == (200, ("whisper-1", "whisper-large"))
        assert not endpoint.requests


@pytest.mark.parametrize(
    ("body", "known"),
    [
        (b'[{"id": "a"}, "b", 3, {"name": "c"}]', ("a", "b")),
        (b'{"data": []}', ()),
        (b'{"data": null}', None),
        (b"fine", None),
        (b"\xff\xfe", None),
    ],
)
async def test_lists_of_models_come_in_several_shapes(
    endpoint: LocalEndpoint, body: bytes, known: tuple[str, ...] | None
) -> None:
    endpoint.models_answer = Respond(body=body)
    async with a_client(endpoint) as client:
        assert (await client.models()).known == known


async def test_a_server_that_lists_no_models_is_none_the_worse(endpoint: LocalEndpoint) -> None:
    endpoint.models_answer = Respond(status=404, body=b"File Not Found (/v1/models)")
    async with a_client(endpoint) as client:
        answer = await client.models()
    assert (answer.status, answer.known) == (404, None)


async def test_asking_for_models_with_a_wrong_key_is_refused(endpoint: LocalEndpoint) -> None:
    async with a_client(endpoint, api_key=None) as client:
        with pytest.raises(FaultError) as raised:
            await client.models()
    assert raised.value.fault.code == "key_refused"


async def test_a_web_page_instead_of_models_says_that_the_address_is_wrong(endpoint: LocalEndpoint) -> None:
    endpoint.models_answer = Respond(body=b"<!doctype html><title>Console</title>")
    async with a_client(endpoint) as client:
        with pytest.raises(FaultError) as raised:
            await client.models()
    assert raised.value.fault.code == "web_page"
