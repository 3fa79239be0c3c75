"""Real Whisper over TCP, with the API's own client: what the demo clip says, in every format."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Literal

import httpx
import openai
import pysubs2
import pytest
import webvtt
from openai import OpenAI

from tests.whisper.conftest import tone, wav

# OpenAI ends this route of its own in 2027; its client says so at every call.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")

WORDS = ("Hello, my name is Wolfgang", "Germany", "Where are you going today")


@pytest.fixture
def api(server: str) -> OpenAI:
    return OpenAI(base_url=server, api_key="any", max_retries=0)


def ask(
    api: OpenAI, demo: bytes, form: Literal["json", "text", "srt", "verbose_json", "vtt"], **more: str
) -> object:
    return api.audio.translations.create(
        model="whisper-1", file=("demo.flac", demo), response_format=form, extra_body=more
    )


def assert_demo(text: str) -> None:
    assert all(words in text for words in WORDS), text


def test_the_sdk_gets_json(api: OpenAI, demo: bytes) -> None:
    answer = api.audio.translations.create(model="whisper-1", file=("demo.flac", demo))
    assert_demo(answer.text)


def test_the_sdk_gets_text(api: OpenAI, demo: bytes) -> None:
    text = ask(api, demo, "text")
    assert isinstance(text, str)
    assert_demo(text)
    assert text.count("\n") == 1


def test_the_sdk_gets_srt_that_others_can_read(api: OpenAI, demo: bytes) -> None:
    srt = ask(api, demo, "srt")
    assert isinstance(srt, str)
    events = pysubs2.SSAFile.from_string(srt, format_="srt").events
    assert_demo(" ".join(event.text for event in events))
    assert events[0].start < 1000
    assert 6000 < events[-1].end < 8001


def test_the_sdk_gets_vtt_that_others_can_read(api: OpenAI, demo: bytes) -> None:
    vtt = ask(api, demo, "vtt")
    assert isinstance(vtt, str)
    captions = webvtt.from_buffer(io.StringIO(vtt)).captions
    assert_demo(" ".join(caption.text for caption in captions))


def test_the_sdk_gets_verbose_json_with_figures(api: OpenAI, demo: bytes) -> None:
    answer = api.audio.translations.create(
        model="whisper-1", file=("demo.flac", demo), response_format="verbose_json"
    )
    assert_demo(answer.text)
    assert answer.language == "english"
    assert answer.to_dict()["detected_language"] == "de"
    assert float(answer.duration) == pytest.approx(7.797, abs=0.01)
    assert answer.segments
    assert "".join(segment.text for segment in answer.segments).strip() == answer.text
    for segment in answer.segments:
        assert 0 <= segment.start < segment.end <= 7.8
        assert segment.tokens
        assert segment.avg_logprob < 0
        assert 0 <= segment.no_speech_prob <= 1
        assert segment.compression_ratio > 0


def test_the_prompt_changes_how_a_name_is_written(api: OpenAI, demo: bytes) -> None:
    plain = ask(api, demo, "text")
    prompted = ask(api, demo, "text", prompt="WOLFGANG AND GERMANY, IN CAPITALS.")
    assert isinstance(plain, str)
    assert isinstance(prompted, str)
    assert prompted != plain


def test_silence_and_noise_bring_no_invented_words(api: OpenAI) -> None:
    for samples in (tone(20, level=0), tone(20), tone(0.05)):
        answer = api.audio.translations.create(
            model="whisper-1", file=("quiet.wav", wav(samples)), response_format="verbose_json"
        )
        assert answer.text == ""
        assert answer.segments == []


def test_speech_after_a_long_pause_starts_when_it_is_spoken(api: OpenAI, demo: bytes, tmp_path: Path) -> None:
    path = tmp_path / "late.wav"
    delay = ["-af", "adelay=40000:all=1"]
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", "-", *delay, str(path)], input=demo, check=True)
    answer = api.audio.translations.create(model="whisper-1", file=path, response_format="verbose_json")
    assert answer.segments
    assert "Wolfgang" in answer.text
    assert 39 < answer.segments[0].start < 42


def test_the_sdk_understands_the_errors(api: OpenAI, server: str) -> None:
    with pytest.raises(openai.BadRequestError, match="could not be decoded"):
        api.audio.translations.create(model="whisper-1", file=("letter.mp3", b"Dear reader,\n" * 100))
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        api.audio.speech.create(model="x", voice="alloy", input="Hello")
    refused = httpx.post(f"{server}/audio/translations", data={"model": "whisper-1"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "file")


def test_the_sdk_lists_the_models(api: OpenAI) -> None:
    assert [model.id for model in api.models.list()] == ["base", "whisper-1"]
