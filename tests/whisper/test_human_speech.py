"""Real human speech: ten of Debian's telephone prompts, translated, beside the texts that the packages list.

Run with `-m slow -s` to read them. The speakers are people, the sound is a telephone's (8 kHz), the
model is the smallest that translates: the sense is asked for, not the words.
"""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

import pytest
from openai import OpenAI

SOUNDS = Path("/usr/share/asterisk/sounds")
VOICES = {"es": "es_MX_f_Allison", "fr": "fr_CA_f_June", "it": "it_IT_m_Carlo"}

# What a correct translation must contain, as regular expressions.
CLIPS = {
    ("es", "vm-msginstruct"): ("listen|hear", "repeat", "message", "delete|erase"),
    ("es", "demo-nogo"): ("connect", "server", "information", "console"),
    ("es", "confbridge-lock-extended"): ("conference", "locked|blocked", "administrators", "enter"),
    ("es", "vm-instructions"): ("press", "messages", "any time|any moment"),
    ("fr", "demo-abouttotry"): ("server", "connected", "internet"),
    ("fr", "tt-allbusy"): ("occupied|busy", "call", "important", "patien"),
    ("fr", "confbridge-mute-extended"): ("mode", "participants", "hear you", "always|still"),
    ("it", "demo-moreinfo"): ("platform", "open.source", "linux", "information"),
    ("it", "demo-nogo"): ("sorry", "server", "information", "console"),
    ("it", "confbridge-mute-extended"): ("voice", "audio", "other participants", "still hear"),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning"),
    pytest.mark.skipif(
        not all((SOUNDS / voice).exists() for voice in VOICES.values()),
        reason="apt install asterisk-core-sounds-es{,-wav}, and the same for fr and it",
    ),
]


def text_of(language: str, name: str) -> str:
    listing = Path(f"/usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz")
    with gzip.open(listing, "rt", encoding="utf-8") as lines:
        (text,) = (line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))
    return re.split(r"\s[\w/-]+: ", text)[0]  # some lines of the listings hold several entries


def test_ten_clips_of_human_speech_come_out_as_english_of_the_same_sense(server: str) -> None:
    api = OpenAI(base_url=server, api_key="any", max_retries=0)
    right = 0
    for (language, name), words in CLIPS.items():
        path = SOUNDS / VOICES[language] / f"{name}.wav"
        english = api.audio.translations.create(model="whisper-1", file=path).text
        missing = [word for word in words if not re.search(word, english, re.IGNORECASE)]
        right += not missing
        told = f"{language} {name}\n  {text_of(language, name)}\n  {english}\n"
        sys.stdout.write(told if not missing else f"{told}  without: {', '.join(missing)}\n")
        assert len(missing) <= len(words) / 2, told
    assert right >= 8
