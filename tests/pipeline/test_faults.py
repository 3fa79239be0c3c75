"""Every way an endpoint can fail, through the real queue: the action taken, and where the file is afterwards."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial

import pytest

from tests.pipeline.world import World, names
from tests.servers.endpoint import Behaviour, HangUp, Raw, Respond, error
from watcherd.cli.table import table
from watcherd.control import EndpointLive, InboxLive
from watcherd.endpoint.client import Client
from watcherd.job import Job, Postponed, State, WaitReason
from watcherd.journal.reader import reading
from watcherd.status.shapes import DaemonStatus
from watcherd.status.snapshot import read_record, status_of

DONE, FAILED, PAUSED, BACKOFF = "done", "failed", "endpoint paused", "backoff"
HTML = b"<!DOCTYPE html><html><head><title>%s</title></head><body></body></html>"


def page(status: int, title: bytes = b"nginx") -> Respond:
    return Respond(status=status, headers={"Content-Type": "text/html"}, body=HTML % title)


def text(status: int, body: str, **headers: str) -> Respond:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Respond(status=status, headers=named, body=body.encode())


def detail(status: int, value: object) -> Respond:
    return Respond(status=status, body=json.dumps({"detail": value}).encode())


@dataclass(frozen=True)
class Case:
    """What the endpoint does, first to last, and what comes of it.

    `ends` is a final state or the reason of the first wait; `formats` are the response formats asked for.
    """

    name: str
    answers: tuple[Behaviour, ...]
    ends: str
    fault: str = ""
    requests: int = 1
    seconds: float | None = None  # the pause, where the server wishes one


CASES = (
    # The file's own faults.
    Case("413 of OpenAI", (error(413, "Maximum content size limit (26214400) exceeded"),), DONE, requests=2),
    Case("413 of nginx", (page(413, b"413 Request Entity Too Large"),), DONE, requests=2),
    Case("longer than", (error(400, "audio duration 1500 seconds is longer than 1400 seconds", code="invalid_value"),), DONE, requests=2),
    Case("too short", (error(400, "Audio file is too short. Minimum audio length is 0.1 seconds.", code="audio_too_short"),), DONE),
    Case("cannot decode, FLAC can", (error(400, "The audio file could not be decoded"),), DONE, requests=2),
    Case("415 of speaches", (detail(415, "Failed to decode audio"),), DONE, requests=2),
    Case("never decodable", (error(400, "Invalid file format. Supported formats: ['flac']"),) * 2, FAILED, "undecodable", 2),
    Case("whisper.cpp", (text(400, "Invalid request"),) * 2, FAILED, "undecodable", 2),
    Case("no verbose_json", (error(400, "Currently only support response_format json or text", code="unsupported_value"),), DONE, requests=2),
    Case("no format but json", (detail(422, [{"loc": ["body", "response_format"], "msg": "bad"}]),) * 3, DONE, requests=4),
    Case("optional fields refused", (error(400, "Unknown parameter: 'temperature'"),), DONE, requests=2),
    Case("refused for good", (error(400, "We do not like it"),) * 2, FAILED, "request_refused", 2),
    Case("500 once", (text(500, "Internal Server Error"),), BACKOFF, "server_error"),
    Case("408", (text(408, "timeout"),), BACKOFF, "try_again"),
    Case("409", (error(409, "conflict"),), BACKOFF, "try_again"),
    Case("425", (text(425, ""),), BACKOFF, "try_again"),
    Case("empty body", (Respond(body=b""),), BACKOFF, "empty_body"),
    Case("JSON cut off", (Respond(body=b'{"text": "Hello", "segm'),), BACKOFF, "garbled_reply"),
    Case("short Content-Length", (Respond(cut=30),), BACKOFF, "connection_lost"),
    Case("reset in the answer", (Respond(cut=30, reset=True),), BACKOFF, "connection_lost"),
    Case("hung up without a word", (HangUp(),), BACKOFF, "connection_lost"),
    Case("reset in the upload", (HangUp(after=1000, reset=True),), BACKOFF, "connection_lost"),
    Case("no HTTP at all", (Raw(data=b"SSH-2.0-OpenSSH_9.2\r\n"),), BACKOFF, "connection_lost"),
    Case("never answers", (Respond(hold=True),), BACKOFF, "read_timeout"),
    Case("drips", (Respond(drip=0.2),), BACKOFF, "read_timeout"),
    Case("untimed", (Respond(body=b'{"text": "Hello."}'), Respond(body=b'{"text": "Hello."}')), DONE, requests=2),
    Case("silence", (Respond(body=b'{"text": "", "segments": [], "duration": 3.0, "language": "english"}'),), DONE),
    Case("SRT for verbose_json", (Respond(body=b"1\n00:00:00,000 --> 00:00:01,000\n Hi.\n"),), DONE),
    # The endpoint's faults: no file is charged, none is moved.
    Case("wrong key", (error(401, "Incorrect API key provided", code="invalid_api_key"),), PAUSED, "key_refused", seconds=900),
    Case("wrong key of speaches", (detail(403, "Invalid API key"),), PAUSED, "key_refused"),
    Case("token used up", (error(401, "该令牌额度已用尽"),), PAUSED, "quota_exhausted"),
    Case("402", (text(402, "Payment Required"),), PAUSED, "quota_exhausted"),
    Case("insufficient_quota", (error(429, "You exceeded your current quota", code="insufficient_quota"),), PAUSED, "quota_exhausted", seconds=900),
    Case("quota in a 403", (error(403, "quota is not enough", code="insufficient_user_quota"),), PAUSED, "quota_exhausted"),
    Case("quota in a 500", (error(500, "pre_consume_token_quota_failed"),), PAUSED, "quota_exhausted"),
    Case("quota with 200", (Respond(body=b'{"error": {"message": "credit_balance_exhausted"}}'),), PAUSED, "quota_exhausted"),
    Case("forbidden", (error(403, "Country, region, or territory not supported"),), PAUSED, "forbidden"),
    Case("model unknown", (error(404, "The model `x` does not exist", code="model_not_found"),), PAUSED, "model_unknown"),
    Case("no channel", (error(503, "no available channel", code="model_not_found"),), PAUSED, "model_unavailable"),
    Case("no such route", (error(404, "Invalid URL (POST /v1/audio/translations)"),), PAUSED, "route_missing"),
    Case("405", (text(405, "Method Not Allowed"),), PAUSED, "route_missing"),
    Case("301", (Respond(status=301, headers={"Location": "https://elsewhere.example/"}, body=b""),), PAUSED, "redirected"),
    Case("308", (Respond(status=308, headers={"Location": "/v2"}, body=b""),), PAUSED, "redirected"),
    Case("HTML with 200", (page(200, b"Welcome"),), PAUSED, "web_page"),
    Case("rate limit, no header", (error(429, "Rate limit reached", code="rate_limit_exceeded"),), PAUSED, "rate_limited"),
    Case("rate limit, seconds", (text(429, "slow down", Retry_After="7"),), PAUSED, "rate_limited", seconds=7),
    Case("rate limit, ms", (text(429, "slow down", retry_after_ms="2500"),), PAUSED, "rate_limited", seconds=2.5),
    Case("rate limit, reset", (text(429, "slow down", x_ratelimit_reset_requests="1m3s"),), PAUSED, "rate_limited", seconds=63),
    Case("498 of Groq", (text(498, "capacity exceeded"),), PAUSED, "overloaded"),
    Case("502", (page(502, b"502 Bad Gateway"),), PAUSED, "unavailable"),
    Case("503 with Retry-After", (text(503, "loading", Retry_After="3"),), PAUSED, "unavailable", seconds=3),
    Case("504", (page(504, b"504 Gateway Time-out"),), PAUSED, "gateway_timeout"),
    Case("524", (page(524, b"A timeout occurred"),), PAUSED, "gateway_timeout"),
    Case("529", (text(529, "overloaded"),), PAUSED, "overloaded"),
)  # fmt: skip


def status_of_all(world: World) -> str:
    """What `watcherd status` says."""
    gate, folder = world.queue._benches["inbox"].gate, world.queue._benches["inbox"].folder
    pause = gate.pause
    endpoint = EndpointLive(
        name=gate.endpoint.name,
        base_url=gate.endpoint.base_url,
        model=gate.endpoint.model,
        slots=gate.endpoint.concurrency,
        concurrency=gate.concurrency,
        in_flight=gate.in_flight,
        minutes_today=gate.minutes_today,
        minutes_per_day=None,
        paused_since=None if pause is None else pause.since,
        paused_until=None if pause is None else pause.until,
        fault=None if pause is None else pause.fault,
    )
    inbox = InboxLive(
        name="inbox", path=bytes(folder.inbox), endpoint=gate.endpoint.name, condition="watching"
    )
    with reading(world.home / "journal.sqlite3") as reader:
        record = read_record(reader)
    daemon = DaemonStatus(state="running")
    return table(status_of(record, daemon=daemon, inboxes=[inbox], endpoints=[endpoint], now=time.time()))


def check_status(said: str, case: Case, job: Job) -> None:
    """The file, its state with reason and time, message and hint; the endpoint's pause with its reason."""
    assert "talk.mp3" in said
    if job.fault is not None:
        assert said.count(job.fault.message) == (2 if case.ends == PAUSED else 1), said
        assert job.fault.hint in said
    endpoint = said.partition("endpoints")[2].partition("\n\n")[0]
    assert ("paused since" in endpoint and "tried again at" in endpoint) == (case.ends == PAUSED)
    waiting, _, recent = said.partition("last done and failed")
    assert ("talk.mp3" in recent) == (case.ends in {DONE, FAILED})
    assert (f"[{case.ends}, until" in waiting) == (case.ends not in {DONE, FAILED})


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_what_comes_of_it(world: World, case: Case) -> None:
    for answer in case.answers:
        world.endpoint.script(answer)
    job = await world.run("talk.mp3")
    check_status(status_of_all(world), case, job)
    assert (job.reason if job.state is State.WAITING else job.state) == case.ends
    assert ("" if job.fault is None else job.fault.code) == case.fault
    assert len(world.endpoint.requests) + world.endpoint.held == case.requests or case.name == "never answers"
    assert names(world.home / "work") == []
    match case.ends:
        case "done":
            assert names(world.home / "done") == ["talk.mp3", "talk.srt", "talk.txt", "talk.vtt"]
            assert names(world.home / "inbox") == names(world.home / "failed") == []
        case "failed":
            assert names(world.home / "failed") == ["talk.mp3", "talk.mp3.error.json"]
            assert names(world.home / "inbox") == names(world.home / "done") == []
        case _:
            assert names(world.home / "inbox") == ["talk.mp3"]
            assert names(world.home / "failed") == names(world.home / "done") == []
            assert job.attempts == (1 if job.reason is WaitReason.BACKOFF else 0), "who is charged"
    if case.seconds is not None:
        waits = [event for _, event in world.events if isinstance(event, Postponed)]
        assert waits[-1].until - time.time() == pytest.approx(
            case.seconds, abs=5 if case.seconds > 60 else 1.5
        )


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"base_url": "http://127.0.0.1:9/v1"}, "connection_refused"),
        ({"base_url": "https://127.0.0.1:{port}/v1"}, "tls_failed"),
        ({"base_url": "http://no-such-host.invalid/v1", "allow_http": True}, "name_not_found"),
    ],
    ids=["refused", "TLS to a plain port", "DNS"],
)
async def test_an_endpoint_that_cannot_be_reached_is_paused(
    world: World, changes: dict[str, object], fault: str
) -> None:
    bench = world.queue._benches["inbox"]
    settings = world.endpoint.settings(
        **{
            key: value.format(port=world.endpoint.port) if isinstance(value, str) else value
            for key, value in changes.items()
        }
    )
    bench.gate._new_client = partial(Client, settings)
    job = await world.run("talk.mp3")
    assert job.state is State.WAITING
    assert job.reason is WaitReason.ENDPOINT_PAUSED
    assert job.fault is not None
    assert job.fault.code == fault
    assert names(world.home / "inbox") == ["talk.mp3"]
