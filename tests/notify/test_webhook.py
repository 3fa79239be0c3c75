"""One request of a webhook against a real receiver: signed, named, never led elsewhere, never with an address
in an error."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.notify.receiver import SECRET, Receiver
from tests.notify.support import folder, office
from watcherd import __version__
from watcherd.config.hooks import Webhook
from watcherd.journal.notices import Notice
from watcherd.notify import webhook as room
from watcherd.notify.webhook import Post, signature


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
async def notice(tmp_path: Path) -> Notice:
    async with office(tmp_path / "journal", folder(notify=[{"url": "https://h/x"}]), run=False) as here:
        await here.end("naïve.mp3".encode())
        return replace(here.notices()[0], attempts=2)


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with Post() as running:
        yield running


def test_the_signature_is_the_one_that_others_work_out() -> None:
    # printf '1700000000.{}' | openssl dgst -sha256 -hmac key
    assert signature("key", "1700000000", b"{}") == (
        "sha256=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
    )


async def test_a_request_is_signed_and_names_event_and_attempt(
    receiver: Receiver, notice: Notice, post: Post
) -> None:
    now = time.time()
    settings = Webhook.model_validate({"url": receiver.url, "secret": SECRET})
    assert await post.send(settings, notice, now=now) == ("", "")
    (got,) = receiver.received
    assert got.is_signed
    assert got.path == "/hook?token=fake-token-in-the-address"
    assert got.body == notice.draft.body.encode()
    assert json.loads(got.body)["job"]["file"]["path"].endswith("naïve.mp3")
    headers = got.headers
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == f"watcherd/{__version__}"
    assert headers["X-Watcherd-Event"] == "done"
    assert headers["X-Watcherd-Id"] == notice.draft.event_id == got.letter["id"]
    assert headers["X-Watcherd-Attempt"] == "3"
    assert headers["X-Watcherd-Timestamp"] == str(int(now))


async def test_without_a_secret_nothing_is_signed_and_no_cookie_comes_back(
    receiver: Receiver, notice: Notice, post: Post
) -> None:
    settings = Webhook.model_validate({"url": receiver.url})
    for _ in range(2):
        await post.send(settings, notice, now=0.0)
    assert [{"X-Watcherd-Signature", "Cookie"} & set(got.headers) for got in receiver.received] == [set()] * 2


@pytest.mark.parametrize("status", [301, 307, 400, 401, 410, 500, 503])
async def test_any_other_answer_is_a_failure_and_a_redirect_is_not_followed(
    receiver: Receiver, notice: Notice, post: Post, status: int
) -> None:
    receiver.answers.append(status)
    settings = Webhook.model_validate({"url": receiver.url, "secret": SECRET})
    said = await post.send(settings, notice, now=0.0)
    assert said == (f"it answered {status}", "the receiver says no")
    assert len(receiver.received) == 1


@pytest.mark.parametrize("answer", [None, 500])
async def test_a_receiver_that_never_answers_or_never_ends_is_given_up(
    receiver: Receiver, notice: Notice, post: Post, monkeypatch: pytest.MonkeyPatch, answer: int | None
) -> None:
    monkeypatch.setattr(room, "SECONDS", 0.1)
    receiver.answers.append(answer)
    receiver.drips = True
    settings = Webhook.model_validate({"url": receiver.url})
    assert await post.send(settings, notice, now=0.0) == ("it did not answer in time", "")


async def test_trouble_on_the_way_is_said_without_the_address(
    receiver: Receiver, notice: Notice, post: Post
) -> None:
    plain = receiver.url.replace("http:", "https:")
    secure = Webhook.model_validate({"url": plain})
    said, _ = await post.send(secure, notice, now=0.0)
    assert said == "no secure connection: is its certificate valid?"
    receiver.stop()
    settings = Webhook.model_validate({"url": receiver.url})
    assert await post.send(settings, notice, now=0.0) == ("no connection", "")
    nowhere = Webhook.model_validate({"url": "https://no-such-host.invalid/secret"})
    assert await post.send(nowhere, notice, now=0.0) == ("no connection", "")
