"""What a server says of a failure: an answer's bytes in; code, type, parameter and text out. Pure.

Servers agree on hardly anything here, so every shape seen is read: OpenAI's `{"error": {...}}`, bare strings,
FastAPI's `detail` (a string, a list or an object), `message`, `msg`, `error_msg`, plain text and web pages.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

SHOWN = 300  # characters of the endpoint's own words that a person gets to see
SEARCHED = 16_384  # characters of an answer that are looked at for words

_DEPTH = 5  # how deep errors are found wrapped in each other
_PAGE = re.compile(r"<(!doctype|html|head|body|title|meta|script|h1|center|!--|\?xml|error\b)", re.IGNORECASE)
_LINK = re.compile(r"https?://\S+")
_KEYS = ("error", "detail", "message", "msg", "error_msg")
_NO_WORD = {"", "null", "none"}

_KEPT_SECRET = re.compile(
    r"""(?ix)
    (?P<label> \bbearer\s+
      | \b(?: api[ _-]?key | access[ _-]?token | authorization | secret | password )
        (?: \s+\w+ )? ["']? \s* [:=] \s* ["']? (?: (?: bearer | basic )\s+ )? )
    [^\s"',;]+
    """
)
_KEY = re.compile(r"\b(?P<label>sk|gsk|pk|rk|hf|fw|xai)[-_][\w*.\-]{6,}", re.IGNORECASE)
_RUN = re.compile(r"[\w.~+=\-]{16,}", re.ASCII)
_PIECE = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What a server said of a failure; empty strings where it did not. `page`: it was a web page."""

    message: str = ""
    code: str = ""
    kind: str = ""
    param: str = ""
    page: bool = False

    @property
    def clues(self) -> str:
        """Code, type, parameter and text in lower case, to be searched for words.

        Links are left out: the rate limit messages of several vendors end in a link to their billing page.
        """
        text = _LINK.sub("", self.message[:SEARCHED])
        return " ".join(part for part in (self.code, self.kind, self.param, text) if part).lower()


def read_json(text: str) -> object:
    """Parse JSON from a stranger; anything unreadable, nested to death included, is a ValueError."""
    try:
        value: object = json.loads(text, strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def is_page(text: str) -> bool:
    """Whether a text that came for something else is HTML or XML."""
    return _PAGE.match(text.lstrip()[:64]) is not None


def read_complaint(body: bytes) -> Complaint:
    """Find what a server says went wrong, in whatever shape it says it; never fails."""
    text = body.decode("utf-8-sig", "replace").strip()
    if is_page(text):
        return Complaint(message=_page_title(text), page=True)
    try:
        found = _complaint_in(read_json(text), _DEPTH)
    except ValueError:
        found = Complaint()
    return found if found.message or found.code else replace(found, message=text)


def shown(text: str, limit: int = SHOWN) -> str:
    """Make a stranger's text fit for a person: one line of at most `limit` characters, without keys."""
    line = without_keys(one_line(text))
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def one_line(text: str) -> str:
    """Join a text's lines and drop control, format and other invisible characters."""
    line = " ".join(text[:SEARCHED].split())
    return "".join(character for character in line if character.isprintable())


def without_keys(text: str) -> str:
    """Replace whatever looks like a key or a long token by asterisks."""
    text = _KEPT_SECRET.sub(r"\g<label>***", text)
    text = _KEY.sub(r"\g<label>-***", text)
    return _RUN.sub(_masked_run, text)


def address(url: str) -> str:
    """Make a URL fit for a person: without user, password, query and fragment."""
    bare = re.split(r"[?#]", url, maxsplit=1)[0]
    try:
        parts = urlsplit(bare)
    except ValueError:
        return shown(bare.rpartition("@")[2])
    return shown(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())


def _masked_run(match: re.Match[str]) -> str:
    return "***" if any(_is_token(piece) for piece in _PIECE.findall(match[0])) else match[0]


def _is_token(piece: str) -> bool:
    """Whether letters and digits in one piece are a key rather than a word; names of models are not."""
    return len(piece) >= 32 or (len(piece) >= 16 and not piece.isdigit() and not piece.isalpha())


def _complaint_in(value: object, depth: int) -> Complaint:
    match value:
        case str():
            return Complaint(message=value)
        case list() if depth:
            entries = [_entry(item, depth - 1) for item in value[:5]]
            if entries:
                return replace(entries[0], message="; ".join(e.message for e in entries if e.message))
        case dict() if depth:
            return _of_object(value, depth - 1)
    return Complaint()


def _of_object(value: dict[str, object], depth: int) -> Complaint:
    """Find the innermost error of an object; what it does not say itself is taken from around it."""
    inner = [_complaint_in(value.get(key), depth) for key in _KEYS]
    return Complaint(
        message=next((found.message for found in inner if found.message), ""),
        code=next((found.code for found in inner if found.code), _word(value.get("code"))),
        kind=next((found.kind for found in inner if found.kind), _word(value.get("type"))),
        param=next((found.param for found in inner if found.param), _word(value.get("param"))),
    )


def _entry(item: object, depth: int) -> Complaint:
    """One item of a list of errors; a validation error names the field in `loc`."""
    found = _complaint_in(item, depth)
    if isinstance(item, dict) and isinstance(place := item.get("loc"), list):
        field = ".".join(_word(part) for part in place)
        return replace(found, message=f"{field}: {found.message}")
    return found


def _word(value: object) -> str:
    """Read a code as text; numbers and the word "null" occur in its place."""
    word = str(value) if isinstance(value, str | int) else ""
    return "" if word.lower() in _NO_WORD else word[:200]


def _page_title(text: str) -> str:
    """Read the title of a web page, or its first words where it has none."""
    head = text[:SEARCHED]
    start = head.lower().find("<title")
    opened = head.find(">", start) if start >= 0 else -1
    closed = head.find("<", opened) if opened >= 0 else -1
    title = head[opened + 1 : closed] if closed >= 0 else ""
    return html.unescape(title.strip() or re.sub(r"<[^<>]*>", " ", head)).strip()
