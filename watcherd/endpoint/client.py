"""The client: one upload and one question in, the raw body of the answer out, or a FaultError.

    Client.translate    one POST of one file; 2xx is an answer, anything else a diagnosed fault
    Client.models       one GET that costs nothing, for `watcherd check`

A client has one connection and serves one request at a time: one for every slot of the endpoint's gate.
It is httpx without its AsyncClient, whose redirects, cookies and environment have no place here.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from watcherd import __version__
from watcherd.config.model import Endpoint
from watcherd.endpoint.complaint import is_page, one_line, read_json
from watcherd.endpoint.diagnose import ReplyTooLargeError, diagnose, diagnose_transport
from watcherd.endpoint.form import Form, Upload
from watcherd.endpoint.reply import ReplyFormat
from watcherd.endpoint.wire import Tally, Wire
from watcherd.faults import Fault, FaultError, Remedy, Scope

__all__ = ["Answer", "Ask", "Client", "ModelsAnswer", "Upload"]

REPLY_LIMIT = 32 * 1024 * 1024
_COMPLAINT_LIMIT = 64 * 1024
_COMPLAINT_SECONDS = 10.0
_WRITE_SECONDS = 120.0  # for each piece that the connection takes, not for the whole upload
_NO_LIST = {404, 405, 501}  # servers that list no models, whisper.cpp's for one
_BROKEN = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked of the endpoint; `plain` leaves out prompt and temperature.

    `fields` are further ones, by name and value; they take the place of ours.
    """

    model: str
    prompt: str
    temperature: float
    format: ReplyFormat
    fields: tuple[tuple[str, str], ...] = ()
    plain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A 2xx answer: its body as it came, the server's name for the request, and how long it all took."""

    body: bytes = field(repr=False)
    request_id: str | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsAnswer:
    """What the endpoint said of its models; `known` is None where it lists none."""

    status: int
    known: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class _Reply:
    response: httpx.Response
    body: bytes


class _StaleConnectionError(Exception):
    """A connection that had served before broke before it gave a byte: the server had closed it meanwhile."""


class Client:
    """One connection to one endpoint, opened when first used and closed by `close`.

    `transport` takes the place of the network (the embedded endpoint's child, say).
    """

    def __init__(self, endpoint: Endpoint, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self._open: httpx.AsyncBaseTransport | None = None
        self._tally = Tally()
        self._headers = _headers(endpoint)
        timeout = endpoint.timeout
        self._timeout = {"connect": timeout.connect, "read": timeout.read, "write": _WRITE_SECONDS}

    async def translate(self, upload: Upload, ask: Ask) -> Answer:
        """Send one file and return the answer's body, at most 32 MiB, unread.

        Raises FaultError for every other outcome, and whatever `upload.blocks` raises.
        """
        started = time.monotonic()
        fields = _fields(ask) | dict(ask.fields)
        reply = await self._request("POST", self._endpoint.path, lambda: Form(fields, upload))
        request_id = one_line(reply.response.headers.get("x-request-id", ""))[:128] or None
        return Answer(body=reply.body, request_id=request_id, seconds=time.monotonic() - started)

    async def models(self) -> ModelsAnswer:
        """Ask which models there are; sends the key, costs nothing. Raises FaultError as `translate` does."""
        try:
            reply = await self._request("GET", "models", None)
        except FaultError as error:
            if error.fault.status in _NO_LIST:
                return ModelsAnswer(status=error.fault.status, known=None)
            raise
        text = reply.body.decode("utf-8", "replace")
        if is_page(text):
            raise FaultError(_refusal(reply.response, reply.body))
        return ModelsAnswer(status=reply.response.status_code, known=_model_names(text))

    async def close(self) -> None:
        """Close the connection; the client may be used again and then opens another."""
        transport, self._open = self._open, None
        if transport is not None:
            await transport.aclose()

    async def _request(self, method: str, path: str, form: Callable[[], Form] | None) -> _Reply:
        """One request, sent again, uncounted, when a kept connection turns out to be dead."""
        url = f"{self._endpoint.base_url}/{path}"
        try:
            return await self._attempt(method, url, form)
        except _StaleConnectionError:
            return await self._attempt(method, url, form)

    async def _attempt(self, method: str, url: str, form: Callable[[], Form] | None) -> _Reply:
        """One request on one connection; the response is whole. Nothing of a key goes into an error."""
        transport = self._opened()
        body = None if form is None else form()
        before = replace(self._tally)
        headers = self._headers.copy()
        if body is not None:
            headers.update(body.headers)
        address = _parsed(url)
        headers.setdefault("Host", address.netloc.decode("ascii"))
        request = httpx.Request(
            method, address, headers=headers, stream=body, extensions={"timeout": self._timeout}
        )
        try:
            response = await transport.handle_async_request(request)
            response.request = request
            try:
                return await self._received(response)
            finally:
                await response.aclose()
        except (httpx.HTTPError, ReplyTooLargeError) as error:
            if isinstance(error, _BROKEN) and before.connections and before == self._tally:
                raise _StaleConnectionError from None
            raise FaultError(diagnose_transport(error, url=url)) from None
        finally:
            if body is not None:
                await body.aclose()

    async def _received(self, response: httpx.Response) -> _Reply:
        """Read a 2xx answer whole; raises FaultError for any other."""
        if not response.is_success:
            raise FaultError(_refusal(response, await _complaint(response)))
        return _Reply(response, await _whole(response, seconds=self._endpoint.timeout.read))

    def _opened(self) -> httpx.AsyncBaseTransport:
        if self._open is None:
            self._open = self._transport or self._wire()
        return self._open

    def _wire(self) -> Wire:
        proxy = None if self._endpoint.proxy is None else httpx.Proxy(self._endpoint.proxy)
        wire = Wire(context=_tls_context(self._endpoint), proxy=proxy)
        self._tally = wire.tally
        return wire


@functools.cache
def _parsed(url: str) -> httpx.URL:
    """An endpoint has two of them."""
    return httpx.URL(url)


def _fields(ask: Ask) -> dict[str, str]:
    """Make the form's own fields; those at their default are left out, since some servers refuse them."""
    fields = {"model": ask.model, "response_format": ask.format.value}
    if ask.prompt and not ask.plain:
        fields["prompt"] = ask.prompt
    if ask.temperature and not ask.plain:
        fields["temperature"] = f"{ask.temperature:g}"
    return fields


def _headers(endpoint: Endpoint) -> httpx.Headers:
    """Make the headers of every request; the configuration's take the place of ours.

    No compression is asked for: a reply is small, and a small reply cannot unfold into a large one.
    """
    headers = httpx.Headers(
        {"User-Agent": f"watcherd/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
    )
    if endpoint.api_key is not None:
        headers["Authorization"] = f"Bearer {endpoint.api_key.get_secret_value()}"
    headers.update({name: value.get_secret_value() for name, value in endpoint.headers.items()})
    return headers


def _tls_context(endpoint: Endpoint) -> ssl.SSLContext | None:
    """Trust the public authorities, and those of `ca_file` beside them; None where nothing is encrypted."""
    if not any(url.startswith("https:") for url in (endpoint.base_url, endpoint.proxy or "")):
        return None
    context = httpx.create_ssl_context(trust_env=False)
    if endpoint.ca_file is not None:
        try:
            context.load_verify_locations(endpoint.ca_file)
        except OSError as error:  # an SSLError is one too
            raise FaultError(_unusable(endpoint.ca_file, error)) from error
    return context


def _unusable(ca_file: Path, error: OSError) -> Fault:
    return Fault(
        scope=Scope.ENDPOINT,
        code="ca_file_unusable",
        message=f"the certificates in {ca_file} cannot be used: {error.strerror or error}",
        hint="Let ca_file name a readable PEM file with at least one certificate.",
        remedy=Remedy.CONFIGURE,
    )


async def _whole(response: httpx.Response, *, seconds: float) -> bytes:
    """Read an answer to its end, in `seconds` altogether, since a byte now and then would last for ever."""
    body = bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    # Hardly any is packed, and httpx unpacks through four layers.
    pieces = response.aiter_bytes() if "content-encoding" in response.headers else response.stream
    try:
        async with asyncio.timeout(seconds):
            async for piece in pieces:
                body += piece
                if len(body) > REPLY_LIMIT:
                    raise ReplyTooLargeError
    except TimeoutError:
        raise httpx.ReadTimeout("the answer did not come to its end") from None
    return bytes(body)


async def _complaint(response: httpx.Response) -> bytes:
    """Read the beginning of an answer that is none; if it is cut short, the status has been said."""
    body = bytearray()
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(_COMPLAINT_SECONDS):
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) >= _COMPLAINT_LIMIT:
                    break
    return bytes(body[:_COMPLAINT_LIMIT])


def _refusal(response: httpx.Response, body: bytes) -> Fault:
    url = str(response.request.url)
    return diagnose(response.status_code, response.headers, body, url=url, now=time.time())


def _model_names(text: str) -> tuple[str, ...] | None:
    """Find the names in a list of models, `{"data": [{"id": …}]}` or the bare list; None in anything else."""
    try:
        answer = read_json(text)
    except ValueError:
        return None
    models = answer.get("data") if isinstance(answer, dict) else answer
    if not isinstance(models, list):
        return None
    names = (model.get("id") if isinstance(model, dict) else model for model in models)
    return tuple(name for name in names if isinstance(name, str))
