"""Any failure at the endpoint: an answer or a transport's exception in, a Fault out. Pure and table-driven.

Code, type and text are judged first and the status last: gateways wrap their upstream's refusals in 500s, and
servers disagree on what a status means. The first sign that fits decides, so the order of the signs counts.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace

from watcherd.endpoint import wording
from watcherd.endpoint.complaint import Complaint, address, one_line, read_complaint, shown
from watcherd.endpoint.retry_after import wanted_wait
from watcherd.endpoint.wording import Diagnosis
from watcherd.faults import Fault

_REASON = 160  # characters of an exception's own text that a message gets to hold


@dataclass(frozen=True, slots=True)
class Sign:
    """What a diagnosis is known by: the statuses, the words, or both; with neither it always fits."""

    means: Diagnosis
    statuses: Container[int] | None = None
    words: re.Pattern[str] | None = None
    page: bool = False

    def fits(self, status: int, complaint: Complaint, clues: str) -> bool:
        """Whether an answer shows this sign; `clues` are the complaint's."""
        return (
            (self.statuses is None or status in self.statuses)
            and (self.words is None or self.words.search(clues) is not None)
            and (complaint.page or not self.page)
        )


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.DOTALL)


SIGNS = (
    Sign(wording.REDIRECTED, range(300, 400)),
    # An empty account comes first: some resellers report it as 401, 403, 429 or 500.
    Sign(wording.QUOTA, {402}),
    Sign(
        wording.QUOTA,
        words=_words(
            r"insufficient_(?:user_)?quota",
            r"pre_consume_token_quota_failed",
            r"quota is not enough",
            r"credit_balance",
            r"spend(?:ing)?[_ ]limit",
            r"organization_usage_limit_exceeded",
            r"exceeded your current quota",
            r"insufficient (?:account )?(?:quota|balance|credits?|funds)",
            r"额度|余额",
        ),
    ),
    Sign(wording.TOO_LARGE, {413}),
    Sign(
        wording.TOO_LARGE,
        words=_words(
            r"request_too_large",
            r"content size limit",
            r"maximum file size exceeded",
            r"(?:payload|entity|body|file|upload) (?:is )?too large",
        ),
    ),
    Sign(
        wording.RATE_LIMITED,
        words=_words(r"rate_limit_exceeded", r"slow_down", r"rate limit", r"too many requests"),
    ),
    # Weaker words for an empty account: rate limit messages hold them too, load balancers the second.
    Sign(wording.QUOTA, words=_words(r"billing", r"(?<!load[ -])\bbalance\b")),
    Sign(wording.RATE_LIMITED, {429}),
    Sign(wording.KEY_REFUSED, {401}),
    Sign(wording.PROXY_REFUSED, {407}),
    Sign(
        wording.MODEL_FORBIDDEN,
        words=_words(r"无权使用模型", r"\baccess to (?:the )?model\b"),
    ),
    Sign(wording.MODEL_UNAVAILABLE, {503}, _words(r"model_not_found")),
    Sign(wording.MODEL_UNAVAILABLE, words=_words(r"no available channel", r"无可用渠道")),
    Sign(
        wording.MODEL_UNKNOWN,
        words=_words(
            r"model_not_found",
            r"deploymentnotfound",
            r"is not installed locally",
            r"\b(?:model|deployment)\b.{0,120}\b(?:does not exist|not found)",
        ),
    ),
    Sign(
        wording.KEY_REFUSED,
        words=_words(
            r"invalid_api_key", r"(?:incorrect|invalid) api key", r"\bunauthorized\b", r"无效的令牌"
        ),
    ),
    Sign(
        wording.KEY_REFUSED,
        {403},
        _words(r"api[ _-]?key", r"authenticat", r"token"),
    ),
    Sign(wording.FORBIDDEN, {403}),
    Sign(wording.FORMAT_REFUSED, words=_words(r"response_format")),
    Sign(wording.FORMAT_REFUSED, range(400, 500), _words(r"response format")),
    Sign(
        wording.TOO_SHORT,
        words=_words(
            r"audio_too_short", r"too short\. minimum audio length", r"audio (?:file )?is too short"
        ),
    ),
    Sign(wording.TOO_LONG, words=_words(r"longer than [\d.]+ ?s(?:ec|\b)", r"invalid_value.*duration")),
    Sign(wording.UNDECODABLE, {415}),
    Sign(
        wording.UNDECODABLE,
        words=_words(
            r"could not be decoded",
            r"(?:invalid|unsupported) file format",
            r"does not support the format",
            r"corrupted or unsupported",
            r"failed to (?:decode|read) audio",
            r"error getting audio duration",
            r"count_token_failed",
            r"invalid data found when processing input",
            r"\Ainvalid request\Z",
        ),
    ),
    Sign(wording.ROUTE_MISSING, {404, 405, 410, 501}),
    Sign(wording.ROUTE_MISSING, words=_words(r"invalid url \(")),
    Sign(wording.TRY_AGAIN, {408, 409, 425}),
    Sign(wording.OVERLOADED, {498, 529}),
    Sign(wording.GATEWAY_TIMEOUT, {504, 524}),
    Sign(wording.UNAVAILABLE, {499, 502, 503, 520, 521, 522, 523, 525, 526, 527, 530}),
    # A gateway's 500 around a refusal that nothing above knows; its upstream's own failure stays a failure.
    Sign(wording.SERVER_ERROR, {500}, _words(r"server_error", r"overloaded", r"timed? ?out", r"unavailable")),
    Sign(wording.REFUSED, {500}, _words(r"invalid_request", r"convert_request_failed", r"request_error")),
    Sign(wording.REFUSED, {400, 422}),
    Sign(wording.SERVER_ERROR, range(500, 600)),
    Sign(wording.WEB_PAGE, range(200, 300), page=True),
    Sign(wording.ERROR_REPLY, {200}),
    Sign(wording.UNEXPECTED_STATUS),
)

_LONGEST = re.compile(r"longer than (\d{1,9}(?:\.\d{1,9})?) ?s(?:ec|\b)", re.IGNORECASE | re.ASCII)
_LARGEST = re.compile(r"limit \((\d{4,15})\)", re.IGNORECASE | re.ASCII)
_REQUEST_ID = re.compile(r"request[ _-]id:? *([\w.\-]{4,128})", re.IGNORECASE | re.ASCII)


def diagnose(status: int, headers: Mapping[str, str], body: bytes, *, url: str, now: float) -> Fault:
    """Say what an answer that is no translation means: whose fault it is and what helps.

    `url` is where the request went, `now` UTC seconds since the epoch (for a Retry-After that is a date).
    Never fails, whatever the bytes. `limit_seconds` is set where the server names the longest audio it takes.
    """
    named = {name.lower(): value for name, value in headers.items()}
    complaint = read_complaint(body)
    clues = complaint.clues
    found = next(sign.means for sign in SIGNS if sign.fits(status, complaint, clues))
    limit, limit_seconds = _limit(found, clues)
    location = named.get("location")
    fault = as_fault(
        found, url=url, status=status, limit=limit, target=f" to {address(location)}" if location else ""
    )
    return replace(
        fault,
        said=shown(complaint.message or complaint.code),
        request_id=_request_id(named, complaint),
        retry_after=wanted_wait(named, now=now, rate_limited=found is wording.RATE_LIMITED),
        limit_seconds=limit_seconds,
    )


def as_fault(
    found: Diagnosis, *, url: str, status: int | None = None, limit: str = "", target: str = ""
) -> Fault:
    """Turn a diagnosis into the fault of one request to `url` ("" where the address is not at hand)."""
    where = f"the endpoint at {address(url)}" if url else "the endpoint"
    return Fault(
        scope=found.scope,
        code=found.code,
        message=found.message.format(where=where, status=status, limit=limit, target=target),
        hint=found.hint,
        remedy=found.remedy,
        status=status,
    )


def _limit(found: Diagnosis, clues: str) -> tuple[str, float | None]:
    """Read the limit that the server names, as words for the message and, of audio, as seconds."""
    longest, largest = _LONGEST.search(clues), _LARGEST.search(clues)
    if found is wording.TOO_LONG and longest is not None:
        seconds = float(longest[1])
        return f" of {seconds:g} seconds", seconds
    if largest is not None:
        return f" of {int(largest[1]):,} bytes", None
    return "", None


def _request_id(headers: Mapping[str, str], complaint: Complaint) -> str | None:
    given = one_line(headers.get("x-request-id", ""))[:128]
    if given:
        return given
    found = _REQUEST_ID.search(complaint.message[:4096])
    return None if found is None else found[1]


# Exceptions are told by the names of their classes, so that this room needs neither httpx nor sockets.
_CONNECTING = (
    ("gaierror", wording.NAME_NOT_FOUND),
    ("SSLError", wording.TLS_FAILED),
    ("ConnectionRefusedError", wording.CONNECTION_REFUSED),
    ("TimeoutError", wording.CONNECT_TIMEOUT),
)
_TRANSPORT = (
    ("ConnectTimeout", wording.CONNECT_TIMEOUT),
    ("PoolTimeout", wording.CONNECT_TIMEOUT),
    ("ReadTimeout", wording.READ_TIMEOUT),
    ("WriteTimeout", wording.WRITE_TIMEOUT),
    ("TimeoutError", wording.READ_TIMEOUT),
    ("ProxyError", wording.PROXY_FAILED),
    ("ConnectError", wording.UNREACHABLE),
    ("UnsupportedProtocol", wording.BAD_REQUEST_SETTINGS),
    ("InvalidURL", wording.BAD_REQUEST_SETTINGS),
    ("LocalProtocolError", wording.BAD_REQUEST_SETTINGS),
    ("DecodingError", wording.GARBLED_REPLY),
    ("ReplyTooLargeError", wording.REPLY_TOO_LARGE),
)


class ReplyTooLargeError(Exception):
    """The endpoint's answer passed the size that is read at most; raised by the client while reading."""


def diagnose_transport(error: Exception, *, url: str) -> Fault:
    """Say what it means that a request ended in an exception (httpx's, mostly) instead of an answer.

    What happens before the request is through is the endpoint's and charged to nobody; what happens later
    may have been billed and is the file's. An exception nobody knows is a lost connection.
    """
    chain = list(_chain(error))
    found = _named(_TRANSPORT, chain[:1]) or wording.CONNECTION_LOST
    if found is wording.UNREACHABLE:
        found = _named(_CONNECTING, chain) or found
    elif found is wording.BAD_REQUEST_SETTINGS and "Content-Length" in str(error):
        found = wording.CONNECTION_LOST  # the upload ended early: no setting's fault
    fault = as_fault(found, url=url)
    reason = next((text for text in (shown(str(cause), _REASON) for cause in reversed(chain)) if text), "")
    return replace(fault, message=f"{fault.message}: {reason}") if reason else fault


def _named(table: tuple[tuple[str, Diagnosis], ...], chain: list[BaseException]) -> Diagnosis | None:
    """Find the first row of the table that names a class of any exception in the chain."""
    names = {base.__name__ for error in chain for base in type(error).__mro__}
    return next((diagnosis for name, diagnosis in table if name in names), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what caused it, outermost first."""
    current: BaseException | None = error
    for _ in range(10):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__
