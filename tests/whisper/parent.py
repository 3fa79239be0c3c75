"""A parent for test_transport: starts the embedded endpoint, prints its pid, and lives until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx

from watcherd.config.model import Embedded
from watcherd.whisper.transport import EmbeddedTransport


async def _main() -> None:
    transport = EmbeddedTransport(Embedded(), cache=Path(sys.argv[1]))
    async with httpx.AsyncClient(transport=transport) as client:
        await client.get("http://embedded/v1/models")
        sys.stdout.write(f"child {transport.pid}\n")
        sys.stdout.flush()
        await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(_main())
