"""The control socket: a state folder in, a bound socket that only its owner can use out. Rim."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

from watcherd.escaping import escaped
from watcherd.state import StateFolder

LONGEST = 107  # bytes; the system's field for a socket's path has 108, with a zero at the end
BACKLOG = 64


class ControlSocketError(Exception):
    """The control socket cannot be made where it belongs; the text says why and what to do."""


def listen(state: StateFolder, environ: Mapping[str, str]) -> tuple[socket.socket, Path]:
    """Bind the control socket of the daemon that holds the state folder; raises ControlSocketError.

    It belongs into the service's runtime folder, else into the state folder. One that a dead daemon left is
    replaced: whoever holds the state folder owns it. Another daemon may share a runtime folder, though.
    """
    path = state.path / "control.sock"
    runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime and not _is_alive(Path(runtime) / "watcherd.sock"):
        path = Path(runtime) / "watcherd.sock"
    shown = escaped(os.fsencode(path))
    if len(os.fsencode(path)) > LONGEST:
        raise ControlSocketError(
            f"the control socket's path has {len(os.fsencode(path))} bytes, and the system allows {LONGEST}:"
            f" {shown}; set `state:` to a folder with a shorter path"
        )
    try:
        return _bound(path), path
    except OSError as error:
        raise ControlSocketError(
            f"cannot make the control socket {shown}: {error.strerror or error}; look at the rights of its"
            " folder, and at what stands there"
        ) from None


def _bound(path: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)  # no other thread runs yet that could make files meanwhile
    try:
        listener.bind(os.fspath(path))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def _is_alive(path: Path) -> bool:
    """Whether somebody listens there; an answer is not waited for."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:  # its queue is full
            return True
        except OSError:
            return False
        return True
