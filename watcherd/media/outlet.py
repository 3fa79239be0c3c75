"""Outlet: the worker's end of the socket over which parts leave while later ones are made. In the child only.

{"silences": […]}                                                       still at work
{"part": index, "stretch": …, "bytes": …, "silent": …, "open": …}       a part, its file beside it

Silences are sent as they end, each once; "open" is one that is still going on, or null. A byte comes back for
each part that has been taken: with as many parts untaken as are wanted, the worker waits.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from contextlib import suppress
from dataclasses import astuple

from watcherd.media.levels import Levels
from watcherd.media.making import Finished

_A_SECOND = 1.0  # between two signs of life
_SILENCES_AT_ONCE = 2000  # a message has to fit into the socket's buffer
_NAP = 5.0  # seconds; a worker that never runs is taken to wait for a dead disk


class Outlet:
    """Sends parts, silences and signs of life; `fd` is the socket, `wanted` how many parts may be untaken."""

    def __init__(self, fd: int, *, wanted: int) -> None:
        self._link = socket.socket(fileno=os.dup(fd))
        self._wanted = wanted
        self._silences = 0  # how many have been sent
        self._sent_at = 0.0
        self.waited = 0.0  # seconds for parts to be taken

    def close(self) -> None:
        """Hang up."""
        self._link.close()

    def send(self, finished: Finished, levels: Levels) -> None:
        """Send a part; its descriptor is copied."""
        self._catch_up(levels)
        message = {
            "part": finished.index,
            "stretch": astuple(finished.stretch),
            "bytes": finished.bytes,
            "silent": finished.silent,
            "open": levels.going_on,
        }
        socket.send_fds(self._link, [json.dumps(message).encode()], [finished.fd])
        self._wanted -= 1

    def tell(self, levels: Levels) -> None:
        """Give a sign of life, with the silences that have ended, if the last was a second ago."""
        now = time.monotonic()
        if now - self._sent_at >= _A_SECOND:
            self._sent_at = now
            with suppress(OSError):  # told from inside FFmpeg; who is gone will be missed elsewhere
                self._send_silences(levels)
                self._catch_up(levels)

    def conclude(self, levels: Levels) -> None:
        """Send the silences that are left."""
        self._catch_up(levels)

    def wait(self) -> None:
        """Wait until a part may be made. Raises ConnectionError when nobody is there to take it."""
        while self._wanted <= 0:
            began = time.monotonic()
            if select.select([self._link], [], [], _NAP)[0]:
                taken = self._link.recv(1)
                if not taken:
                    raise ConnectionError("nobody takes the parts")
                self._wanted += 1
            self.waited += time.monotonic() - began

    def _catch_up(self, levels: Levels) -> None:
        while len(levels.ended) > self._silences:
            self._send_silences(levels)

    def _send_silences(self, levels: Levels) -> None:
        silences = levels.ended[self._silences : self._silences + _SILENCES_AT_ONCE]
        self._silences += len(silences)
        self._link.send(json.dumps({"silences": silences}).encode())
