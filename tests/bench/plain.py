"""The floor in Python: the same uploads by plain httpx, eight at once, and nothing else.

`python -m tests.bench.plain BASE_URL AT_ONCE ANSWERS FILE…` sends each file and writes its answer into
the folder ANSWERS; then it writes to standard output how many seconds that took, without Python's own start.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.bench.endpoint import KEY

FIELDS = {"model": "whisper-1", "response_format": "verbose_json"}


async def _send_all(base_url: str, at_once: int, answers: Path, files: Iterator[Path]) -> None:
    """Send them all by so many tasks, each of which takes the next one that is left."""
    limits = httpx.Limits(max_connections=at_once)
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(limits=limits, headers=headers, timeout=60) as client:

        async def send_some() -> None:
            for path in files:
                with path.open("rb") as file:
                    parts = {"file": (path.name, file, "audio/wav")}
                    answer = await client.post(f"{base_url}/audio/translations", data=FIELDS, files=parts)
                answer.raise_for_status()
                (answers / path.with_suffix(".json").name).write_bytes(answer.content)

        await asyncio.gather(*(send_some() for _ in range(at_once)))


def main(base_url: str, at_once: str, answers: str, *files: str) -> None:
    """Send the files, and say how long it took."""
    began = time.monotonic()
    asyncio.run(_send_all(base_url, int(at_once), Path(answers), map(Path, files)))
    print(time.monotonic() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
