"""Shipping: an open original in, its upload out: itself where the endpoint takes it, else FLAC made of it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from watcherd.config.model import Endpoint
from watcherd.endpoint.client import Upload
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.inbox.storage import Storage
from watcherd.media.head import read_head
from watcherd.media.pool import MediaPool
from watcherd.media.sniff import Container, refine, sniff, upload_name

BLOCK = 1 << 20  # bytes read and sent at a time
FLAC = ("audio.flac", "audio/flac")


class CutShortError(Exception):
    """The file became shorter while it was sent."""


class Shipping:
    """What is sent of a file: the original as it is where the endpoint takes it, else FLAC made from it."""

    def __init__(
        self,
        fd: int,
        size: int,
        *,
        endpoint: Endpoint,
        max_upload: int,
        storage: Storage,
        media: MediaPool,
        work: Path,
    ) -> None:
        self.seconds: float | None = None  # of audio, once that is known
        self.max_upload = max_upload
        self._fd = fd
        self._size = size
        self._endpoint = endpoint
        self._storage = storage
        self._media = media
        self._work = work
        self._encoded_fd = -1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._encoded_fd >= 0:
            self._storage.release(self._encoded_fd)

    @property
    def may_encode(self) -> bool:
        """Whether our own encoding is there to try instead of the original."""
        return self._encoded_fd < 0 and self._endpoint.upload != "original"

    async def first_choice(self) -> Upload:
        """The upload that the endpoint's settings call for; raises FaultError when there is none."""
        endpoint = self._endpoint
        if endpoint.upload == "flac":
            return await self.encode()
        known = await self._name()
        if known is not None and self._size <= self.max_upload:
            return self._upload(self._fd, known, self._size)
        if endpoint.upload == "original":
            raise FaultError(
                _not_as_it_is(self._size, endpoint.name, None if known is None else self.max_upload)
            )
        return await self.encode()

    async def encode(self) -> Upload:
        """Decode the original to 16 kHz mono FLAC in our own folder, as a file that has no name."""
        call = self._storage.call
        self._encoded_fd = await call(os.open, self._work, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        encoded = await self._media.to_flac(self._fd, self._encoded_fd, size=self._size)
        self.seconds = encoded.duration
        if encoded.bytes > self.max_upload:
            raise FaultError(_too_long(encoded.duration, encoded.bytes, self.max_upload))
        return self._upload(self._encoded_fd, FLAC, encoded.bytes)

    async def measure(self) -> None:
        """Find out how long the audio is, as far as its container says so."""
        if self.seconds is None:
            self.seconds = (await self._media.probe(self._fd)).duration

    async def _name(self) -> tuple[str, str] | None:
        """The name and type under which the original may be sent; only a probe tells what an MP4 holds."""
        container = sniff(await self._storage.call(read_head, self._fd))
        if container is Container.MP4:
            container = refine(container, await self._media.probe(self._fd))
        return None if container is None else upload_name(container)

    def _upload(self, fd: int, name: tuple[str, str], size: int) -> Upload:
        async def blocks() -> AsyncIterator[bytes]:
            offset = 0
            while offset < size:
                block = await self._storage.ask(os.pread, fd, min(BLOCK, size - offset), offset)
                if not block:
                    raise CutShortError
                offset += len(block)
                yield block

        return Upload(name=name[0], content_type=name[1], size=size, blocks=blocks)


def _not_as_it_is(size: int, endpoint: str, limit: int | None) -> Fault:
    """Why `upload: original` has nothing to send; `limit` None where it is the container."""
    if limit is not None:
        code, what = "too_large", f"it has {size:,} bytes and the limit is {limit:,}"
    else:
        code, what = "container_not_taken", "its container is none of flac, mp3, ogg, wav and m4a"
    return Fault(
        scope=Scope.FILE,
        code=code,
        message=f'the file cannot be sent as it is: {what}, and the endpoint is set to "upload: original"',
        hint=f'Set "upload: auto" for endpoint {endpoint}, then move the file back into the inbox.',
        remedy=Remedy.FAIL,
    )


def _too_long(duration: float, size: int, limit: int) -> Fault:
    return Fault(
        scope=Scope.FILE,
        code="too_large",
        message=(
            f"{duration / 60:.0f} minutes of audio make a FLAC of {size:,} bytes,"
            f" and the endpoint takes {limit:,}"
        ),
        hint=(
            "Cut the file into shorter ones, or raise max_upload if the endpoint takes more;"
            " this version does not cut files itself."
        ),
        remedy=Remedy.FAIL,
    )
