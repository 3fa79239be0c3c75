"""A long recording asked for whole and cut into minutes: Whisper has to come to the same words.

Ten minutes of a person's English: Debian's telephone prompts of 4 s or longer, in the order of their names
and with a pause after each, as many as ten minutes take; each once, since what is said again and again is a
loop. Run with `-m slow -rP` to read what differs.
"""

from __future__ import annotations

import difflib
import re
import shutil
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.running import RunningDaemon, configuration

PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
RATE = 8_000
SHORTEST = 4.0  # seconds of a prompt; shorter ones are single words and numbers
PAUSE = 0.8  # seconds
LENGTH = 600.0  # seconds
MOST_WRONG = 0.1

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROMPTS.exists(), reason="apt install asterisk-core-sounds-en-wav"),
]


def recording(path: Path) -> int:
    """Write the recording; how many prompts are in it."""
    count = 0
    with wave.open(str(path), "wb") as joined:
        joined.setparams((1, 2, RATE, 0, "NONE", ""))
        for prompt in sorted(PROMPTS.rglob("*.wav")):
            with wave.open(str(prompt)) as one:
                samples = one.readframes(one.getnframes())
            if prompt.parent.name == "silence" or len(samples) < SHORTEST * 2 * RATE:
                continue
            joined.writeframes(samples + bytes(2 * round(PAUSE * RATE)))
            count += 1
            if joined.tell() >= LENGTH * RATE:
                break
        assert joined.tell() >= LENGTH * RATE
    return count


def words(text: str) -> list[str]:
    """What is compared: words without case and punctuation, figures as figures."""
    return re.findall(r"[a-z0-9']+", text.lower())


def errors(wanted: Sequence[str], had: Sequence[str]) -> int:
    """How many words have to be put in, left out or exchanged to come from one to the other (Levenshtein)."""
    row = list(range(len(had) + 1))
    for number, word in enumerate(wanted, 1):
        before, row[0] = row[0], number
        for at, other in enumerate(had, 1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (word != other))
    return row[-1]


@dataclass(frozen=True)
class Texts:
    """What one daemon made of the recording, and in how many requests each."""

    whole: list[str]
    cut: list[str]
    requests: dict[str, int]

    @property
    def differences(self) -> Iterator[str]:
        """Every place where they differ, with a word on either side."""
        matcher = difflib.SequenceMatcher(None, self.whole, self.cut, autojunk=False)
        for what, begin, end, start, stop in matcher.get_opcodes():
            if what != "equal":
                one, other = self.whole[max(begin - 1, 0) : end + 1], self.cut[max(start - 1, 0) : stop + 1]
                yield f"  {' '.join(one)!r} -> {' '.join(other)!r}"


@pytest.fixture(scope="module")
def texts(server: str, tmp_path_factory: pytest.TempPathFactory) -> Texts:
    home = tmp_path_factory.mktemp("long")
    count = recording(home / "prompts.wav")
    # Two names for one model: under one, the second file would be given the first one's answers.
    ways = {"whole": "20m", "cut": "1m"}
    endpoints = {
        way: {"base_url": server, "api_key": {"env": "TEST_KEY"}, "model": way, "max_part": longest}
        for way, longest in ways.items()
    }
    content = configuration(home, top_keys={"endpoints": endpoints})
    (folder,) = content["folders"]
    content["folders"] = [
        {key: folder[key] for key in ("settle", "rescan")} | {"inbox": str(home / way), "endpoint": way}
        for way in ways
    ]
    found, requests = {}, {}
    for way in ways:
        (home / way / "done").mkdir(parents=True)
        (home / way / "failed").mkdir()
    with RunningDaemon(home, content, key="any") as daemon:
        for way in ways:
            shutil.copyfile(home / "prompts.wav", home / way / "prompts.wav")
        for way in ways:
            daemon.event("job.done", inbox=way, timeout=400)
            found[way] = words((home / way / "done" / "prompts.txt").read_text())
            requests[way] = len(daemon.found("part.translated", inbox=way))
    print(f"{count} prompts")
    return Texts(found["whole"], found["cut"], requests)


def test_cut_at_a_minute_a_recording_has_the_words_that_it_has_whole(texts: Texts) -> None:
    wrong = errors(texts.whole, texts.cut)
    rate = wrong / len(texts.whole)
    print(f"{len(texts.whole)} words whole, {len(texts.cut)} cut; {wrong} differ: {rate:.1%}")
    print("\n".join(texts.differences))
    assert texts.requests["whole"] == 1
    assert texts.requests["cut"] >= LENGTH / 60
    assert len(texts.whole) > 1000, "of ten minutes of speech"
    assert rate <= MOST_WRONG
