"""The page's address: `status` in, a listening socket out, or why there is none. Rim."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

from watcherd.config.page import StatusPage

BACKLOG = 64
_HINTS = {
    errno.EADDRINUSE: "Another program listens there: end it, or write another port as status.listen.",
    errno.EADDRNOTAVAIL: "This machine has no such address now: look at its network, or at status.listen.",
    errno.EACCES: "Ports below 1024 are not for everybody: write another one as status.listen.",
}


def bind(page: StatusPage) -> socket.socket:
    """Listen; raises OSError."""
    host, port = page.place
    six = ":" in host
    listener = socket.socket(
        socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC
    )
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a restart waits for old clients
        if six:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def url_of(page: StatusPage, port: int | None = None) -> str:
    """What to write into a browser of this machine; `port` where it is known better."""
    host, written = page.place
    address = ip_address(host)
    if address.is_unspecified:
        host = "::1" if address.version == 6 else "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{written if port is None else port}/"


def trouble(page: StatusPage, error: OSError) -> tuple[str, str]:
    """Why nobody can listen there, and what to do."""
    hint = _HINTS.get(error.errno or 0, "Look at status.listen.")
    return f"cannot listen on {page.listen}: {error.strerror or error}", hint
