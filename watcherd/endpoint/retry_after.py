"""How long a server asks to wait: an answer's headers in, seconds out. Pure; `now` is an argument.

The order is that of the widespread clients: `retry-after-ms`, then `Retry-After` as seconds or as a date.
`x-ratelimit-reset-*` counts after a rate limit's refusal only: some vendors send it with every answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

_NUMBER = re.compile(r"\s*(\d{1,20}(?:\.\d{0,20})?)\s*", re.ASCII)
_SPAN = re.compile(r"(?:\d{1,20}(?:\.\d{0,20})?(?:ms|[dhms]))+", re.ASCII)
_SPAN_PART = re.compile(r"([\d.]+)(ms|[dhms])", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RESET = "x-ratelimit-reset"
_REMAINING = "x-ratelimit-remaining"


def wanted_wait(headers: Mapping[str, str], *, now: float, rate_limited: bool) -> float | None:
    """Seconds that the server wants us to wait, None where it does not say (or says "not at all").

    `headers` have lower-case names; `now` is UTC seconds since the epoch.
    """
    for wait in _wishes(headers, now=now, rate_limited=rate_limited):
        if wait is not None and wait > 0 and math.isfinite(wait):
            return wait
    return None


def _wishes(headers: Mapping[str, str], *, now: float, rate_limited: bool) -> Iterator[float | None]:
    milliseconds = _number(headers.get("retry-after-ms", ""))
    yield None if milliseconds is None else milliseconds / 1000
    after = headers.get("retry-after", "")
    yield _number(after)
    yield _until_date(after, now)
    if rate_limited:
        yield max((_until_reset(value, now) for value in _exhausted(headers)), default=None)


def _number(text: str) -> float | None:
    found = _NUMBER.fullmatch(text)
    return None if found is None else float(found[1])


def _until_date(text: str, now: float) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now


def _exhausted(headers: Mapping[str, str]) -> list[str]:
    """List the resets of those limits that are not known to have something left."""
    return [
        value
        for name, value in headers.items()
        if name.startswith(_RESET) and not _number(headers.get(name.replace(_RESET, _REMAINING), ""))
    ]


def _until_reset(text: str, now: float) -> float:
    """Read a reset: `1m30s`, `2s`, `120ms`, a bare number of seconds, or an epoch time."""
    number = _number(text)
    if number is not None:
        if number >= 1e12:
            return number / 1000 - now
        return number - now if number >= 1e9 else number
    if _SPAN.fullmatch(text.strip()) is None:
        return 0.0
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _SPAN_PART.findall(text))
