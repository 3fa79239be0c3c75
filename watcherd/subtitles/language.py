"""Language: a transcript in, the same with a warning if its text is not English out. No I/O.

Servers answer in the language of the speech at times, with status 200. Compact Language Detector 3 tells: it
takes 3 MB of memory, has its model within, and is loaded when the first text is judged. Short texts are
guesswork ("Okay." is Somali to it), and names mislead it: so it must be sure of the text as a whole, and of
its words without a capital, too.

    not_english: de   what the text looks like, as a code of ISO 639
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Protocol, cast

from watcherd.transcript import Transcript

FEWEST_WORDS = 25
_MOST_BYTES = 20_000  # of a longer text, pieces from all over it are judged
_ROMANISED = "-Latn"  # a guess of its last resort: no server writes Russian so
_NEW_CODES = {"iw": "he"}
# Scripts that are written without spaces, of which a word has about two characters.
_NO_SPACES = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_NO_SPACES}]{{1,2}}|[^\W\d_{_NO_SPACES}][^\s{_NO_SPACES}]*")


class _Guess(Protocol):
    language: str
    is_reliable: bool


class _Detector(Protocol):
    def FindLanguage(self, text: str) -> _Guess: ...  # noqa: N802 - its own name


def judged(transcript: Transcript) -> Transcript:
    """Add the warning, if the text is long enough to be judged and is not English."""
    code = foreign(transcript.text)
    if code is None:
        return transcript
    return replace(transcript, warnings=(*transcript.warnings, f"not_english: {code}"))


def foreign(text: str) -> str | None:
    """Return the code of the language that the text is in; None for English, and where that is not clear."""
    if len(_WORD.findall(text)) < FEWEST_WORDS:
        return None
    whole = _language(text)
    plain = " ".join(word for word in text.split() if not _is_capitalised(word))
    return whole if whole and (not plain or _language(plain)) else None


def _is_capitalised(word: str) -> bool:
    return next(filter(str.isalpha, word), "").isupper()


def _language(text: str) -> str | None:
    """Return the code of a language that is surely not English."""
    guess = _detector().FindLanguage(text)
    if not guess.is_reliable or guess.language == "en" or guess.language.endswith(_ROMANISED):
        return None
    return _NEW_CODES.get(guess.language, guess.language)


@cache
def _detector() -> _Detector:
    import gcld3  # type: ignore[import-untyped]  # noqa: PLC0415 - rarely needed; it ships no types

    return cast("_Detector", gcld3.NNetLanguageIdentifier(0, _MOST_BYTES))
