"""The login's page and form, its sessions, and the door where tokens are compared."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.status import login, sessions
from watcherd.status.sessions import LASTING, MOST, QUEUE, CrowdedError, Door, Sessions

TOKEN = "obviously-fake-token"


@pytest.mark.parametrize("to", ["/", "/jobs/7", "/jobs?page=2&search=a%20b", "/a/b//c"])
def test_the_login_leads_on_to_where_somebody_wanted_to_go(to: str) -> None:
    form = urlencode({"token": TOKEN, "to": to}).encode()
    assert login.filled_in(form) == (TOKEN, to)
    assert login.filled_in(login.onwards(to).encode()) == ("", to)
    assert f'value="{to.replace("&", "&amp;")}"' in login.page(to=to)


@pytest.mark.parametrize(
    "to",
    [
        "", "jobs", "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example/",
        "/\t/evil", " /jobs", "/a\r\nSet-Cookie: x", "javascript:alert(1)", "/" + "x" * 1000,
        "/\\/evil.example",
    ],
)  # fmt: skip
def test_it_leads_nobody_away_from_this_site(to: str) -> None:
    assert login.filled_in(urlencode({"token": TOKEN, "to": to}).encode()) == (TOKEN, "/")


@given(to=st.text())
def test_wherever_it_leads_is_a_path_of_ours(to: str) -> None:
    parts = urlsplit(login.local(to))
    assert (parts.scheme, parts.netloc, login.local(to)[:1]) == ("", "", "/")
    assert "<" not in login.page(to=to, said=to).replace("\n", "").partition("value=")[2].partition(">")[0]


@pytest.mark.parametrize(
    "form", [b"", b"token=", b"token=a&token=b", b"&".join([b"a=b"] * 11), b"\xff", b"x" * 1000]
)
def test_another_form_says_no_token(form: bytes) -> None:
    assert login.filled_in(form) == ("", "/")


def test_what_went_wrong_is_said_to_a_screen_reader_and_is_escaped() -> None:
    assert '<p role="alert">&lt;b&gt;</p>' in login.page(to="/", said="<b>")
    assert "alert" not in login.page(to="/")


def test_a_session_is_found_among_other_cookies() -> None:
    cookies = 'a="x;y"; watcherd_session=one; b=%%;;; watcherd_session=two; watcherd_sessions=three'
    assert list(login.sessions_of(cookies)) == ["one", "two"]
    assert not list(login.sessions_of(""))


def test_a_cookie_is_for_this_site_and_no_script() -> None:
    cookie = login.set_cookie("abc", lasting=60, encrypted=False)
    assert cookie == "watcherd_session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"
    assert login.set_cookie("abc", lasting=60, encrypted=True) == f"{cookie}; Secure"


def test_a_session_lasts_its_time_or_until_it_is_closed() -> None:
    room = Sessions()
    one, other = room.open(100), room.open(100)
    assert one != other
    assert room.knows(one, 100 + LASTING - 1)
    assert not room.knows(one, 100 + LASTING)
    assert not room.knows("", 100)
    room.close(one)
    room.close("unknown")
    assert not room.knows(one, 100)
    assert room.knows(other, 100)
    room.clear()
    assert not room.knows(other, 100)


def test_there_are_so_many_sessions_and_the_oldest_goes() -> None:
    room = Sessions()
    names = [room.open(now) for now in range(MOST + 1)]
    assert [room.knows(name, MOST) for name in names] == [False, *[True] * MOST]


async def test_the_door_opens_for_the_token_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SPACING", 0)
    door = Door()
    assert await door.opens(TOKEN, TOKEN)
    for said in ("", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\udc80é"):
        assert not await door.opens(said, TOKEN)


async def test_the_owner_gets_in_after_those_who_guess_and_wait_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "SPACING", 0.001)
    door, order = Door(), list[str]()

    async def knock(said: str) -> None:
        await door.opens(said, TOKEN)
        order.append(said)

    async with asyncio.TaskGroup() as tasks:
        for said in ("a", "b", TOKEN, "c"):
            tasks.create_task(knock(said))
    assert order == ["a", "b", TOKEN, "c"]


async def test_there_is_a_queue_of_bounded_length_at_the_door() -> None:
    door = Door()
    guessing = [asyncio.create_task(door.opens("guess", TOKEN)) for _ in range(QUEUE)]
    await asyncio.sleep(0)
    with pytest.raises(CrowdedError):
        await door.opens(TOKEN, TOKEN)
    for guess in guessing:
        guess.cancel()
    await asyncio.wait(guessing)
    assert await door.opens(TOKEN, TOKEN)
