"""Shipping: an open original in, what is sent of it out: itself, or parts of its audio encoded by us."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from watcherd.endpoint.client import Upload
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.media.codec import Codec
from watcherd.media.cut import LEAST_CAP, NEARLY_FULL, Cutting, Stretch
from watcherd.media.findings import Part as Made
from watcherd.media.findings import Probe
from watcherd.media.sniff import Container, refine, sniff, upload_name
from watcherd.media.stream import Pass
from watcherd.media.tracks import DEFAULT, choose_track
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.contents import blocks_of
from watcherd.pipeline.original import Original
from watcherd.settings import Settings

FLAC = ("audio.flac", "audio/flac")
SMALL = 1_000_000  # bytes; sent as it is, if it is short enough for one request
LEAST_RATE = 800  # bytes a second of MP3 and WAV, more or less; of others an hour of silence may be a few kB
LEAN = 1.5 * 18_000  # bytes a second, half as much again as FLAC: more is worth encoding


class Shipping:
    """What is sent of one file under its endpoint's limits, those that were learned included.

    `bearable` is the longest audio in one request for this file alone, in seconds.
    """

    def __init__(
        self, original: Original, size: int, bench: Bench, settings: Settings, *, bearable: float = math.inf
    ) -> None:
        self.seconds: float | None = None  # of audio, once that is known
        self._contents = original.contents
        self._fd = original.fd
        self._size = size
        self._bench = bench
        self._settings = settings
        self._bearable = bearable
        self._probed: Probe | None = None

    @property
    def cutting(self) -> Cutting:
        """The limits of one part."""
        bench = self._bench
        longest = min(bench.endpoint.max_part, self._known_limit)
        return Cutting(max_part=longest, max_bytes=bench.gate.max_upload(self._settings.model))

    @property
    def _known_limit(self) -> float:
        """The longest audio in one request, as far as experience tells: infinite where there is none."""
        learned = self._bench.gate.max_seconds(self._settings.model)
        return self._bearable if learned is None else min(self._bearable, learned)

    @property
    def longest(self) -> float:
        """The longest audio in one part, in seconds, whatever it holds."""
        cutting = self.cutting
        return max(LEAST_CAP, min(cutting.max_part, cutting.max_bytes / self.codec.rate))

    @property
    def planned(self) -> Cutting:
        """The limits to plan with: no part is planned to be shorter than makes sense."""
        max_bytes = max(self.cutting.max_bytes, int(LEAST_CAP * self.codec.rate))
        return replace(self.cutting, max_bytes=max_bytes, target=self._target)

    @property
    def _target(self) -> float | None:
        """So long that parts fill whole rounds of requests: with a few in the last, the endpoint idles."""
        if self.seconds is None or math.isinf(self.longest):
            return None
        at_once, usual = self._bench.gate.concurrency, NEARLY_FULL * self.longest
        rounds = math.ceil(self.seconds / usual / at_once)
        return None if rounds <= 1 else min(usual, self.seconds / (rounds * at_once))

    @property
    def codec(self) -> Codec:
        """What parts are encoded as: the smaller Opus where FLAC would have to be cut for its size."""
        cutting, named = self.cutting, self._bench.endpoint.upload
        if named in {"auto", "original"}:
            fits = Codec.FLAC.rate * cutting.max_part <= cutting.max_bytes
            return Codec.FLAC if fits else Codec.OPUS
        return Codec(named)

    @property
    def may_encode(self) -> bool:
        """Whether the user lets us send anything but the original."""
        return self._bench.endpoint.upload != "original"

    async def as_it_is(self) -> Upload | None:
        """The original as an upload, if the endpoint's settings call for it; None when it is to be encoded.

        Raises FaultError when only the original may be sent, and cannot be.
        """
        endpoint, limit = self._bench.endpoint, self.cutting.max_bytes
        if endpoint.upload not in {"auto", "original"}:
            return None
        container = await self._container()
        known = None if container is None else upload_name(container)
        fits = known is not None and self._size <= limit
        if endpoint.upload == "original":
            if known is None or not fits:
                raise FaultError(_not_as_it_is(self._size, endpoint.name, None if known is None else limit))
        elif not fits or self._settings.track != DEFAULT or not await self._is_lean(container):
            return None
        assert known is not None
        contents = self._contents
        return replace(_upload(known, self._size, contents.blocks), begin=contents.begin)

    async def track(self) -> int:
        """The index of the audio track to take; raises FaultError where no track fits."""
        return choose_track(await self._probe(), _wanted(self._settings.track)).index

    async def measure(self) -> None:
        """Find out how long the audio is, as far as its container says so."""
        if self.seconds is None:
            self.seconds = (await self._probe()).duration

    async def check_length(self) -> None:
        """See that there is no more audio than is taken from one file, where its container claims more.

        Such a file is listened to before anything of it is sent and paid for: some containers lie. Raises
        FaultError.
        """
        await self.measure()
        media = self._bench.media
        if self.seconds is not None and self.seconds > media.most_seconds:
            self.seconds = (await media.listen(self._fd, track=await self.track())).duration

    async def _is_lean(self, container: Container | None) -> bool:
        """Whether encoding would save little, and the audio is short enough for one request.

        A small MP3 or WAV that cannot be too long is not looked at any further.
        """
        longest = self.cutting.max_part
        if container in {Container.MP3, Container.WAV} and self._size < min(SMALL, LEAST_RATE * longest):
            return True
        await self.measure()
        if self.seconds is None or self.seconds > longest:
            return False
        return self._size < SMALL or self._size <= LEAN * self.seconds

    # Parts.

    @asynccontextmanager
    async def parts(
        self, given: Sequence[Stretch], answered: Collection[int], *, only: bool
    ) -> AsyncIterator[Pass]:
        """A pass through the audio: the parts that were `given`; then the rest, unless it is `only` those."""
        bench, call = self._bench, self._bench.storage.call
        track = await self.track()
        await self.measure()
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        folder_fd = await call(os.open, bench.work, flags)
        try:
            if only:
                wanted = [one for index, one in enumerate(given) if index not in set(answered)]
                running = bench.media.slice(self._fd, folder_fd, wanted, codec=self.codec, track=track)
            else:
                running = bench.media.parts(
                    self._fd,
                    folder_fd,
                    self.planned,
                    codec=self.codec,
                    track=track,
                    given=given,
                    answered=answered,
                )
            async with running:
                yield running
        finally:
            bench.storage.release(folder_fd)

    def part(self, made: Made, codec: Codec) -> Upload:
        """A part as an upload; its descriptor stays the caller's."""
        name = upload_name(codec.container)
        assert name is not None
        return _upload(name, made.bytes, partial(blocks_of, self._bench.storage, made.fd, made.bytes))

    def check(self, upload: Upload) -> None:
        """See that a part is within the limit; raises FaultError."""
        if upload.size > self.cutting.max_bytes:
            raise FaultError(_too_large(upload.size, self.cutting.max_bytes))

    async def _container(self) -> Container | None:
        """What the original is; only a probe tells what an MP4 holds."""
        container = sniff(await self._contents.head())
        return refine(container, await self._probe()) if container is Container.MP4 else container

    async def _probe(self) -> Probe:
        if self._probed is None:
            self._probed = await self._bench.media.probe(self._fd)
        return self._probed


def _upload(name: tuple[str, str], size: int, blocks: Callable[[], AsyncIterator[bytes]]) -> Upload:
    return Upload(name=name[0], content_type=name[1], size=size, blocks=blocks)


def _wanted(track: str) -> str | int | list[str]:
    """A folder's `track` as the choice knows it."""
    if track == DEFAULT:
        return track
    return int(track) if track.isdigit() else [code.strip() for code in track.split(",")]


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


def _too_large(size: int, limit: int) -> Fault:
    return Fault(
        scope=Scope.FILE,
        code="too_large",
        message=f"a part of the audio has {size:,} bytes, and the endpoint takes {limit:,}",
        hint="Raise max_upload if the endpoint takes more, or set upload: opus, which makes small parts.",
        remedy=Remedy.SPLIT,
    )
