"""The tests' translation endpoint: a real HTTP server that insists on the contract and misbehaves on demand.

    with LocalEndpoint() as endpoint:
        endpoint.script(Respond(status=503), times=2)     # the next two requests; then back to normal
        ...                                               # point a client at endpoint.base_url, endpoint.key
        assert [request.answered for request in endpoint.requests] == [503, 503, 200]
        assert not endpoint.violations

It runs in a thread of its own with its own event loop, and speaks HTTP/1.1 by hand, so that it can break it.
A request that breaks the contract is answered 400 and noted in `violations`; a wrong key is answered 401.
Everything public may be called from the test's thread.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from tests.servers.answer import Answer, HungUpError
from tests.servers.behaviour import Behaviour, Choice, HangUp, Raw, Request, Respond, error
from tests.servers.contract import FIELDS, KEPT, Form, head_violations
from tests.servers.speech import translation
from tests.waiting import wait_until
from watcherd.config.model import Endpoint

__all__ = [
    "CERTIFICATE",
    "Behaviour",
    "Choice",
    "HangUp",
    "LocalEndpoint",
    "Raw",
    "Request",
    "Respond",
    "error",
]

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Certificate and key of the endpoint's TLS: self-signed for 127.0.0.1, for tests alone."""

_BLOCK = 256 * 1024


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    target: str
    headers: Mapping[str, str]


class LocalEndpoint:
    """A translation endpoint on 127.0.0.1 with a port of its own, or the one given; started by `with`.

    `key` is the one Bearer key it takes; `extra_fields` are form fields allowed beside the contract's;
    `models` is what `GET /v1/models` lists. A choice is shown up to `kept` bytes of the file.
    """

    def __init__(
        self,
        *,
        key: str = "sk-local-endpoint-0123456789",
        path: str = "audio/translations",
        extra_fields: Collection[str] = (),
        models: Collection[str] = ("whisper-1",),
        tls: bool = False,
        port: int = 0,
        kept: int = KEPT,
    ) -> None:
        self.key = key
        self.models_answer: Behaviour | None = None
        self.port = 0
        self._fixed_port = port
        self.max_in_flight = self.in_flight = 0
        self._route = f"/v1/{path}"
        self.kept = kept
        self._allowed = FIELDS | set(extra_fields)
        self._models = tuple(models)
        self._tls = tls
        self._scripted: deque[Behaviour | Choice] = deque()
        self._default: Behaviour | Choice = Respond()
        self._requests: list[Request] = []
        self._violations: list[str] = []
        self._bugs: list[BaseException] = []
        self._numbers = itertools.count(1)
        self._exchanges: set[asyncio.Task[None]] = set()
        self._accepted: set[int] = set()  # the peers' ports
        self._held: deque[asyncio.Future[None]] = deque()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="local-endpoint", daemon=True)

    # What a test says and sees

    @property
    def base_url(self) -> str:
        """What goes into a configuration's `base_url`."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request to the translation route that was answered or has broken off, in that order."""
        return tuple(self._requests)

    @property
    def violations(self) -> tuple[str, ...]:
        """What requests did against the contract, one sentence each."""
        return tuple(self._violations)

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._exchanges)

    def catch_up(self) -> None:
        """Wait until each connection that was made by now has been accepted; they come in order."""
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            wait_until(lambda: last.getsockname()[1] in self._accepted)

    @property
    def held(self) -> int:
        """How many requests wait for `release()` now."""
        return len(self._held)

    def settings(self, **changes: Any) -> Endpoint:  # noqa: ANN401 - any key of an endpoint
        """Make the configuration value of an endpoint that points here; `changes` are keys of it."""
        here: dict[str, Any] = {
            "name": "local-http",
            "base_url": self.base_url,
            "api_key": SecretStr(self.key),
            "model": "whisper-1",
            "ca_file": CERTIFICATE if self._tls else None,
        }
        return Endpoint(**here | changes)

    def script(self, behaviour: Behaviour | Choice, *, times: int = 1) -> None:
        """Queue a behaviour for the next request (or the next few) that has none yet."""
        self._scripted.extend([behaviour] * times)

    def always(self, behaviour: Behaviour | Choice) -> None:
        """What to do once the script is used up; a translation, unless told otherwise."""
        self._default = behaviour

    def release(self, count: int | None = None) -> None:
        """Let the requests go that are held now: all, or the `count` that have waited longest."""
        self._loop.call_soon_threadsafe(self._release, count)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        assert self.port, "the local endpoint did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the local endpoint did not stop"
        if self._bugs and raised is None:
            raise self._bugs[0]

    # The server's thread

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        context = None
        if self._tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(CERTIFICATE)
        port = self._fixed_port
        server = await asyncio.start_server(self._connected, "127.0.0.1", port, limit=_BLOCK, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        await self._stop_accepting(server)
        await _end_all_tasks()
        await server.wait_closed()

    async def _stop_accepting(self, server: asyncio.Server) -> None:
        """Close the server once nothing is half accepted; asyncio would leave that socket open (3.11)."""
        for listening in server.sockets:
            self._loop.remove_reader(listening)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        server.close()

    def _release(self, count: int | None) -> None:
        for _ in range(len(self._held) if count is None else count):
            if self._held and not (held := self._held.popleft()).done():
                held.set_result(None)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted.add(writer.get_extra_info("peername")[1])
        exchange = asyncio.create_task(self._connection(next(self._numbers), reader, writer))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanges.discard)

    async def _connection(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.transport.set_write_buffer_limits(
            1
        )  # drain() then means sent; with 0, TLS never drains (3.11)
        try:
            while True:
                await self._exchange(number, reader, writer)
        except (HungUpError, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except Exception as bug:  # noqa: BLE001 - a task's outermost frame; __exit__ raises it in the test
            self._bugs.append(bug)
        finally:
            writer.transport.abort()

    async def _exchange(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await _read_head(reader, writer)
        if head.method == "GET" and head.target == "/v1/models":
            await self._answer_models(head, reader, writer)
        elif head.method == "POST" and head.target == self._route:
            await _Translation(self, number, head, reader, writer).run()
        else:
            message = f"Invalid URL ({head.method} {head.target})"
            await Answer(reader, writer).send(replace(error(404, message), close=True))

    async def _answer_models(
        self, head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in self._models]}
        behaviour = self.models_answer or Respond(body=json.dumps(listed).encode())
        await self.perform(self.key_refused(head.headers) or behaviour, Answer(reader, writer))

    # What an exchange asks of the endpoint

    def key_refused(self, headers: Mapping[str, str]) -> Respond | None:
        """The answer to a wrong key, None for the right one."""
        if headers.get("authorization") == f"Bearer {self.key}":
            return None
        return error(401, "Incorrect API key provided.", code="invalid_api_key")

    def next_behaviour(self) -> Behaviour | Choice:
        """What is to be done with the request whose head has just arrived."""
        return self._scripted.popleft() if self._scripted else self._default

    def begin(self) -> None:
        """One more request is in flight."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def end(self, request: Request) -> None:
        """A request is over."""
        self.in_flight -= 1
        self._requests.append(request)

    def judge(self, headers: Mapping[str, str], form: Form) -> Respond | None:
        """The answer to a request that breaks the contract, None for one that keeps it."""
        found = head_violations(headers) + form.violations(allowed=self._allowed)
        self._violations.extend(found)
        return replace(error(400, "; ".join(found)), close=True) if found else None

    async def perform(self, behaviour: Behaviour, answer: Answer) -> None:
        """Carry out a behaviour; raises HungUpError where it ends the connection."""
        match behaviour:
            case HangUp():
                answer.hang_up(reset=behaviour.reset)
            case Raw():
                await answer.send_raw(behaviour.data)
            case Respond():
                if behaviour.hold:
                    held = self._loop.create_future()
                    self._held.append(held)
                    try:
                        await answer.wait(held)
                    finally:
                        if held in self._held:
                            self._held.remove(held)
                if behaviour.delay and behaviour.after is None:
                    await answer.wait(asyncio.sleep(behaviour.delay))
                elif (
                    behaviour.delay
                ):  # the client is still sending, so nothing can be told from what it sends
                    await asyncio.sleep(behaviour.delay)
                await answer.send(behaviour)


class _Translation:
    """One request to the translation route."""

    def __init__(
        self,
        endpoint: LocalEndpoint,
        connection: int,
        head: _Head,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._endpoint = endpoint
        self._connection = connection
        self._headers = head.headers
        self._reader = reader
        self._answer = Answer(reader, writer, self._record)
        self._recorded = False
        self._form = Form(head.headers.get("content-type", ""), kept=endpoint.kept)
        self._promised = int(head.headers.get("content-length", "0"))
        self._arrived = 0
        self._started = time.monotonic()

    async def run(self) -> None:
        self._endpoint.begin()
        try:
            await self._translate()
        finally:
            self._record(None)

    async def _translate(self) -> None:
        behaviour = self._endpoint.next_behaviour()
        if isinstance(behaviour, Raw) and behaviour.interim:
            await self._answer.write(behaviour.interim)
        after = None if callable(behaviour) else behaviour.after
        await self._read_body(self._promised if after is None else min(after, self._promised))
        if after is None:
            refusal = self._endpoint.key_refused(self._headers)
            refusal = refusal or self._endpoint.judge(self._headers, self._form)
            behaviour = refusal or (behaviour(self._request(None)) if callable(behaviour) else behaviour)
        assert not callable(behaviour)
        await self._endpoint.perform(self._filled(behaviour), self._answer)

    async def _read_body(self, size: int) -> None:
        while self._arrived < size:
            data = await self._reader.read(min(_BLOCK, size - self._arrived))
            if not data:
                raise HungUpError
            self._arrived += len(data)
            self._form.feed(data)

    def _filled(self, behaviour: Behaviour) -> Behaviour:
        """Give an answer that has no body the one that belongs to it."""
        if not isinstance(behaviour, Respond) or behaviour.body is not None:
            return behaviour
        if behaviour.status != HTTPStatus.OK:
            filled = error(behaviour.status, f"The local endpoint was told to answer {behaviour.status}.")
            return replace(behaviour, body=filled.body)
        asked = self._form.fields.get("response_format", "json")
        content_type, body = translation(asked, size=self._form.size, sha256=self._form.sha256)
        return replace(behaviour, body=body, headers={"content-type": content_type, **behaviour.headers})

    def _record(self, answered: int | None) -> None:
        """Note the request; before its answer is sent, so that whoever has the answer finds it noted."""
        if not self._recorded:
            self._recorded = True
            request = self._request(answered)
            self._endpoint.end(replace(request, head=request.head[:KEPT]))

    def _request(self, answered: int | None) -> Request:
        form = self._form
        return Request(
            fields=dict(form.fields),
            headers=dict(self._headers),
            filename=form.filename,
            content_type=form.content_type,
            size=form.size,
            sha256=form.sha256,
            head=form.head,
            body_size=self._promised,
            whole=form.whole and self._arrived == self._promised,
            started=self._started,
            ended=time.monotonic(),
            answered=answered,
            connection=self._connection,
        )


async def _end_all_tasks() -> None:
    """End whatever serves connections, and let their sockets close."""
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for _ in range(5):
        await asyncio.sleep(0)


async def _read_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Head:
    start = await reader.readexactly(1)
    if not start.isalpha():  # TLS, say
        writer.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        raise HungUpError
    head = (start + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.split(":", 1) for line in lines)
    return _Head(method, target, {name.lower(): value.strip() for name, value in pairs})
