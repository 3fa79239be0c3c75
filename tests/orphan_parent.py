"""A parent for tests/test_children.py: keeps a child busy, prints its pid, and lives until it is killed."""

from __future__ import annotations

import asyncio
import sys

from watcherd import children


async def _main() -> None:
    child = await children.start("tests.echo_child", memory=None)
    await child.ask({"do": "echo"}, deadline=30)
    busy = asyncio.create_task(child.ask({"do": "sleep", "seconds": 600}, deadline=600))
    await asyncio.sleep(0)  # the question is in the socket now
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    await busy


if __name__ == "__main__":
    asyncio.run(_main())
