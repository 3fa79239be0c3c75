"""What the local endpoint can be told to do: plain values, scripted by a test, carried out by the server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to the translation route as it arrived.

    `fields` are the form's text fields; `size` and `sha256` are the file's; `body_size` is what
    Content-Length promised. Times are `time.monotonic()` of the server: head received, answer decided
    (or connection given up). `answered` is the status sent, None where none was; `whole` says
    whether the body arrived to its end. `connection` numbers connections from 1.
    """

    fields: Mapping[str, str]
    headers: Mapping[str, str]
    filename: str
    content_type: str
    size: int
    sha256: str
    head: bytes
    body_size: int
    whole: bool
    started: float
    ended: float
    answered: int | None
    connection: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond:
    """Answer the request, well or badly.

    With no `body`, status 200 gets the translation in the format asked for and any other an OpenAI-shaped
    error. Everything else bends the answer:

    after   answer early, when that many bytes of the request's body are in, then hang up
    linger  with `after`: like nginx, take in what the client still sends instead of resetting at once
    stall   with `after`: neither take in more nor hang up
    hold    wait for `LocalEndpoint.release()` before answering (never, if nobody releases)
    delay   seconds to wait before answering
    drip    seconds between the bytes of the answer's body
    cut     promise the whole body, send only that many bytes of it, then hang up
    reset   with `cut`: hang up with RST instead of FIN
    close   hang up after the answer, announced by `Connection: close`
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    after: int | None = None
    linger: bool = False
    stall: bool = False
    hold: bool = False
    delay: float = 0.0
    drip: float = 0.0
    cut: int | None = None
    reset: bool = False
    close: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUp:
    """End the connection without a byte of answer: after the whole body, or after that many bytes of it."""

    after: int | None = None
    reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """Send exactly these bytes as the answer, then hang up; `after` as in Respond.

    `interim` is sent before the body is read (an unasked `100 Continue`, say).
    """

    data: bytes
    after: int | None = None
    interim: bytes = b""


Behaviour = Respond | HangUp | Raw
Choice = Callable[[Request], Behaviour]
"""Chooses by what arrived; called when the body is whole."""


def error(
    status: int,
    message: str,
    *,
    code: str | None = None,
    kind: str = "invalid_request_error",
    headers: Mapping[str, str] | None = None,
) -> Respond:
    """Answer with an OpenAI-shaped error body."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return Respond(status=status, body=json.dumps(body).encode(), headers=headers or {})
