"""Killed by the kernel just before a system call of a delivery: between any two of its steps on the disk.

`strace` runs the daemon and sends SIGKILL when the call comes up for the n-th time, so the call is not made.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.audio import need_tools
from tests.reliability.round import Call, Round
from tests.reliability.stops import needs_memory
from tests.servers.endpoint import LocalEndpoint


def can_trace() -> bool:
    """Whether there is an strace that may trace here."""
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-o", "/dev/null", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = [need_tools, pytest.mark.skipif(not can_trace(), reason="needs strace, and the right to trace")]

CALLS = {
    "before the first and the second sidecar": (Call("renameat2", 1), Call("renameat2", 2)),
    "before the third sidecar and the original": (Call("renameat2", 3), Call("renameat2", 4)),
    "before a temporary file, and with all in place": (Call("unlinkat", 2), Call("unlinkat", 5)),
}
ACROSS = {
    "before the copy and its publishing": (Call("renameat2", 4), Call("renameat2", 5)),
    "with the copy in place": (Call("renameat", 1), Call("unlinkat", 7)),
}


@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS)
def test_a_kill_before_each_change_of_a_delivery_loses_nothing(
    tmp_path: Path, endpoint: LocalEndpoint, calls: tuple[Call, ...]
) -> None:
    killed_before(tmp_path, endpoint, calls, other_device=False)


@needs_memory
@pytest.mark.parametrize("calls", ACROSS.values(), ids=ACROSS)
def test_a_kill_before_each_change_of_a_delivery_to_another_device_loses_nothing(
    tmp_path: Path, endpoint: LocalEndpoint, calls: tuple[Call, ...]
) -> None:
    killed_before(tmp_path, endpoint, calls, other_device=True)


def killed_before(
    home: Path, endpoint: LocalEndpoint, calls: tuple[Call, ...], *, other_device: bool
) -> None:
    """One round with a kill before each of these calls, and none of a daemon that was idle."""
    with Round(home / "round", endpoint, seed=calls[0].nth, other_device=other_device) as one:
        for call in calls:
            one.stop_at(call)
        tally = one.finish()
    print(f"\n{tally}")
    assert not tally.idle, "a call was never made"
