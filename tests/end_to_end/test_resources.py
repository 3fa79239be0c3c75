"""What the daemon costs: memory of a large upload, processor time and memory of doing nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint

GIB = 1 << 30
MB = 1_000_000

pytestmark = pytest.mark.slow


def wav_of(size: int, target: Path) -> None:
    """A valid 16-bit WAV header over `size` bytes of silence that take no room on the disk."""
    header = b"RIFF" + (size - 8).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    header += (1).to_bytes(2, "little") * 2 + (16000).to_bytes(4, "little") + (32000).to_bytes(4, "little")
    header += (2).to_bytes(2, "little") + (16).to_bytes(2, "little")
    header += b"data" + (size - 44).to_bytes(4, "little")
    with target.open("wb") as file:
        file.write(header)
        file.truncate(size)


def peak_memory(pid: int) -> int:
    """The process's highest resident memory so far, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def processor_time(process: psutil.Process) -> float:
    """Seconds that it has used so far."""
    times = process.cpu_times()
    return times.user + times.system


def test_a_gibibyte_is_uploaded_in_less_than_100_mb(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    keys = {"upload": "original", "max_upload": "2GiB"}
    content = configuration(tmp_path, endpoint=endpoint, endpoint_keys=keys)
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        wav_of(GIB, daemon.inbox / "large.wav")
        daemon.event("job.done", timeout=300)
        peak = peak_memory(daemon.pid)
    print(f"peak memory of the daemon: {peak / MB:.1f} MB")
    assert endpoint.requests[0].size == GIB
    assert peak < 100 * MB


def test_twenty_thousand_idle_files_cost_next_to_nothing(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    content = configuration(tmp_path, endpoint=endpoint, folder_keys={"rescan": "60s"})
    for number in range(20_000):
        folder = tmp_path / "inbox" / f"{number // 200:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.txt").touch()
    (tmp_path / "done").mkdir()
    (tmp_path / "failed").mkdir()
    daemon = RunningDaemon(tmp_path, content, key=endpoint.key)
    daemon.start()
    daemon.event("inbox.watching")
    daemon.event("inbox.scanned")
    status = (sys.executable, "-m", "watcherd", "status", "--config", str(daemon.config))
    subprocess.run(status, check=True, stdout=subprocess.DEVNULL)  # what serves it is loaded by then
    process = psutil.Process(daemon.pid)
    began, woken = processor_time(process), process.num_ctx_switches().voluntary
    threading.Event().wait(60)  # a minute of doing nothing is what is measured
    used = processor_time(process) - began
    woken = process.num_ctx_switches().voluntary - woken
    resident = process.memory_info().rss
    print(f"60 s idle over 20,000 files: {used:.2f} s of processor time (starting took {began:.2f} s),")
    print(f"woken up {woken} times, {resident / MB:.1f} MB resident")
    assert daemon.stop() == 0
    assert woken < 240, "its loop has a tick a second; an idle minute takes what it takes of slow machines"
    assert used < began / 4
    assert resident < 80 * MB
