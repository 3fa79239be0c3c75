"""The stream: one picture of the daemon, taken at most once a second, in; server-sent events out.

However many pages follow, the picture is taken once for all of them, and only while there is one. A client
gets what has changed since the picture that it got last: one that reads slowly misses pictures in between,
and nothing is kept for it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

EVERY = 1.0  # seconds between two pictures
PING = 15.0  # seconds after which a comment says that somebody is still there
RETURN = 3000  # milliseconds after which a page that lost the stream asks for it again


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What pages show: `sections` are HTML by their names, `marks` say how far each open job is.

    `summary` is the whole in a sentence.
    """

    sections: Mapping[str, str]
    marks: Mapping[str, str]
    summary: str


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture with its number, as events: the whole, and what is other than in the one before."""

    number: int
    picture: Picture
    whole: bytes
    changes: bytes


class Camera:
    """Takes pictures for all who follow. `look` takes one; it may raise sqlite3.Error."""

    def __init__(self, look: Callable[[], Awaitable[Picture]]) -> None:
        self._look = look
        self._shot: Shot | None = None
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def after(self, number: int) -> Shot:
        """The newest picture, as soon as it is another than that of the number (0 for none)."""
        while True:
            late = (
                asyncio.get_running_loop().time() - self._looked_at > 2 * EVERY
            )  # for others, who have gone
            if self._shot is not None and self._shot.number != number and not late:
                return self._shot
            if self._looking is None:
                self._looking = asyncio.create_task(self._take())
            await asyncio.shield(self._looking)  # it is for the others, too

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._looked_at + EVERY - loop.time())
            picture = await self._look()
            if self._shot is None or picture != self._shot.picture:
                self._shot = _shot(picture, self._shot)
        except sqlite3.Error:
            pass  # whoever asks for the page is told; a second later it may work again
        finally:
            self._looked_at = loop.time()
            self._looking = None


async def events(camera: Camera) -> AsyncIterator[bytes]:
    """What one client is sent; ends with its connection."""
    yield b"retry: %d\n\n" % RETURN
    number = 0
    while True:
        try:
            async with asyncio.timeout(PING):
                shot = await camera.after(number)
        except TimeoutError:
            yield b": still here\n\n"
        else:
            yield shot.changes if number == shot.number - 1 else shot.whole
            number = shot.number


def _shot(picture: Picture, last: Shot | None) -> Shot:
    known: Mapping[str, str] = {} if last is None else last.picture.sections
    changed = {name: html for name, html in picture.sections.items() if known.get(name) != html}
    return Shot(
        number=1 if last is None else last.number + 1,
        picture=picture,
        whole=_event(picture, picture.sections),
        changes=_event(picture, changed),
    )


def _event(picture: Picture, sections: Mapping[str, str]) -> bytes:
    data = json.dumps({"sections": sections, "marks": picture.marks, "summary": picture.summary})
    return b"event: page\ndata: %b\n\n" % data.encode()
