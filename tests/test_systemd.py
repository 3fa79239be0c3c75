"""sd_notify, spoken to a real datagram socket."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from watcherd.systemd import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_lines_arrive_in_one_datagram(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool
) -> None:
    name = f"@watcherd-test-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name[1:] if abstract else name)
        receiver.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1", "STATUS=watching 2 inboxes")
        assert receiver.recv(4096) == b"READY=1\nSTATUS=watching 2 inboxes"


def test_nothing_happens_without_a_socket_or_without_anyone_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")
