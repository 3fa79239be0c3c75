"""A parent for tests/media/test_pool.py: decodes the file it is given, says which worker does, and waits."""

from __future__ import annotations

import asyncio
import os
import sys

from watcherd.media.cut import Cutting
from watcherd.media.pool import MediaPool


async def _main() -> None:
    pool = MediaPool(1)
    fd, folder_fd = os.open(sys.argv[1], os.O_RDONLY), os.open("/tmp", os.O_RDONLY)
    async with pool.parts(fd, folder_fd, Cutting(max_part=60)) as parts:
        async for _ in parts:
            (worker,) = pool._jobs
            sys.stdout.write(f"{worker.pid}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main())
