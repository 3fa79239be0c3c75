"""The form: fields and one file in, the multipart body of a request out, a block at a time.

httpx's own `files=` would read the file inside the event loop and send a body of unknown length chunked,
which gateways refuse.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import httpx

from watcherd.faults import Fault, FaultError, Remedy, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What is sent of a file.

    `name` is a plain ASCII file name whose extension tells the container (servers go by nothing else),
    `size` the bytes that `blocks` will yield. `blocks` is called once for every attempt, and what it
    raises comes out of the request as it is. `begin` may be called ahead of it, so that the first block is
    at hand by then.
    """

    name: str
    content_type: str
    size: int
    blocks: Callable[[], AsyncIterator[bytes]]
    begin: Callable[[], None] = lambda: None


class Form(httpx.AsyncByteStream):
    """The body of one attempt: the fields, then the file. Holds no more than one block of the file.

    Iterating raises FaultError when the file is not as long as it was; the server has then been promised
    more, or less, than there is.
    """

    def __init__(self, fields: Mapping[str, str], upload: Upload) -> None:
        self._boundary = secrets.token_hex(16)
        self._upload = upload
        self._before = "".join(self._field(name, value) for name, value in fields.items()).encode()
        self._before += self._file_head()
        self._after = f"\r\n--{self._boundary}--\r\n".encode()
        self._pieces: AsyncGenerator[bytes, None] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to this body."""
        length = len(self._before) + self._upload.size + len(self._after)
        return {
            "Content-Type": f"multipart/form-data; boundary={self._boundary}",
            "Content-Length": str(length),
        }

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._pieces = self._body()
        return self._pieces

    async def aclose(self) -> None:
        """Let go of the file, also where the body was sent in part."""
        if self._pieces is not None:
            await self._pieces.aclose()

    async def _body(self) -> AsyncGenerator[bytes, None]:
        before, left = self._before, self._upload.size
        blocks = self._upload.blocks()
        try:
            async for block in blocks:
                left -= len(block)
                if left < 0:
                    break
                yield before + block if before else block
                before = b""
        finally:
            if isinstance(blocks, AsyncGenerator):
                await blocks.aclose()
        if left:
            raise FaultError(_CHANGED)
        yield before + self._after

    def _field(self, name: str, value: str) -> str:
        head = f'--{self._boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'
        return f"{head}{value}\r\n"

    def _file_head(self) -> bytes:
        disposition = f'Content-Disposition: form-data; name="file"; filename="{self._upload.name}"'
        head = f"--{self._boundary}\r\n{disposition}\r\nContent-Type: {self._upload.content_type}\r\n\r\n"
        return head.encode("ascii")


def _quoted(name: str) -> str:
    """Write a field's name as browsers do (the HTML standard's multipart encoding)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


_CHANGED = Fault(
    scope=Scope.FILE,
    code="file_changed",
    message="the file changed while it was being sent",
    hint="Nothing to do: it is sent again once it has settled.",
    remedy=Remedy.RETRY,
)
