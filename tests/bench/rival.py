"""The peer as the benches start it: a folder and an endpoint in, the seconds that it takes for a file out.

    with Rival(home, endpoint.base_url) as rival:  # is watching now
        rival.translate(file)  # moves the file in, and waits until it is done

What it warns of is not shown: the `openai` package says that translations are deprecated, and no more.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.endpoint import KEY
from tests.bench.peer import FORMATS

_LOOK = 0.005  # seconds between two looks at the done folder


class Rival:
    """`tests.bench.peer` over `home`/peer-inbox and peer-done."""

    def __init__(self, home: Path, base_url: str) -> None:
        self.inbox, self.target = home / "peer-inbox", home / "peer-done"
        self._base_url = base_url

    def __enter__(self) -> Self:
        for path in (self.inbox, self.target):
            path.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "tests.bench.peer",
                self.inbox,
                self.target,
                self._base_url,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "OPENAI_API_KEY": KEY},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"watching\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)

    def translate(self, file: Path, *, timeout: float = 300) -> float:
        """Rename a file into the inbox; the seconds until it is in the done folder, beside its sidecars."""
        moved = self.target / file.name
        began = time.monotonic()
        file.rename(self.inbox / file.name)
        while not moved.exists():
            assert self.process.poll() is None, "the peer ended"
            assert time.monotonic() < began + timeout, f"the peer has not done {file.name}"
            time.sleep(_LOOK)
        taken = time.monotonic() - began
        for _, suffix in FORMATS:
            assert moved.with_suffix(suffix).stat().st_size, f"no {suffix}"
        return taken
