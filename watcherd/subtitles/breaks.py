"""Breaks: two neighbouring words in, how well a line or a cue may end between them out. Pure.

The lists of words are English, which is what a translation is written in. In other languages the punctuation
decides, and else one place is as good as another.
"""

from __future__ import annotations

from enum import IntEnum

from watcherd.subtitles import english

_SENTENCE_ENDS = frozenset(".!?…。！？｡")  # noqa: RUF001 - East Asian punctuation is meant
_CLAUSE_ENDS = frozenset(",;:—–、，；：､)]）」』】")  # noqa: RUF001 - likewise
_CLAUSE_STARTS = frozenset("—–([（「『【")  # noqa: RUF001 - likewise
_DASHES = frozenset("-–—")  # noqa: RUF001 - likewise
_CLOSING = "\"')]*\u2019\u201d\u00bb）」』】"  # noqa: RUF001 - likewise
_OPENING = "\"'([*\u2018\u201c\u00ab（「『【"  # noqa: RUF001 - likewise


class Break(IntEnum):
    """What ends at a place, the best first."""

    SENTENCE = 0
    CLAUSE = 1
    CONJUNCTION = 2
    """Before `and`, `because`, `which`."""
    PREPOSITION = 3
    """Before `in`, `with`, `to`; or before `I`, `they`, with which something new begins."""
    WORD = 4
    CLOSE = 5
    """Between words that are read together: a verb and its subject, a number and what it counts, a name."""
    TIGHT = 6
    """After an article, a preposition, a conjunction or a title."""
    INSIDE = 7
    """Within a word."""


def between(before: str, after: str, *, spaced: bool = True) -> Break:
    """Say what ends between two words; `spaced` is False where no space stands between them."""
    bare = before.rstrip(_CLOSING)
    last = bare[-1:]
    if not spaced and not (ideographic(before[-1:]) or ideographic(after[:1])):
        return Break.INSIDE
    if last in _SENTENCE_ENDS:
        return _after_a_stop(bare, after)
    if after in _DASHES:
        return Break.CLOSE
    if (
        before[-1:] in _CLAUSE_ENDS
        or last in _CLAUSE_ENDS
        or after[:1] in _CLAUSE_STARTS
        or before in _DASHES
    ):
        return Break.CLAUSE
    if not spaced:
        return Break.CLOSE if _katakana(before[-1:]) and _katakana(after[:1]) else Break.WORD
    return _between_plain(before.strip(_OPENING).replace("\u2019", "'"), after.lstrip(_OPENING))


def _after_a_stop(bare: str, after: str) -> Break:
    """Tell the end of a sentence from a stop that is part of a word, or a question within the sentence."""
    low = bare.lstrip(_OPENING).lower()
    if low in english.TITLES or (len(low) == 2 and low[0].isalpha() and low[1] == "." and low != "i."):
        return Break.TIGHT
    following = after.lstrip(_OPENING)[:1]
    if following.islower():
        return Break.WORD if bare.endswith(".") and not bare.endswith("..") else Break.CLAUSE
    return Break.CLAUSE if low in english.ABBREVIATIONS and not following.isupper() else Break.SENTENCE


def _between_plain(before: str, after: str) -> Break:
    """Judge two words without punctuation between them; one with a comma behind it begins nothing."""
    first, second = before.lower(), after.lower()
    if first in english.TIGHT:
        return Break.TIGHT
    if (
        first in english.CLOSE
        or _is_one_name(before, after)
        or (before[-1:].isdigit() and second[:1].isalpha())
    ):
        return Break.CONJUNCTION if first in english.LOOSE and second in english.CONJUNCTIONS else Break.CLOSE
    if second == "of":
        return Break.CLOSE
    if second in english.CONJUNCTIONS:
        return Break.CONJUNCTION
    return Break.PREPOSITION if second in english.PREPOSITIONS or second in english.SUBJECTS else Break.WORD


def _is_one_name(before: str, after: str) -> bool:
    """Whether two capitals follow each other, as in a name. `I` is none, and shouting has no names."""
    return (
        before[:1].isupper()
        and after[:1].isupper()
        and not before.isupper()
        and not after.isupper()
        and before != "I"
    )


def ideographic(character: str) -> bool:
    """Whether lines may be broken beside this character without a space: Chinese and Japanese writing."""
    return (
        "\u2e80" <= character <= "\u312f"
        or "\u31a0" <= character <= "\u9fff"
        or "\uf900" <= character <= "\ufaff"
        or "\uff00" <= character <= "\uff9f"
        or "\U00020000" <= character <= "\U0003ffff"
    )


def _katakana(character: str) -> bool:
    return "\u30a0" <= character <= "\u30ff"
