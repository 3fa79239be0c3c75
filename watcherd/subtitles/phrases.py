"""Phrases: what Whisper says where there is nothing to hear. A text in, whether it is listed out. Pure.

Its training films end with thanks, pleas and credits, in every language; and where somebody had described
sounds, it describes them. People say most of this, too: being listed is no proof.
"""

from __future__ import annotations

import re

LONGEST = 300  # characters; a phrase of the list is never longer, even said twice

# One a line, as a regular expression over lower-case words without punctuation; … stands for some more words.
# Collected from reports on silence, music and noise, and from own measurements. The languages besides English
# are those that come back where a server does not translate.
_PHRASES = """
    you
    (ok |so )?(thank you|thanks)( very much| so much| a lot| again| everyone| all| guys)?
    (thank you|thanks)( \\w+){0,2} for (watching|listening|viewing|joining|tuning in|your attention)…
    (bye )*bye
    good ?night
    (the )?end
    to be continued
    i hope( \\w+){0,3} (enjoyed|liked)( \\w+){1,4}
    (and )?((i|we) ll )?see you( \\w+)? (next time|soon|later|tomorrow|again)
    (and )?((i|we) ll )?see you( \\w+)? (in|on) (the|my|our) next( one| video| episode| stream)
    (please |and |don t forget to |(be|make) sure to |if you( \\w+){2,5} please )*(PLEA)( and)?( PLEA)*…
    copyright( \\w+)…
    (english |closed )?(SUBTITLED)( and \\w+)? (by|c|provided by)…
    (the )?(subtitles|captions) (are|were)( \\w+){0,3} by…
    (.+ )?amara org( .+)?
    (www )?(\\w+ ){1,3}(com|org|net|tv|gov)
    untertitel(ung)?( \\w+)…
    vielen dank( fürs zuschauen)?
    bis zum nächsten mal
    sous titr(es|age)( \\w+)…
    merci d avoir regardé…
    abonnez vous
    subtítulos( \\w+)…
    (muchas )?gracias( por ver)?( (el|este) v[ií]deo)?
    suscríbete
    sottotitoli( \\w+)…
    grazie per (la visione|aver guardato)…
    legendas?( \\w+)…
    obrigad[oa]( por assistir)?…
    ondertite(ls|ling)( \\w+)…
    napisy( \\w+)…
    dziękuję za (uwagę|obejrzenie)…
    undertexter( \\w+)…
    tack för att (du|ni) tittade?
    altyaz\N{LATIN SMALL LETTER DOTLESS I}…
    izlediğiniz için teşekkür(ler| ederim)
    субтитры( \\w+)…
    редактор субтитров( \\w+)…
    продолжение следует
    спасибо за (просмотр|внимание)
    ご視聴ありがとうございました
    시청해 ?주셔서 감사합니다
    (中文)?字幕\\w*…
    请不吝点赞…
    谢谢(大家)?(观看|收看)
"""
_WORDS = {
    "PLEA": "like|subscribe|share|comment|hit the bell|turn on notifications",
    "SUBTITLED": (
        "subtitles?|subs|subtitled|subtitling|captions?|captioned|captioning|transcript|transcribed"
        "|transcription|translated|translation|translator|edited|sync|corrected|copyright|music"
    ),
    "…": r"(?: \w+){0,10}",
}
_SOUNDS = """
    (\\w+ ){0,3}(music|applause|laughter|noise|static|beep(ing|s)?|clapping|cheering|singing)( \\w+){0,3}
    (end of )?blank audio
    no (audio|sound|voice|speech|dialogue)( detected)?
    (silence|silent|inaudible|pause)
"""
_BLANK = "(?:end of )?blank audio|no (?:audio|sound|voice|speech|dialogue)(?: detected)?|silence|silent"


def _patterns(lines: str) -> re.Pattern[str]:
    for word, meaning in _WORDS.items():
        lines = lines.replace(word, meaning if word == "…" else f"(?:{meaning})")
    return re.compile("|".join(f"(?:{line.strip()})" for line in lines.strip().splitlines()))


_LISTED = _patterns(_PHRASES)
_SOUND = _patterns(_SOUNDS)
_NOTHING = re.compile(_BLANK)
_BRACKETED = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|\*[^*]*\*|<[^<>]*>")
_SENTENCE = re.compile(r"(?<=[.!?…])\s+")
_WORD = re.compile(r"[^\W_]+")


def is_listed(text: str) -> bool:
    """Whether every sentence of it is what a model says where there is nothing to hear."""
    if len(text) > LONGEST:
        return False
    sentences = _SENTENCE.split(_BRACKETED.sub("", text))
    listed = all(map(_is_phrase, sentences)) or (sentences != [text] and _is_phrase(text))
    return listed and _are_marks(text, _SOUND)


def is_blank(text: str) -> bool:
    """Whether the model reports that there is nothing to hear, as in `[BLANK_AUDIO]`. Nobody says that."""
    return (
        bool(_BRACKETED.search(text)) and _are_marks(text, _NOTHING) and not _words(_BRACKETED.sub("", text))
    )


def _is_phrase(text: str) -> bool:
    words = _words(text)
    return not words or _LISTED.fullmatch(words) is not None


def _are_marks(text: str, marks: re.Pattern[str]) -> bool:
    """Whether all that stands in brackets of any kind is one of these marks."""
    return all(marks.fullmatch(_words(one)) for one in _BRACKETED.findall(text))


def _words(text: str) -> str:
    """The words alone, in lower case."""
    return " ".join(_WORD.findall(text.casefold()))
