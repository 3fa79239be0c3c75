"""What systemd hears of a real daemon, and whether it takes the unit file."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint

UNIT = Path(__file__).parents[2] / "systemd" / "watcherd.service"


def test_ready_reloading_ready_stopping_in_that_order(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        address = tmp_path / "notify"
        systemd.bind(str(address))
        systemd.settimeout(30)
        content = configuration(tmp_path, endpoint=endpoint)
        environ = {"NOTIFY_SOCKET": str(address)}
        with RunningDaemon(tmp_path, content, key=endpoint.key, environ=environ) as daemon:
            assert systemd.recv(4096) == b"READY=1\nSTATUS=watching 1 inboxes"
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGHUP)
            reloading = systemd.recv(4096)
            assert reloading.startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert reloading.rpartition(b"=")[2].isdigit()
            assert systemd.recv(4096).startswith(b"READY=1\n")
            assert daemon.stop() == 0
            assert systemd.recv(4096) == b"STOPPING=1"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here to ask")
def test_systemd_finds_no_fault_with_the_unit_but_that_it_is_not_installed() -> None:
    said = subprocess.run(
        ["systemd-analyze", "verify", UNIT], capture_output=True, text=True, check=False
    ).stderr
    complaints = [line for line in said.splitlines() if "is not executable: No such file" not in line]
    assert not [line for line in complaints if "watcherd" in line]
