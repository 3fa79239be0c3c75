"""A mount whose server hangs or errs on demand: a folder and a place in, files that stop answering out.

with FuseMount(tmp_path / "backing", tmp_path / "inbox") as mount:
    mount.freeze()          # every access now waits ...
    mount.thaw()            # ... until here
    mount.fail(READ=EIO)    # every read is answered with an error, until `mount.heal()`
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.waiting import wait_until

needs_fuse = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/fuse"), reason="only root can mount, and it takes /dev/fuse"
)


class FuseMount:
    """`backing` as seen through a server of our own. At the end nothing is left: no process, no mount."""

    def __init__(self, backing: Path, at: Path) -> None:
        self.backing = backing
        self.at = at
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.backing.mkdir(exist_ok=True)
        self.at.mkdir(exist_ok=True)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.fuse_server", self.backing, self.at],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._hear()
            first = self.at / "first"
            first.touch()  # closing it teaches the kernel that nothing here needs to be flushed
            first.unlink()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def freeze(self) -> None:
        """Stop the server: from now on every access waits."""
        self._tell({"do": "freeze"})
        self.wait_frozen()

    def freeze_after(self, call: str, count: int = 1) -> None:
        """Let the server stop once it has answered so many such calls; see `wait_frozen`."""
        self._tell({"do": "freeze_after", "call": call, "count": count})

    def wait_frozen(self) -> None:
        """Wait until the server has stopped."""
        wait_until(lambda: self._state() == "T", timeout=30)

    def thaw(self) -> None:
        """Let the server go on."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def fail(self, **errors: int) -> None:
        """Answer calls with an error number, by the calls' names; without any, all work again."""
        self._tell({"do": "fail", "errors": errors})

    def heal(self) -> None:
        """Answer everything as it is."""
        self.fail()

    def close(self) -> None:
        """Kill the server, stopped or not, which ends every wait for it, and take the mount away."""
        server, self._server = self._server, None
        if server is None:
            return
        server.kill()
        server.wait()
        for pipe in (server.stdin, server.stdout):
            assert pipe is not None
            pipe.close()
        subprocess.run(["umount", "--lazy", self.at], check=False, capture_output=True)

    def _tell(self, command: dict[str, object]) -> None:
        assert self._server is not None
        assert self._server.stdin is not None
        print(json.dumps(command), file=self._server.stdin, flush=True)
        self._hear()

    def _hear(self) -> None:
        assert self._server is not None
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "ok\n", "the file system's server has ended"

    def _state(self) -> str:
        assert self._server is not None
        return Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()[0]
