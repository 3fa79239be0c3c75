"""Sites: whose request this is. A request's headers in, a refusal with its reason or nothing out. Pure.

A browser asks for whatever any page on the web tells it to, and sends our cookies along. What it also sends,
and no page can forge, is the name that it asked for (Host: one of another's domain that was pointed at this
machine is not ours), the page that asks (Origin, Referer) and how the two relate (Sec-Fetch-Site).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

LARGEST_HEAD = 16 << 10  # bytes of a request's headers
LARGEST_BODY = 64 << 10  # bytes; some hundred long paths
SAFE = {"GET", "HEAD", "OPTIONS"}
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:\[\]/@]+)(?::([0-9]{1,5}))?")
_USUAL_PORTS = {None, "80", "443"}
_OURS = {"", "same-origin", "none"}  # of Sec-Fetch-Site; none: typed, a bookmark, or no page's wish

Site = tuple[str, str | None]
"""A host and its port; None for the usual ones, which browsers do not show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What of a request can be known before its body.

    `headers` has names in small letters, and what came twice joined with a comma; `server` is the address
    that the client connected to.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    server: tuple[str, int]
    client: str = ""
    size: int = 0

    @property
    def is_safe(self) -> bool:
        """Whether it changes nothing."""
        return self.method in SAFE

    def said(self, name: str) -> str:
        """A header's value; empty where there is none."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not heard."""

    status: int
    code: str
    message: str
    hint: str


def refused(head: Head, allowed: Sequence[str]) -> Refusal | None:
    """Why the request must not be heard; `allowed` are the further hosts that the page is reached under."""
    return (
        _too_large(head)
        or _misdirected(head, allowed)
        or _from_elsewhere(head, allowed)
        or (None if head.is_safe else _no_program(head))
    )


def _too_large(head: Head) -> Refusal | None:
    if head.size > LARGEST_HEAD:
        hint = "Delete this site's cookies, or send fewer headers."
        return Refusal(431, "headers_too_large", "the request's headers are too large", hint)
    length = head.said("content-length")
    if length.isdecimal() and int(length) > LARGEST_BODY:
        return too_large()
    if head.is_safe and (length not in {"", "0"} or head.said("transfer-encoding")):
        return Refusal(400, "body_unexpected", f"{head.method} has no body", "Send none.")
    if not head.path.startswith("/"):
        return Refusal(400, "no_proxy", "this is no proxy", "Ask for a path that begins with /.")
    return None


def too_large() -> Refusal:
    """Refuse a body that is larger than anything that belongs here."""
    hint = "Ask for fewer files at once, or use watcherd retry on the machine itself."
    return Refusal(413, "body_too_large", f"a request has at most {LARGEST_BODY:,} bytes", hint)


def _misdirected(head: Head, allowed: Sequence[str]) -> Refusal | None:
    if _is_own(head.said("host"), head, allowed):
        return None
    hint = "Write it into status.allowed_hosts, if the page is meant to be reached under it."
    return Refusal(421, "host_unknown", "the page is not known under the name that was asked for", hint)


def _from_elsewhere(head: Head, allowed: Sequence[str]) -> Refusal | None:
    """See that no other site's page asks: others may link to ours, and embed or change nothing."""
    where = head.said("sec-fetch-site")
    if head.is_safe:
        followed = head.method == "GET" and head.said("sec-fetch-mode") == "navigate"
        framed = head.said("sec-fetch-dest") not in {"", "document"}
        return None if where in _OURS or (followed and not framed) else _stranger()
    asking = head.said("origin") or head.said("referer")
    if where not in _OURS or (asking and not _is_own(authority_of(asking), head, allowed)):
        return _stranger()
    return None


def _stranger() -> Refusal:
    hint = "Behind a proxy, write the name that browsers show into status.allowed_hosts."
    return Refusal(403, "other_site", "another site's page asked for this", hint)


def _no_program(head: Head) -> Refusal | None:
    """A form of another site can be sent without asking its user; JSON cannot, and ours say that they are."""
    if media_type(head) == JSON or _is_own_form(head):
        return None
    return Refusal(415, "not_json", f"{head.method} takes JSON alone", f"Send Content-Type: {JSON}.")


def _is_own_form(head: Head) -> bool:
    """Whether a browser says that a page of ours sends it, to a page: by now no other origin is said."""
    said = bool(head.said("origin")) or head.said("sec-fetch-site") == "same-origin"
    return said and media_type(head) == FORM and not head.path.startswith("/api/")


def media_type(head: Head) -> str:
    """What the body is said to be."""
    return head.said("content-type").partition(";")[0].strip().lower()


def authority_of(url: str) -> str:
    """Host and port of an address of the web; empty for anything else, as the origin null."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.netloc if parts.scheme in {"http", "https"} else ""


def _is_own(authority: str, head: Head, allowed: Sequence[str]) -> bool:
    site = _site(authority)
    return site is not None and (site in _homes(head.server) or site in map(_site, allowed))


def _site(authority: str) -> Site | None:
    found = _AUTHORITY.fullmatch(authority.lower())
    if found is None:
        return None
    host, port = found.groups()
    if host.startswith("["):
        try:
            host = str(IPv6Address(host[1:-1]))
        except ValueError:
            return None
    return host, None if port in _USUAL_PORTS else port


def _homes(server: tuple[str, int]) -> Iterator[Site]:
    """The address that the client connected to, which no foreign name can stand for; at home also a name."""
    address, port = ip_address(server[0].partition("%")[0]), str(server[1])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    shown = None if port in _USUAL_PORTS else port
    yield str(address), shown
    if address.is_loopback:
        yield "localhost", shown
