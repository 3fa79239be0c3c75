"""Every failure that servers are known for, and many that they are not, gets the right fault."""

from __future__ import annotations

import json
import math
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.endpoint import wording
from watcherd.endpoint.complaint import address, is_page, shown
from watcherd.endpoint.diagnose import SIGNS, ReplyTooLargeError, diagnose, diagnose_transport
from watcherd.endpoint.wording import Diagnosis
from watcherd.faults import Fault, Remedy, Scope

URL = "https://api.example.com/v1/audio/translations"
NOW = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC

FILE, ENDPOINT = Scope.FILE, Scope.ENDPOINT


def openai(
    message: str, *, code: object = None, kind: str = "invalid_request_error", param: object = None
) -> bytes:
    error = {"message": message, "type": kind, "param": param, "code": code}
    return json.dumps({"error": error}, ensure_ascii=False).encode()


def page(title: str) -> bytes:
    return f"<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body></html>".encode()


def detail(value: object) -> bytes:
    return json.dumps({"detail": value}).encode()


@dataclass(frozen=True)
class Case:
    """An answer as a server sent it, and what it means."""

    name: str
    status: int
    body: bytes
    means: tuple[Scope, str, Remedy]
    headers: Mapping[str, str] = field(default_factory=dict)


QUOTA = (ENDPOINT, "quota_exhausted", Remedy.PAUSE)
RATE = (ENDPOINT, "rate_limited", Remedy.PAUSE)
KEY = (ENDPOINT, "key_refused", Remedy.CONFIGURE)
FORBIDDEN = (ENDPOINT, "forbidden", Remedy.CONFIGURE)
MODEL_FORBIDDEN = (ENDPOINT, "model_forbidden", Remedy.CONFIGURE)
MODEL_UNKNOWN = (ENDPOINT, "model_unknown", Remedy.CONFIGURE)
MODEL_AWAY = (ENDPOINT, "model_unavailable", Remedy.PAUSE)
ROUTE = (ENDPOINT, "route_missing", Remedy.CONFIGURE)
REDIRECT = (ENDPOINT, "redirected", Remedy.CONFIGURE)
PAGE = (ENDPOINT, "web_page", Remedy.CONFIGURE)
PROXY = (ENDPOINT, "proxy_refused", Remedy.CONFIGURE)
AWAY = (ENDPOINT, "unavailable", Remedy.RETRY)
BUSY = (ENDPOINT, "overloaded", Remedy.RETRY)
GATEWAY = (ENDPOINT, "gateway_timeout", Remedy.RETRY)
LARGE = (FILE, "too_large", Remedy.SPLIT)
LONG = (FILE, "audio_too_long", Remedy.SPLIT)
SHORT = (FILE, "audio_too_short", Remedy.SILENT)
UNDECODABLE = (FILE, "undecodable", Remedy.TRANSCODE)
FORMAT = (FILE, "format_refused", Remedy.FORMAT)
REFUSED = (FILE, "request_refused", Remedy.PLAIN)
AGAIN = (FILE, "try_again", Remedy.RETRY)
SERVER = (FILE, "server_error", Remedy.RETRY)
ODD = (FILE, "unexpected_status", Remedy.RETRY)
ERROR_REPLY = (FILE, "error_reply", Remedy.RETRY)

TOO_BIG = "Maximum content size limit (26214400) exceeded (26222592 bytes read)"
GROQ_LIMIT = (
    "Rate limit reached for model `whisper-large-v3` on seconds of audio per hour (ASPH): Limit 7200,"
    " Used 7189. Please try again in 34.5s. Need more tokens? Upgrade today at https://console.groq.com/settings/billing"
)
ONE_API = "type invalid_request_error, code {}, message {} (request id: 2026010112000012345678Abcdef)"
VALIDATION = [
    {"type": "enum", "loc": ["body", "response_format"], "msg": "Input should be 'json'", "input": "vtt"}
]

CASES = [
    # The upload is too large
    Case("openai 413", 413, openai(TOO_BIG, kind="server_error"), LARGE),
    Case("groq 413", 413, openai("Request Entity Too Large", code="request_too_large"), LARGE),
    Case("nginx 413", 413, page("413 Request Entity Too Large"), LARGE, {"Connection": "close"}),
    Case("cloudflare 413", 413, page("413 Payload Too Large"), LARGE),
    Case("413 without a body", 413, b"", LARGE),
    Case("vllm 400 on size", 400, openai("Maximum file size exceeded", code=400), LARGE),
    Case("one-api's 500 around a 413", 500, openai(ONE_API.format("", TOO_BIG), code="request_error"), LARGE),
    # Too long, too short
    Case(
        "openai on duration",
        400,
        openai(
            "audio duration 1500.2 seconds is longer than 1400 seconds which is the maximum",
            code="invalid_value",
        ),
        LONG,
    ),
    Case(
        "invalid_value on duration", 400, openai("Invalid duration of the audio", code="invalid_value"), LONG
    ),
    Case(
        "openai on short audio",
        400,
        openai("Audio file is too short. Minimum audio length is 0.1 seconds.", code="audio_too_short"),
        SHORT,
    ),
    Case("too short, no code", 400, openai("The audio is too short. Minimum audio length is 0.01 s"), SHORT),
    # Undecodable
    Case(
        "openai decode",
        400,
        openai("The audio file could not be decoded or its format is not supported."),
        UNDECODABLE,
    ),
    Case(
        "openai old format text",
        400,
        openai("Invalid file format. Supported formats: ['flac', 'm4a']"),
        UNDECODABLE,
    ),
    Case("openai new format text", 400, openai("Unsupported file format opus", param="file"), UNDECODABLE),
    Case(
        "model and container",
        400,
        openai("This model does not support the format you provided."),
        UNDECODABLE,
    ),
    Case(
        "corrupted",
        400,
        openai("Audio file might be corrupted or unsupported", code="invalid_value"),
        UNDECODABLE,
    ),
    Case(
        "speaches 415",
        415,
        detail("Failed to decode audio. The provided file type is not supported."),
        UNDECODABLE,
    ),
    Case("415 without a body", 415, b"", UNDECODABLE),
    Case("fws 500 in plain text", 500, b"Failed to decode audio: invalid header", UNDECODABLE),
    Case("whisper.cpp 500", 500, b'{"error":"failed to read audio data"}', UNDECODABLE),
    Case("whisper.cpp plain text", 400, b"Invalid request", UNDECODABLE),
    Case(
        "ffmpeg's own words", 500, b"[Errno 1094995529] Invalid data found when processing input", UNDECODABLE
    ),
    Case(
        "new-api duration",
        500,
        openai("error getting audio duration: EOF", code="count_token_failed"),
        UNDECODABLE,
    ),
    # Response format
    Case("groq srt", 400, openai("`response_format` must be one of [json, text, verbose_json]"), FORMAT),
    Case("vllm srt", 400, openai("Currently only support response_format `text`, `json`", code=400), FORMAT),
    Case(
        "openai on a format",
        400,
        openai("Value 'srt' is not compatible", code="unsupported_value", param="response_format"),
        FORMAT,
    ),
    Case("speaches 422 list", 422, detail(VALIDATION), FORMAT),
    Case(
        "fws nested detail", 400, detail({"error": {"message": "Unsupported response format: bogus"}}), FORMAT
    ),
    # Other refusals of a request
    Case("400 on a language", 400, openai("Input should be 'en'", param="language"), REFUSED),
    Case(
        "422 on temperature", 422, detail([{"loc": ["body", "temperature"], "msg": "not a number"}]), REFUSED
    ),
    Case("400 with an empty body", 400, b"", REFUSED),
    Case(
        "cometapi's 500 that is a 400",
        500,
        openai("bad form", code="invalid_request", kind="comet_api_error"),
        REFUSED,
    ),
    Case(
        "new-api conversion",
        500,
        openai("unexpected end", code="convert_request_failed", kind="new_api_error"),
        REFUSED,
    ),
    Case(
        "one-api's upstream failure",
        500,
        openai("type server_error, code , message x", code="request_error"),
        SERVER,
    ),
    Case(
        "one-api, embedded code",
        500,
        openai(ONE_API.format("audio_too_short", "x"), code="request_error"),
        SHORT,
    ),
    # The key
    Case("openai 401", 401, openai("Incorrect API key provided: sk-abc***xyz.", code="invalid_api_key"), KEY),
    Case("nginx 401", 401, page("401 Authorization Required"), KEY),
    Case("localai 401", 401, b'{"error":{"message":"Authentication failed","code":401}}', KEY),
    Case("azure 401", 401, openai("Access denied due to invalid subscription key", code="401"), KEY),
    Case("new-api 401 in Chinese", 401, openai("无效的令牌", kind="new_api_error"), KEY),
    Case("speaches 403", 403, detail("Invalid API key"), KEY),
    Case("fastapi 403", 403, detail("Not authenticated"), KEY),
    Case(
        "wrapped key",
        500,
        openai(ONE_API.format("invalid_api_key", "Incorrect API key"), code="request_error"),
        KEY,
    ),
    Case("unauthorized in a 500", 500, b"Unauthorized", KEY),
    # The account
    Case("402", 402, openai("Payment required"), QUOTA),
    Case(
        "openai 429 that is no rate limit",
        429,
        openai(
            "You exceeded your current quota, please check your plan and billing details.",
            code="insufficient_quota",
        ),
        QUOTA,
        {"Retry-After": "5"},
    ),
    Case(
        "new-api 403",
        403,
        openai("用户额度不足", code="insufficient_user_quota", kind="new_api_error"),
        QUOTA,
    ),
    Case("new-api 403, pre-consumed", 403, openai("x", code="pre_consume_token_quota_failed"), QUOTA),
    Case("one-api 401", 401, openai("该令牌额度已用尽", kind="one_api_error"), QUOTA),
    Case("one-api 500", 500, openai("user quota is not enough", kind="one_api_error"), QUOTA),
    Case("401 with a balance", 401, openai("Your account balance is 0"), QUOTA),
    Case("credit", 429, openai("no credits", code="credit_balance_exhausted"), QUOTA),
    Case("spend limit", 429, openai("x", code="project_spend_limit_exceeded"), QUOTA),
    Case("organization limit", 429, openai("x", code="organization_usage_limit_exceeded"), QUOTA),
    Case(
        "billing", 403, openai("Account is not active, check your billing", code="billing_not_active"), QUOTA
    ),
    # Rights and models
    Case(
        "region",
        403,
        openai("Country, region, or territory not supported", code="unsupported_country"),
        FORBIDDEN,
    ),
    Case("cloudflare 403", 403, page("Attention Required! | Cloudflare"), FORBIDDEN),
    Case(
        "model not allowed",
        403,
        openai("该令牌无权使用模型 whisper-1", kind="new_api_error"),
        MODEL_FORBIDDEN,
    ),
    Case(
        "openai project",
        403,
        openai("Project `proj_x` does not have access to model `whisper-1`"),
        MODEL_FORBIDDEN,
    ),
    Case(
        "openai model",
        404,
        openai("The model `x` does not exist or you do not have access to it.", code="model_not_found"),
        MODEL_UNKNOWN,
    ),
    Case(
        "vllm model",
        404,
        b'{"object":"error","message":"The model `x` does not exist.","code":404}',
        MODEL_UNKNOWN,
    ),
    Case(
        "azure deployment",
        404,
        openai("The API deployment does not exist.", code="DeploymentNotFound"),
        MODEL_UNKNOWN,
    ),
    Case("speaches model", 404, detail("Model 'Systran/x' is not installed locally."), MODEL_UNKNOWN),
    Case(
        "new-api channel",
        503,
        openai("No available channel for model whisper-1", code="model_not_found"),
        MODEL_AWAY,
    ),
    Case(
        "new-api channel in Chinese",
        503,
        openai("当前分组 default 下对于模型 whisper-1 无可用渠道"),
        MODEL_AWAY,
    ),
    # The route
    Case("openai wrong route", 404, openai("Invalid URL (POST /v1/audio/translation)"), ROUTE),
    Case("litellm", 404, detail("Not Found"), ROUTE),
    Case("whisper.cpp", 404, b"File Not Found (/v1/audio/translations)", ROUTE),
    Case("azure route", 404, openai("Resource not found", code="404"), ROUTE),
    Case("nginx 404", 404, page("404 Not Found"), ROUTE),
    Case("fastapi 405", 405, detail("Method Not Allowed"), ROUTE),
    Case("wrapped route", 500, openai("Invalid URL (POST /audio/translations)", code="request_error"), ROUTE),
    Case(
        "301", 301, page("301 Moved Permanently"), REDIRECT, {"Location": "https://www.example.com/?key=abc"}
    ),
    Case("302 to a login", 302, b"", REDIRECT, {"Location": "/login"}),
    Case("307", 307, b"", REDIRECT),
    Case(
        "nginx 308", 308, page("308 Permanent Redirect"), REDIRECT, {"Location": "https://api.example.com/v1"}
    ),
    Case("200 with a page", 200, page("Welcome to nginx!"), PAGE),
    Case("a proxy's 407", 407, page("Proxy Authentication Required"), PROXY),
    # Again, later, slower
    Case("408", 408, b"", AGAIN),
    Case("409", 409, openai("The resource is locked"), AGAIN),
    Case("425", 425, b"", AGAIN),
    Case(
        "openai 429",
        429,
        openai("Rate limit reached for requests", code="rate_limit_exceeded", kind="requests"),
        RATE,
    ),
    Case(
        "groq 429 with a billing link",
        429,
        openai(GROQ_LIMIT, code="rate_limit_exceeded", kind="seconds"),
        RATE,
    ),
    Case("nginx 429", 429, page("429 Too Many Requests"), RATE),
    Case("one-api 429", 429, openai("当前分组上游负载已饱和 请稍后再试"), RATE),
    Case("429 in json", 429, b'{"error":"slow down"}', RATE, {"Retry-After": "2"}),
    Case("openai 503 slow down", 503, openai("Slow down", code="slow_down"), RATE),
    Case("429 without a body", 429, b"", RATE),
    Case(
        "wrapped rate limit",
        500,
        openai(ONE_API.format("rate_limit_exceeded", "x"), code="request_error"),
        RATE,
    ),
    Case("groq capacity", 498, openai("over capacity", code="capacity_exceeded"), BUSY),
    Case("499", 499, b"", AWAY),
    Case("nginx 502", 502, page("502 Bad Gateway"), AWAY),
    Case("a load balancer's 503", 503, b"no healthy upstream: load balance failed", AWAY),
    Case("localai loading", 503, openai("loading", code="model_loading"), AWAY, {"Retry-After": "3"}),
    Case("nginx 504", 504, page("504 Gateway Time-out"), GATEWAY),
    Case("cloudflare 524", 524, page("example.com | 524: A timeout occurred"), GATEWAY),
    *(Case(f"cloudflare {status}", status, b"", AWAY) for status in (520, 521, 522, 523, 525, 526, 527)),
    Case("529", 529, openai("Overloaded", kind="overloaded_error"), BUSY),
    Case("fws 500", 500, b"Internal Server Error", SERVER),
    Case("localai 500 in opaque mode", 500, b"", SERVER),
    Case("whisper.cpp temperature", 500, b'{"error":"stof"}', SERVER),
    Case("507", 507, b"", SERVER),
    Case("418", 418, b"", ODD),
    Case("204", 204, b"", ODD),
    # An error with status 200
    Case("whisper.cpp before 2026", 200, b'{"error":"failed to read audio data"}', UNDECODABLE),
    Case("one-api family", 200, '{"success":false,"message":"用户额度不足"}'.encode(), QUOTA),
    Case("unknown error", 200, b'{"error":"boom"}', ERROR_REPLY),
]


def told(case: Case) -> Fault:
    return diagnose(case.status, case.headers, case.body, url=URL, now=NOW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_known_failure_has_its_fault(case: Case) -> None:
    fault = told(case)
    assert (fault.scope, fault.code, fault.remedy) == case.means
    assert fault.status == case.status
    assert_fit_for_people(fault)
    assert URL in fault.message


def assert_fit_for_people(fault: Fault) -> None:
    assert fault.message
    assert fault.hint.endswith(".")
    assert not fault.message.endswith((".", "\n"))
    assert not set("{}") & set(fault.hint)
    assert len(fault.said) <= 300
    for text in (fault.message, fault.said, fault.request_id or ""):
        assert text.isprintable()


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        (500, "insufficient_quota", "quota_exhausted"),
        (500, "You exceeded your current quota", "quota_exhausted"),
        (500, "insufficient balance", "quota_exhausted"),
        (500, "Insufficient credits", "quota_exhausted"),
        (500, "余额不足", "quota_exhausted"),
        (503, "用户额度不足", "quota_exhausted"),
        (500, "request_too_large", "too_large"),
        (500, "Payload too large", "too_large"),
        (400, "file is too large", "too_large"),
        (500, "exceeded call rate limit", "rate_limited"),
        (500, "Too Many Requests", "rate_limited"),
        (500, "No available channel for model x", "model_unavailable"),
        (503, "model_not_found", "model_unavailable"),
        (500, "model_not_found", "model_unknown"),
        (404, "DeploymentNotFound", "model_unknown"),
        (404, 'model "x" not found, try pulling it first', "model_unknown"),
        (500, "invalid_api_key", "key_refused"),
        (500, "Incorrect API key provided", "key_refused"),
        (500, "无效的令牌", "key_refused"),
        (403, "wrong api-key", "key_refused"),
        (403, "token expired", "key_refused"),
        (500, "audio_too_short", "audio_too_short"),
        (500, "Recording too short. Minimum audio length is 0.01 s", "audio_too_short"),
        (500, "The audio is too short", "audio_too_short"),
        (500, "duration 1500 is longer than 1400 s", "audio_too_long"),
        (500, "longer than 1400 seconds", "audio_too_long"),
        (500, "longer than 30 symbols", "server_error"),
        (500, "error getting audio duration", "undecodable"),
        (500, "count_token_failed", "undecodable"),
        (400, "Unsupported response format", "format_refused"),
        (500, "unexpected response format of the upstream", "server_error"),
        (500, "Invalid request", "undecodable"),
        (400, "Invalid request: no file", "request_refused"),
        (500, "request_error", "request_refused"),
        (500, "request_error: overloaded", "server_error"),
        (500, "request_error: timed out", "server_error"),
        (500, "request_error: upstream unavailable", "server_error"),
        (410, "", "route_missing"),
        (501, "", "route_missing"),
        (530, "", "unavailable"),
    ],
)
def test_a_few_words_are_enough(status: int, words: str, code: str) -> None:
    assert diagnose(status, {}, words.encode(), url=URL, now=NOW).code == code


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        (413, "rate_limit_exceeded: request too large for the model", "too_large"),
        (429, "rate_limit_exceeded, add a payment method under billing", "rate_limited"),
        (429, "slow_down, insufficient_quota", "quota_exhausted"),
        (401, "invalid_api_key, check your billing", "quota_exhausted"),
        (401, "The model `x` does not exist", "key_refused"),
        (403, "no access to model x with this api key", "model_forbidden"),
        (503, "model_not_found: the model does not exist", "model_unavailable"),
        (400, "response_format: the model does not support the format", "format_refused"),
        (400, "invalid_value: duration too short. Minimum audio length is 1 s", "audio_too_short"),
        (404, "Invalid URL (POST /v1): model not found", "model_unknown"),
        (302, "insufficient_quota", "redirected"),
        (401, "wrong key, see https://example.com/settings/billing", "key_refused"),
    ],
)
def test_the_order_of_the_signs_decides_where_words_disagree(status: int, words: str, code: str) -> None:
    assert diagnose(status, {}, words.encode(), url=URL, now=NOW).code == code


def test_every_diagnosis_is_reached() -> None:
    """Every diagnosis in the table of signs is shown by one of the cases."""
    reached = {told(case).code for case in CASES}
    assert {sign.means.code for sign in SIGNS} <= reached


def test_codes_of_diagnoses_are_unique() -> None:
    codes = [value.code for value in vars(wording).values() if isinstance(value, Diagnosis)]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("status", [*range(100, 600), 999])
def test_every_status_without_a_word_of_explanation_has_a_fault(status: int) -> None:
    fault = diagnose(status, {}, b"", url=URL, now=NOW)
    assert fault.status == status
    assert_fit_for_people(fault)


def test_what_is_the_endpoints_is_never_charged_to_a_file() -> None:
    for status in (401, 402, 403, 404, 405, 429, 498, 499, 502, 503, 504, *range(520, 528), 529):
        assert diagnose(status, {}, b"", url=URL, now=NOW).scope is ENDPOINT
    for status in (400, 408, 409, 413, 415, 418, 422, 500, 505):
        assert diagnose(status, {}, b"", url=URL, now=NOW).scope is FILE


# Where the words stand in an answer


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "the words", "type": "t", "code": "c"}},
        {"error": "the words"},
        {"error": True, "message": "the words"},
        {"error": {}, "message": "the words"},
        {"error": {"code": "c"}, "message": "the words"},
        {"detail": "the words"},
        {"detail": [{"loc": ["body"], "msg": "the words"}]},
        {"detail": {"error": {"message": "the words"}}},
        {"detail": {"message": "the words"}},
        {"message": "the words"},
        {"msg": "the words"},
        {"error_msg": "the words"},
        {"object": "error", "message": "the words", "code": 404},
        [{"error": {"message": "the words"}}],
        "the words",
    ],
)
def test_the_words_are_found_wherever_servers_put_them(body: object) -> None:
    fault = diagnose(400, {}, json.dumps(body).encode(), url=URL, now=NOW)
    assert fault.said in {"the words", "body: the words"}


def test_the_first_place_wins_where_there_are_several() -> None:
    body = json.dumps({"message": "third", "detail": "second", "error": {"message": "first"}}).encode()
    assert diagnose(400, {}, body, url=URL, now=NOW).said == "first"


@pytest.mark.parametrize("code", ["", None, "null", 400, {"a": 1}, True])
def test_a_code_that_says_nothing_does_no_harm(code: object) -> None:
    fault = diagnose(400, {}, openai("Unsupported file format", code=code), url=URL, now=NOW)
    assert fault.code == "undecodable"


def test_a_list_of_errors_is_told_in_full() -> None:
    body = detail([{"loc": ["body", 1], "msg": "first"}, {"loc": ["body", "x"], "msg": "second"}])
    assert diagnose(422, {}, body, url=URL, now=NOW).said == "body.1: first; body.x: second"


def test_a_code_is_told_where_there_are_no_words() -> None:
    assert diagnose(400, {}, b'{"error":{"code":"some_code"}}', url=URL, now=NOW).said == "some_code"
    assert diagnose(400, {}, b'{"error":{"code":"null"}}', url=URL, now=NOW).said.startswith("{")


def test_a_page_is_a_page_after_blank_lines_too() -> None:
    assert is_page("\n\n  <!DOCTYPE html>")
    assert not is_page("1 < 2 <html>")


def test_a_page_is_told_by_its_title_alone() -> None:
    body = b"<html><head><title>Bad &amp; gone</title></head><body>billing insufficient_quota</body></html>"
    fault = diagnose(502, {}, body, url=URL, now=NOW)
    assert (fault.code, fault.said) == ("unavailable", "Bad & gone")


def test_a_page_without_a_title_is_told_by_its_words() -> None:
    assert diagnose(502, {}, b"<html><body><p>Bad</p> gateway", url=URL, now=NOW).said == "Bad gateway"


def test_text_that_is_no_utf8_is_told_all_the_same() -> None:
    assert diagnose(500, {}, b"\xff\xfe failed to decode audio", url=URL, now=NOW).code == "undecodable"


# Limits and request ids


def test_the_longest_audio_that_a_server_takes_is_kept() -> None:
    fault = diagnose(
        400, {}, openai("audio duration 1500.2 seconds is longer than 1400.5 seconds"), url=URL, now=NOW
    )
    assert fault.limit_seconds == 1400.5
    assert "1400.5 seconds" in fault.message


def test_other_refusals_name_no_longest_audio() -> None:
    fault = diagnose(429, {}, b"please wait longer than 20 seconds", url=URL, now=NOW)
    assert (fault.code, fault.limit_seconds) == ("rate_limited", None)


def test_the_largest_upload_that_a_server_takes_is_told() -> None:
    fault = diagnose(413, {}, openai(TOO_BIG), url=URL, now=NOW)
    assert "26,214,400 bytes" in fault.message
    assert fault.limit_seconds is None


def test_the_request_id_comes_from_the_header_first() -> None:
    body = openai("no (request id: fromthetext12345678901234567890)")
    fault = diagnose(400, {"X-Request-ID": "req_0123456789abcdef0123456789abcdef"}, body, url=URL, now=NOW)
    assert fault.request_id == "req_0123456789abcdef0123456789abcdef"
    assert diagnose(400, {}, body, url=URL, now=NOW).request_id == "fromthetext12345678901234567890"
    assert diagnose(400, {}, openai("no"), url=URL, now=NOW).request_id is None


def test_a_request_id_is_one_short_printable_line() -> None:
    fault = diagnose(400, {"x-request-id": "a\x1b[2J\n" + "b" * 500}, b"", url=URL, now=NOW)
    assert fault.request_id is not None
    assert fault.request_id.isprintable()
    assert len(fault.request_id) == 128


# How long to wait


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "2"}, 2),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({"retry-after-ms": "soon", "Retry-After": "9"}, 9),
        ({"Retry-After": formatdate(NOW + 90, usegmt=True)}, 90),
        ({"Retry-After": "Thursday, 01-Jan-26 00:01:30 GMT"}, 90),
        ({"Retry-After": "Thu Jan  1 00:01:30 2026"}, 90),
        ({"Retry-After": formatdate(NOW - 90, usegmt=True)}, None),
        ({"Retry-After": "7200"}, 7200),
        ({"Retry-After": "0"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"x-ratelimit-reset-requests": "1m30s"}, 90),
        ({"x-ratelimit-reset-tokens": "2s"}, 2),
        ({"x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({"x-ratelimit-reset-requests": "2m59.5s"}, 179.5),
        ({"x-ratelimit-reset-requests": "1h2m3s"}, 3723),
        ({"x-ratelimit-reset-requests": "6d0h"}, 518400),
        ({"x-ratelimit-reset-requests": "30"}, 30),
        ({"x-ratelimit-reset": str(int(NOW) + 60)}, 60),
        ({"x-ratelimit-reset": str(int(NOW + 60) * 1000)}, 60),
        ({"x-ratelimit-reset-requests": "1m", "x-ratelimit-reset-tokens": "2m"}, 120),
        ({"Retry-After": "3", "x-ratelimit-reset-tokens": "2m"}, 3),
        ({"x-ratelimit-reset-requests": "later"}, None),
        ({"x-ratelimit-reset-requests": "in 2s"}, None),
        ({"Retry-After": "Thu, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_the_servers_wish_to_wait_is_read_in_every_form(
    headers: dict[str, str], seconds: float | None
) -> None:
    wait = diagnose(429, headers, b"", url=URL, now=NOW).retry_after
    assert wait == (None if seconds is None else pytest.approx(seconds))


def test_a_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        wait = diagnose(
            429, {"Retry-After": "Thu, 01 Jan 2026 00:01:30 -0000"}, b"", url=URL, now=NOW
        ).retry_after
    time.tzset()
    assert wait == 90


def test_only_the_limit_that_is_used_up_says_how_long() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "1999",
        "x-ratelimit-reset-requests": "24h",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "7.5s",
    }
    assert diagnose(429, headers, b"", url=URL, now=NOW).retry_after == 7.5


def test_resets_of_limits_say_nothing_about_other_failures() -> None:
    assert diagnose(500, {"x-ratelimit-reset-requests": "24h"}, b"", url=URL, now=NOW).retry_after is None
    assert diagnose(503, {"Retry-After": "3"}, b"", url=URL, now=NOW).retry_after == 3


def test_headers_of_httpx_are_read_as_they_are() -> None:
    assert diagnose(429, httpx.Headers({"RETRY-AFTER": "4"}), b"", url=URL, now=NOW).retry_after == 4


# Secrets


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop",
        "sk-abc***wxyz",
        "gsk_aBcDeFgHiJkLmNoP",
        "Bearer tiny-secret",
        "bearer abcdefg",
        "Authorization: Basic dXNlcjpwYXNz",
        'api_key="hunter2hunter"',
        "Incorrect API key provided: hunter2hunter",
        "0123456789abcdef0123456789abcdef",
        "abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc",
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    ],
)
def test_nothing_that_looks_like_a_key_is_shown(secret: str) -> None:
    fault = diagnose(401, {}, openai(f"no: {secret} is wrong"), url=URL, now=NOW)
    kept = secret.removeprefix("Incorrect API key provided:").split()[-1].strip('"').removeprefix('api_key="')
    assert kept not in fault.said
    assert "***" in fault.said
    assert fault.said.endswith("is wrong")


def test_a_key_in_invisible_pieces_is_not_shown() -> None:
    assert "abcdefghij" not in shown("sk-abcde\u200bfghijklmnop")


@pytest.mark.parametrize(
    "harmless",
    [
        "Model 'deepdml/faster-whisper-large-v3-turbo-ct2' is not installed locally",
        "pre_consume_token_quota_failed, organization_usage_limit_exceeded",
        "Maximum content size limit (26214400) exceeded (26222592 bytes read)",
        "The task-based disk-full handler 1234567890123456789 says no",
    ],
)
def test_plain_words_are_shown_as_they_are(harmless: str) -> None:
    assert shown(harmless) == harmless


def test_what_was_said_is_short_and_in_one_line() -> None:
    said = diagnose(500, {}, ("a\r\n\x1b[31mb \u202e" * 500).encode(), url=URL, now=NOW).said
    assert said.startswith("a [31mb a")
    assert len(said) == 300
    assert said.endswith("…")


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://user:secret@host:8080/v1/x?key=secret#secret", "https://host:8080/v1/x"),
        ("http://[::1]:9000/v1", "http://[::1]:9000/v1"),
        ("https://user:secret@[broken/v1", "[broken/v1"),
        ("/login?next=secret", "/login"),
    ],
)
def test_an_address_is_shown_without_user_and_query(url: str, seen: str) -> None:
    assert address(url) == seen
    for fault in (
        diagnose(404, {}, b"", url=url, now=NOW),
        diagnose_transport(httpx.ReadTimeout(""), url=url),
    ):
        assert seen in fault.message
        assert "secret" not in fault.message


def test_a_redirect_tells_where_to() -> None:
    fault = diagnose(301, {"location": "https://u:secret@www.example.com/v1?a=secret"}, b"", url=URL, now=NOW)
    assert "to https://www.example.com/v1," in fault.message


# Exceptions instead of answers


def caused(error: Exception, cause: BaseException) -> Exception:
    """The chain that httpx makes: its own error, httpcore's, and what the system said."""
    inner = OSError("All connection attempts failed")
    inner.__cause__ = cause
    error.__cause__ = inner
    return error


CERTIFICATE = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")

EXCEPTIONS: list[tuple[Exception, Scope, str, Remedy]] = [
    (
        caused(httpx.ConnectError("All connection attempts failed"), ConnectionRefusedError(111, "refused")),
        ENDPOINT,
        "connection_refused",
        Remedy.PAUSE,
    ),
    (
        caused(httpx.ConnectError(""), socket.gaierror(-2, "Name or service not known")),
        ENDPOINT,
        "name_not_found",
        Remedy.PAUSE,
    ),
    (caused(httpx.ConnectError(""), CERTIFICATE), ENDPOINT, "tls_failed", Remedy.PAUSE),
    (caused(httpx.ConnectError(""), ssl.SSLEOFError(8, "EOF")), ENDPOINT, "tls_failed", Remedy.PAUSE),
    (caused(httpx.ConnectError(""), TimeoutError()), ENDPOINT, "connect_timeout", Remedy.PAUSE),
    (
        caused(httpx.ConnectError(""), OSError(101, "Network is unreachable")),
        ENDPOINT,
        "unreachable",
        Remedy.PAUSE,
    ),
    (httpx.ConnectTimeout(""), ENDPOINT, "connect_timeout", Remedy.PAUSE),
    (httpx.PoolTimeout(""), ENDPOINT, "connect_timeout", Remedy.PAUSE),
    (httpx.ProxyError("403 Forbidden"), ENDPOINT, "proxy_failed", Remedy.PAUSE),
    (httpx.UnsupportedProtocol("ftp"), ENDPOINT, "bad_request_settings", Remedy.CONFIGURE),
    (httpx.InvalidURL("port"), ENDPOINT, "bad_request_settings", Remedy.CONFIGURE),
    (httpx.LocalProtocolError("Illegal header value"), ENDPOINT, "bad_request_settings", Remedy.CONFIGURE),
    (
        httpx.LocalProtocolError("Too little data for declared Content-Length"),
        FILE,
        "connection_lost",
        Remedy.RETRY,
    ),
    (httpx.ReadTimeout(""), FILE, "read_timeout", Remedy.RETRY),
    (TimeoutError(), FILE, "read_timeout", Remedy.RETRY),
    (httpx.WriteTimeout(""), FILE, "write_timeout", Remedy.RETRY),
    (caused(httpx.ReadError(""), ConnectionResetError(104, "reset")), FILE, "connection_lost", Remedy.RETRY),
    (caused(httpx.ReadError(""), ssl.SSLError(1, "bad record")), FILE, "connection_lost", Remedy.RETRY),
    (httpx.WriteError("broken pipe"), FILE, "connection_lost", Remedy.RETRY),
    (httpx.CloseError(""), FILE, "connection_lost", Remedy.RETRY),
    (
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
        FILE,
        "connection_lost",
        Remedy.RETRY,
    ),
    (httpx.DecodingError("gzip"), FILE, "garbled_reply", Remedy.RETRY),
    (ReplyTooLargeError(), FILE, "reply_too_large", Remedy.RETRY),
    (RuntimeError("what nobody thought of"), FILE, "connection_lost", Remedy.RETRY),
]


@pytest.mark.parametrize(("error", "scope", "code", "remedy"), EXCEPTIONS, ids=lambda value: str(value)[:40])
def test_every_exception_of_the_transport_has_its_fault(
    error: Exception, scope: Scope, code: str, remedy: Remedy
) -> None:
    fault = diagnose_transport(error, url=URL)
    assert (fault.scope, fault.code, fault.remedy) == (scope, code, remedy)
    assert URL in fault.message
    assert fault.status is None
    assert_fit_for_people(fault)


def test_a_transports_message_gives_the_systems_own_reason() -> None:
    error = caused(
        httpx.ConnectError("All connection attempts failed"), ConnectionRefusedError(111, "no\nBearer abcdef")
    )
    assert diagnose_transport(error, url=URL).message.endswith("[Errno 111] no Bearer ***")


def test_a_chain_of_causes_that_bites_its_tail_ends() -> None:
    error = httpx.ConnectError("")
    error.__cause__ = error
    assert diagnose_transport(error, url=URL).code == "unreachable"


# Anything at all

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "detail", "message", "msg", "code", "type", "param", "loc", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
BODIES = st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode())
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Retry-After", "retry-after-ms", "x-ratelimit-reset-requests", "location", "x-request-id"]
    ),
    st.text(max_size=30)
    | st.from_regex(r"\A[0-9]{1,30}(ms|s|m|h|)\Z")
    | st.from_regex(r"\A\w{3}, \d+ \w{3} \d+ [\d:]+\Z"),
)


@given(status=st.integers(100, 599), headers=HEADERS, body=BODIES, url=st.text(max_size=40))
def test_no_answer_whatever_breaks_the_diagnosis(
    status: int, headers: dict[str, str], body: bytes, url: str
) -> None:
    fault = diagnose(status, headers, body, url=url, now=NOW)
    assert_fit_for_people(fault)
    fault.said.encode()
    assert fault.retry_after is None or (fault.retry_after > 0 and math.isfinite(fault.retry_after))


@pytest.mark.parametrize(
    "piece", [b"<", b"<title", b"[", b'{"error":', b"sk-", b"a1", b"api key ", b"bearer ", b"1"]
)
def test_a_huge_answer_is_diagnosed_without_delay(piece: bytes) -> None:
    started = time.monotonic()
    for status in (200, 500):
        diagnose(status, {}, piece * (2_000_000 // len(piece)), url=URL, now=NOW)
    assert time.monotonic() - started < 5
