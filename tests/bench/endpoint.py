"""The benches' endpoint as they use it: started by `with`, asked for what it has seen, ended by its end."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from tests.bench.server import Seen

KEY = "sk-bench-0123456789"  # the server takes any


class BenchEndpoint:
    """`tests.bench.server`, which answers `delay` seconds after an upload's last byte."""

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay
        self.base_url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.server", str(self._delay)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.base_url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/v1"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)

    def seen(self) -> Sequence[Seen]:
        """Every upload that was answered, in that order."""
        with urllib.request.urlopen(f"{self.base_url.removesuffix('/v1')}/seen", timeout=60) as answer:
            return [Seen(**one) for one in json.load(answer)]

    def settings(self, **keys: Any) -> dict[str, Any]:  # noqa: ANN401 - any key of an endpoint
        """What a configuration has under `endpoints` for it."""
        here = {"base_url": self.base_url, "api_key": {"env": "TEST_KEY"}, "model": "whisper-1"}
        return {"here": here | keys}
