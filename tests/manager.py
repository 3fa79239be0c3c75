"""A service manager for tests: a datagram socket to be told things by, in the environment of who tells."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from types import TracebackType
from typing import Self


class Manager:
    """What systemd would hear. `address` is what $NOTIFY_SOCKET holds; a leading @ means abstract."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.messages: list[list[str]] = []
        """The lines of each datagram so far; `hear` takes in more."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        name = self.address
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self._socket.setblocking(False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @classmethod
    def at(cls, home: Path) -> Self:
        """One below a folder."""
        return cls(str(home / "notify"))

    def hear(self) -> list[list[str]]:
        """All messages so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.messages.append(self._socket.recv(4097).decode().split("\n"))
        return self.messages

    def heard(self, line: str) -> int:
        """How many messages so far have this line; one that ends in = stands for every value."""
        return sum(
            any(said == line or (line.endswith("=") and said.startswith(line)) for said in message)
            for message in self.hear()
        )

    @property
    def status(self) -> str:
        """The last STATUS."""
        said = [line for message in self.hear() for line in message if line.startswith("STATUS=")]
        return said[-1].removeprefix("STATUS=") if said else ""
