"""A parent for tests/media/test_pool.py: decodes the file it is given, says which worker does, and waits."""

from __future__ import annotations

import asyncio
import os
import sys

from tests.waiting import eventually
from watcherd.media.pool import MediaPool


async def _main() -> None:
    pool = MediaPool(1)
    fd, out_fd = os.open(sys.argv[1], os.O_RDONLY), os.memfd_create("flac")
    job = asyncio.create_task(pool.to_flac(fd, out_fd, size=os.fstat(fd).st_size))
    await eventually(lambda: os.fstat(out_fd).st_size)
    (worker,) = pool._jobs
    sys.stdout.write(f"{worker.pid}\n")
    sys.stdout.flush()
    await job


if __name__ == "__main__":
    asyncio.run(_main())
