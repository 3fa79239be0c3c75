"""The contract: every format, every error in the API's own shape, one file at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import httpx
import pytest
from fastapi import FastAPI

from tests.whisper.test_engine import heard
from watcherd.whisper.app import application
from watcherd.whisper.audio import UndecodableError
from watcherd.whisper.engine import AbandonedError, Translation

ROUTE = "/v1/audio/translations"
SAID = Translation(
    segments=(heard(0.0, 1.5, " Good --> day."), heard(1.5, 3.25, " And <now> & then.", number=1)),
    duration=3.3333,
    spoken="de",
)


@dataclass
class Stub:
    """An engine that says SAID, or raises `trouble`; with `patient`, only when its client has hung up."""

    trouble: Exception | None = None
    patient: bool = False
    asked: list[tuple[bytes, str, float]] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0
    begun: threading.Event = field(default_factory=threading.Event)

    def translate(
        self, file: BinaryIO, *, prompt: str, temperature: float, abandoned: Callable[[], bool]
    ) -> Translation:
        self.asked.append((file.read(), prompt, temperature))
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        self.begun.set()
        waiting = threading.Event()
        for _ in range(2000 if self.patient else 1):
            if abandoned():
                self.busy -= 1
                raise AbandonedError
            waiting.wait(0.01)
        self.busy -= 1
        if self.trouble:
            raise self.trouble
        return SAID


def client(engine: Stub) -> httpx.AsyncClient:
    app = application(engine, models=["base", "whisper-1"])
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://embedded")


async def post(engine: Stub, **fields: str) -> httpx.Response:
    async with client(engine) as http:
        return await http.post(ROUTE, files={"file": ("a.mp3", b"sound")}, data={"model": "any"} | fields)


def error_of(response: httpx.Response) -> dict[str, Any]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert isinstance(body["error"]["message"], str)
    return dict(body["error"])


async def test_json_is_the_default_and_holds_the_text() -> None:
    response = await post(Stub())
    assert response.json() == {"text": "Good --> day. And <now> & then."}


async def test_text_is_bare() -> None:
    response = await post(Stub(), response_format="text")
    assert response.text == "Good --> day. And <now> & then.\n"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


async def test_srt_and_vtt_come_from_our_own_writers() -> None:
    srt = (await post(Stub(), response_format="srt")).text
    assert srt.startswith("1\n00:00:00,000 --> 00:00:01,500\n")
    assert "2\n00:00:01,500 --> 00:00:03,250\n" in srt
    vtt = (await post(Stub(), response_format="vtt")).text
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n")
    assert "&lt;now&gt; &amp; then" in vtt


async def test_verbose_json_has_every_field_of_the_api() -> None:
    body = (await post(Stub(), response_format="verbose_json")).json()
    assert {key: body[key] for key in ("task", "language", "duration", "text")} == {
        "task": "translate",
        "language": "english",
        "duration": 3.333,
        "text": "Good --> day. And <now> & then.",
    }
    assert [sorted(segment) for segment in body["segments"]] == 2 * [
        [
            "avg_logprob",
            "compression_ratio",
            "end",
            "id",
            "no_speech_prob",
            "seek",
            "start",
            "temperature",
            "text",
            "tokens",
        ]
    ]
    assert body["segments"][1]["text"] == " And <now> & then."


async def test_prompt_temperature_and_file_reach_the_engine() -> None:
    engine = Stub()
    await post(engine, prompt="Wolfgang, Köln", temperature="0.3")
    await post(engine)
    assert engine.asked == [(b"sound", "Wolfgang, Köln", 0.3), (b"sound", "", 0.0)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("response_format", "bogus"),
        ("temperature", "hot"),
        ("temperature", "1.5"),
        ("temperature", "-0.1"),
        ("temperature", "nan"),
        ("model", ""),
    ],
)
async def test_a_wrong_field_is_a_400_that_names_it(name: str, value: str) -> None:
    engine = Stub()
    response = await post(engine, **{name: value})
    error = error_of(response)
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", name)
    assert name in error["message"]
    assert not engine.asked


async def test_a_missing_file_or_model_is_a_400_that_names_it() -> None:
    async with client(Stub()) as http:
        without_file = await http.post(ROUTE, data={"model": "any"})
        without_model = await http.post(ROUTE, files={"file": ("a.mp3", b"sound")})
        as_text = await http.post(ROUTE, data={"model": "any", "file": "not a file"})
        no_form = await http.post(ROUTE, json={"model": "any"})
    assert [answer.status_code for answer in (without_file, without_model, as_text, no_form)] == 4 * [400]
    assert error_of(without_file)["param"] == "file"
    assert error_of(without_model)["param"] == "model"
    assert error_of(as_text)["param"] == "file"
    assert error_of(no_form)["type"] == "invalid_request_error"


async def test_a_broken_form_is_a_400_in_the_same_shape() -> None:
    async with client(Stub()) as http:
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        response = await http.post(ROUTE, content=b"--y\r\nnonsense", headers=kind)
    assert response.status_code == 400
    error_of(response)


async def test_what_cannot_be_decoded_is_a_400_that_says_so() -> None:
    response = await post(Stub(trouble=UndecodableError("it has no audio track")))
    error = error_of(response)
    assert (response.status_code, error["param"]) == (400, "file")
    assert error["message"] == "The audio file could not be decoded: it has no audio track."


async def test_anything_unforeseen_is_a_500_without_its_details() -> None:
    response = await post(Stub(trouble=RuntimeError("secrets of the heap")))
    error = error_of(response)
    assert (response.status_code, error["type"]) == (500, "server_error")
    assert "secrets" not in response.text


async def test_other_routes_and_methods_are_refused_as_the_api_does() -> None:
    async with client(Stub()) as http:
        nowhere = await http.post("/v1/audio/translation")
        wrong_way = await http.get(ROUTE)
        docs = [await http.get(path) for path in ("/docs", "/openapi.json", "/redoc")]
    assert (nowhere.status_code, wrong_way.status_code) == (404, 405)
    assert error_of(nowhere)["message"] == "Invalid URL (POST /v1/audio/translation)"
    assert error_of(wrong_way)["message"] == f"Not allowed (GET {ROUTE})"
    assert [answer.status_code for answer in docs] == [404, 404, 404]


async def test_the_list_of_models_is_the_apis() -> None:
    async with client(Stub()) as http:
        body = (await http.get("/v1/models")).json()
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == ["base", "whisper-1"]


async def test_files_are_translated_one_at_a_time() -> None:
    engine = Stub()
    async with client(engine) as http:
        form: dict[str, Any] = {"files": {"file": ("a.mp3", b"sound")}, "data": {"model": "any"}}
        answers = await asyncio.gather(*(http.post(ROUTE, **form) for _ in range(5)))
    assert [answer.status_code for answer in answers] == 5 * [200]
    assert (len(engine.asked), engine.busiest) == (5, 1)


async def call_and_hang_up(app: FastAPI, begun: asyncio.Event) -> None:
    """One request whose client goes away when `begun` is set."""
    form = httpx.Request(
        "POST", f"http://embedded{ROUTE}", files={"file": ("a.mp3", b"sound")}, data={"model": "any"}
    )
    body = form.read()
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        if (message := next(messages, None)) is not None:
            return message
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(_message: object) -> None:
        pass

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": ROUTE,
        "raw_path": ROUTE.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in form.headers.raw],
    }
    await app(scope, receive, send)


async def test_a_client_that_hangs_up_ends_its_work_and_lets_the_next_one_in() -> None:
    engine = Stub(patient=True)
    app = application(engine, models=["base"])
    gone = asyncio.Event()
    first = asyncio.create_task(call_and_hang_up(app, gone))
    await asyncio.to_thread(engine.begun.wait, 10)
    second = asyncio.create_task(call_and_hang_up(app, gone))
    assert engine.busy == 1
    gone.set()
    async with asyncio.timeout(10):
        await asyncio.gather(first, second)
    assert (engine.busy, engine.busiest) == (0, 1)
