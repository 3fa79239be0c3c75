"""A real receiver of webhooks that keeps what it got, answers as it is told, and may be down for a while."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import socket
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

SECRET = "fake-secret-of-a-webhook"


@dataclass(frozen=True)
class Received:
    """One request: its headers, its body as it came, and what it was answered."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int

    @property
    def letter(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def is_signed(self) -> bool:
        """Whether the signature is right, worked out as the README tells receivers to."""
        signed = self.headers["X-Watcherd-Timestamp"].encode() + b"." + self.body
        expected = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        return hmac.compare_digest(self.headers.get("X-Watcherd-Signature", ""), expected)


class Receiver:
    """`answers` are the next statuses (a Location for 3xx), 204 after them; None never answers.

    With `drips` the words of an answer come one byte at a time, and never end.
    """

    def __init__(self) -> None:
        self.drips = False
        self.received: list[Received] = []
        self.answers: deque[int | None] = deque()
        self.release = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=fake-token-in-the-address"

    @property
    def told(self) -> list[str]:
        """The names of the events that were answered well, in the order in which they came."""
        return [one.headers["X-Watcherd-Event"] for one in self.received if one.status == 204]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.release.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                if len(body) < length:  # who sent it has died
                    return
                answer = receiver.answers.popleft() if receiver.answers else 204
                receiver.received.append(Received(self.path, dict(self.headers), body, answer or 0))
                if answer is None:
                    receiver.release.wait(60)
                    self.close_connection = True
                    return
                self.send_response(answer)
                if 300 <= answer < 400:
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                said = b"" if answer == 204 else b"the receiver says no"
                self.send_header("Content-Length", "8000" if receiver.drips else str(len(said)))
                self.send_header("Set-Cookie", "a=b")
                self.end_headers()
                if not receiver.drips:
                    self.wfile.write(said)
                with contextlib.suppress(OSError):
                    while receiver.drips and not receiver.release.wait(0.02):
                        self.wfile.write(b".")

            def log_message(self, *_: object) -> None:
                pass

        return Handler
