"""A daemon for tests of commands that ask one: it holds a state folder and says what it is told to.

with Spokesman(home) as daemon:
    daemon.says(in_flight=[...])
"""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from types import TracebackType
from typing import Any, Self

from watcherd.state import StateFolder

STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "at": "2026-05-01T12:00:00Z",
    "daemon": {"state": "running", "pid": 4711},
    "inboxes": [{"name": "talks", "path": "/t", "endpoint": "api", "state": "watching", "jobs": {"done": 7}}],
    "endpoints": [],
    "in_flight": [],
    "waiting": [],
    "recent": [],
}


class Spokesman:
    """What a running daemon is to a command: a lock on its state folder, and answers."""

    def __init__(self, state: Path) -> None:
        self.asked = 0
        self._status = STATUS
        self._state = StateFolder(state)

    def __enter__(self) -> Self:
        self._state.create()
        self._lock = self._state.lock()
        socket = self._state.path / "control.sock"
        socket.unlink(missing_ok=True)
        self._server = _Server(str(socket), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self._state.announce(control=socket)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
        os.close(self._lock)

    def says(self, **changes: object) -> None:
        """Answer from now on with a status that differs so from the usual one."""
        self._status = STATUS | changes

    def answer(self) -> bytes:
        """The next answer."""
        self.asked += 1
        return json.dumps(self._status | {"at": f"2026-05-01T12:00:{self.asked % 60:02}Z"}).encode()


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    block_on_close = False


def _handler(spokesman: Spokesman) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = spokesman.answer()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def address_string(self) -> str:
            return "a socket"

        def log_message(self, *_: object) -> None:
            """Nothing: the terminal is the test's."""

    return Handler
