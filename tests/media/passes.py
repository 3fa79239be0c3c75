"""What the media tests share: a pool's passes through real files, and the samples that come out of them."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from watcherd.media.codec import Codec
from watcherd.media.cut import Cutting, Stretch
from watcherd.media.findings import Heard, Part, Probe
from watcherd.media.pool import MediaPool
from watcherd.media.stream import Pass

WHOLE = Cutting(max_part=math.inf, max_bytes=sys.maxsize)


@dataclass(frozen=True)
class Made:
    """All that one pass gave: the parts, their files' contents, and what was heard."""

    parts: list[Part]
    files: list[bytes]
    heard: Heard


@contextmanager
def opened(*paths: Path) -> Iterator[list[int]]:
    fds = [os.open(path, os.O_RDONLY) for path in paths]
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


@asynccontextmanager
async def passing(
    pool: MediaPool,
    path: Path,
    cutting: Cutting | None = None,
    *,
    codec: Codec = Codec.FLAC,
    track: int | None = None,
    given: Sequence[Stretch] = (),
    answered: Sequence[int] = (),
) -> AsyncIterator[Pass]:
    with opened(path, Path("/tmp")) as (fd, folder_fd):
        cutting = cutting or Cutting()
        parts = pool.parts(fd, folder_fd, cutting, codec=codec, track=track, given=given, answered=answered)
        async with parts:
            yield parts


async def gathered(parts: Pass) -> Made:
    found, files = [], []
    async for part in parts:
        found.append(part)
        files.append(content(part))
    assert parts.heard is not None
    return Made(found, files, parts.heard)


async def made(
    pool: MediaPool,
    path: Path,
    cutting: Cutting | None = None,
    *,
    codec: Codec = Codec.FLAC,
    track: int | None = None,
    given: Sequence[Stretch] = (),
    answered: Sequence[int] = (),
) -> Made:
    async with passing(
        pool, path, cutting, codec=codec, track=track, given=given, answered=answered
    ) as parts:
        return await gathered(parts)


async def whole(pool: MediaPool, path: Path) -> Made:
    """The file as one FLAC."""
    one = await made(pool, path, WHOLE)
    assert len(one.parts) == 1
    return one


async def length(pool: MediaPool, path: Path) -> float:
    return (await whole(pool, path)).heard.duration


async def probe(pool: MediaPool, path: Path) -> Probe:
    with opened(path) as (fd,):
        return await pool.probe(fd)


def content(part: Part) -> bytes:
    """The part's file, whose descriptor is closed."""
    data = os.pread(part.fd, part.bytes + 1, 0)
    os.close(part.fd)
    assert len(data) == part.bytes
    return data


def samples(file: bytes) -> bytes:
    """A file's 16-bit samples as the `ffmpeg` command decodes them."""
    with tempfile.NamedTemporaryFile() as kept:  # from a pipe, it would not leave out an encoder's padding
        kept.write(file)
        kept.flush()
        command = ["ffmpeg", "-nostdin", "-v", "error", "-i", kept.name, "-f", "s16le", "-ar", "16000", "-"]
        return subprocess.run(command, check=True, capture_output=True).stdout


def workers() -> list[psutil.Process]:
    return psutil.Process().children()
