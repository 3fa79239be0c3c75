"""Whose request it is: by the name asked for, the page that asks, and what a browser says of the two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.status.sites import LARGEST_BODY, LARGEST_HEAD, Head, refused

HERE = ("127.0.0.1", 8484)
SIX = ("::1", 8484)
LAN = ("192.168.1.7", 8484)
JSON = {"content-type": "application/json"}


def code(
    headers: dict[str, str],
    *,
    method: str = "GET",
    server: tuple[str, int] = HERE,
    allowed: tuple[str, ...] = (),
    path: str = "/",
    size: int = 0,
) -> str | None:
    head = Head(method=method, path=path, headers=headers, server=server, size=size)
    refusal = refused(head, allowed)
    return None if refusal is None else refusal.code


@pytest.mark.parametrize(
    ("host", "server", "allowed"),
    [
        ("127.0.0.1:8484", HERE, ()),
        ("localhost:8484", HERE, ()),
        ("LocalHost:8484", HERE, ()),
        ("[::1]:8484", SIX, ()),
        ("[0:0::1]:8484", SIX, ()),
        ("localhost:8484", SIX, ()),
        ("127.0.0.1:8484", ("::ffff:127.0.0.1", 8484), ()),
        ("192.168.1.7:8484", LAN, ()),
        ("[fe80::7]:8484", ("fe80::7%eth0", 8484), ()),
        ("127.0.0.1", ("127.0.0.1", 80), ()),
        ("127.0.0.1:80", ("127.0.0.1", 80), ()),
        ("media.example", HERE, ("media.example",)),
        ("Media.Example:443", HERE, ("media.example",)),
        ("nas:8080", LAN, ("media.example", "nas:8080")),
        ("[fd00::7]:8080", HERE, ("[fd00:0::7]:8080",)),
    ],
)
def test_a_name_of_the_page_is_known(host: str, server: tuple[str, int], allowed: tuple[str, ...]) -> None:
    assert code({"host": host}, server=server, allowed=allowed) is None


@pytest.mark.parametrize(
    ("host", "server", "allowed"),
    [
        ("", HERE, ()),
        ("evil.example", HERE, ()),
        ("evil.example:8484", HERE, ()),
        ("127.0.0.1.evil.example:8484", HERE, ()),
        ("localhost.evil.example:8484", HERE, ()),
        ("127.0.0.1", HERE, ()),
        ("127.0.0.1:8485", HERE, ()),
        ("127.0.0.2:8484", HERE, ()),
        ("2130706433:8484", HERE, ()),
        ("localhost:8484", LAN, ()),
        ("127.0.0.1:8484", LAN, ()),
        ("nas:8484", LAN, ()),
        ("a@127.0.0.1:8484", HERE, ()),
        ("127.0.0.1:8484, evil.example", HERE, ()),
        ("127.0.0.1:8484/", HERE, ()),
        ("[::1:8484", SIX, ()),
        ("[::g]:8484", SIX, ()),
        ("media.example:8484", HERE, ("media.example",)),
        ("media.example", HERE, ("media.example:8484",)),
        ("x.media.example", HERE, ("media.example",)),
        ("media.example.", HERE, ("media.example",)),
    ],
)
def test_another_name_is_not(host: str, server: tuple[str, int], allowed: tuple[str, ...]) -> None:
    assert code({"host": host}, server=server, allowed=allowed) == "host_unknown"
    assert code({"host": host, **JSON}, method="POST", server=server, allowed=allowed) == "host_unknown"


HOST = {"host": "127.0.0.1:8484"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:8484"},
        {"origin": "http://localhost:8484", "sec-fetch-site": "same-origin"},
        {"origin": "https://media.example"},
        {"origin": "https://media.example", "referer": "https://evil.example/"},
        {"referer": "https://media.example/jobs/7?x=y"},
        {"sec-fetch-site": "none"},
    ],
)
def test_our_own_page_and_programs_may_change_things(headers: dict[str, str]) -> None:
    assert code(HOST | JSON | headers, method="POST", allowed=("media.example",)) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "http://localhost"},
        {"origin": "http://media.example:8484"},
        {"origin": "file://127.0.0.1:8484"},
        {"origin": "chrome-extension://abcdef"},
        {"origin": "http://a@127.0.0.1:8484"},
        {"origin": "http://[::1"},
        {"origin": "127.0.0.1:8484"},
        {"referer": "https://evil.example/?http://127.0.0.1:8484/"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8484"},
        {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "FANCY"])
def test_another_sites_page_may_change_nothing(headers: dict[str, str], method: str) -> None:
    assert code(HOST | JSON | headers, method=method, allowed=("media.example",)) == "other_site"


@pytest.mark.parametrize(
    "kind",
    [
        "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
        "text/plain; application/json", "application/jsonp",
    ],
)  # fmt: skip
def test_what_a_form_can_send_changes_nothing_whoever_sends_it(kind: str) -> None:
    assert code(HOST | {"content-type": kind}, method="POST") == "not_json"
    assert code(HOST | {"content-type": "Application/JSON; charset=utf-8"}, method="POST") is None


@pytest.mark.parametrize(
    ("path", "headers", "refusal"),
    [
        ("/pause", {"origin": "http://127.0.0.1:8484"}, None),
        ("/jobs/7/retry", {"sec-fetch-site": "same-origin"}, None),
        ("/pause", {}, "not_json"),
        ("/pause", {"referer": "http://127.0.0.1:8484/"}, "not_json"),
        ("/pause", {"sec-fetch-site": "none"}, "not_json"),
        ("/pause", {"origin": "null"}, "other_site"),
        ("/pause", {"origin": "https://evil.example"}, "other_site"),
        ("/pause", {"origin": "http://127.0.0.1:8484", "sec-fetch-site": "same-site"}, "other_site"),
        ("/api/v1/pause", {"origin": "http://127.0.0.1:8484"}, "not_json"),
    ],
)
def test_a_form_is_heard_only_where_a_browser_says_that_our_own_page_sends_it(
    path: str, headers: dict[str, str], refusal: str | None
) -> None:
    form = HOST | {"content-type": "application/x-www-form-urlencoded"}
    assert code(form | headers, method="POST", path=path) == refusal


OWN = {"content-type": "application/x-www-form-urlencoded", "origin": "http://127.0.0.1:8484"}


@pytest.mark.parametrize(
    ("headers", "path", "refusal"),
    [
        (OWN, "/retry", None),
        (OWN | {"origin": "", "sec-fetch-site": "same-origin"}, "/retry", None),
        (OWN | {"origin": ""}, "/retry", "not_json"),
        (OWN | {"origin": "", "sec-fetch-site": "none"}, "/retry", "not_json"),
        (OWN | {"origin": "", "referer": "http://127.0.0.1:8484/jobs"}, "/retry", "not_json"),
        (OWN | {"origin": "https://evil.example"}, "/retry", "other_site"),
        (OWN | {"origin": "null"}, "/retry", "other_site"),
        (OWN | {"sec-fetch-site": "cross-site"}, "/retry", "other_site"),
        (OWN | {"content-type": "multipart/form-data"}, "/retry", "not_json"),
        (OWN | {"content-type": "text/plain"}, "/retry", "not_json"),
        (OWN, "/api/v1/retry", "not_json"),
    ],
)
def test_a_form_counts_only_where_a_browser_says_that_it_is_ours(
    headers: dict[str, str], path: str, refusal: str | None
) -> None:
    assert code(HOST | headers, method="POST", path=path) == refusal


@pytest.mark.parametrize(
    ("site", "mode", "dest", "refusal"),
    [
        ("same-origin", "cors", "empty", None),
        ("none", "navigate", "document", None),
        ("cross-site", "navigate", "document", None),
        ("same-site", "navigate", "document", None),
        ("cross-site", "navigate", "iframe", "other_site"),
        ("cross-site", "navigate", "embed", "other_site"),
        ("cross-site", "no-cors", "video", "other_site"),
        ("cross-site", "cors", "empty", "other_site"),
        ("same-site", "cors", "empty", "other_site"),
        ("cross-site", "same-origin", "empty", "other_site"),
    ],
)
def test_other_sites_may_link_to_the_page_and_embed_nothing_of_it(
    site: str, mode: str, dest: str, refusal: str | None
) -> None:
    headers = HOST | {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    assert code(headers) == refusal


@pytest.mark.parametrize(
    ("headers", "method", "path", "size", "refusal"),
    [
        ({}, "GET", "/", LARGEST_HEAD, None),
        ({}, "GET", "/", LARGEST_HEAD + 1, "headers_too_large"),
        ({"content-length": str(LARGEST_BODY)}, "POST", "/", 0, None),
        ({"content-length": str(LARGEST_BODY + 1)}, "POST", "/", 0, "body_too_large"),
        ({"content-length": "0"}, "GET", "/", 0, None),
        ({"content-length": "1"}, "GET", "/", 0, "body_unexpected"),
        ({"transfer-encoding": "chunked"}, "HEAD", "/", 0, "body_unexpected"),
        ({}, "GET", "http://127.0.0.1:8484/", 0, "no_proxy"),
        ({}, "OPTIONS", "*", 0, "no_proxy"),
    ],
)
def test_requests_are_small_and_for_us(
    headers: dict[str, str], method: str, path: str, size: int, refusal: str | None
) -> None:
    assert code(HOST | JSON | headers, method=method, path=path, size=size) == refusal


@given(host=st.text(max_size=40), origin=st.text(max_size=40))
def test_no_host_and_no_origin_at_all_is_heard_by_chance(host: str, origin: str) -> None:
    assert code({"host": host}) == "host_unknown"
    if origin:
        assert code(HOST | JSON | {"origin": origin}, method="POST") == "other_site"
        assert code(HOST | JSON | {"origin": f"http://{origin}"}, method="POST") == "other_site"
