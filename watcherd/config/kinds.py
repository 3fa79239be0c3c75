"""What values of the configuration may be: plain data of the file in, checked values out; one type per kind.

The models' fields are made of these types. Each reads the text of its value, and may carry a `Shape`, which
says how that text looks to a program that only knows JSON.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo

from watcherd.config import secrets, values
from watcherd.config.values import Surroundings

Choice = TypeVar("Choice")

_LONGEST_WAIT = 31 * 24 * 3600  # seconds; a longer duration is a slip, and timers have their limits
_LONGEST_AGE = 3650 * 24 * 3600  # seconds; nothing is remembered for longer
_LONGEST_GAP = 2  # seconds; a longer one would leave hardly any time for subtitles
_LONGEST_ADDITION = 100  # bytes that a sidecar's name has more than its original's; names have 255
_PLACEHOLDER = re.compile(r"\{(?:stem|name|lang)\}")
_TRACK = re.compile(r"default|\d{1,3}|[A-Za-z]{2,3}(?:-[A-Za-z0-9]+)?(?:, *[A-Za-z]{2,3}(?:-[A-Za-z0-9]+)?)*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_NAME = re.compile(r'[^\x00-\x1f\x7f"\\]+')
_OWN_HEADERS = {"content-type", "content-length", "transfer-encoding"}
_NO_SHELL = (
    'there is no shell: write each command as the list of its words, [["/usr/bin/logger", "-t", "done"]]'
)
_OWN_FIELDS = {"file", "model", "prompt", "response_format", "temperature"}


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: types hash what they are annotated with
class Shape:
    """How a value stands in the file: what JSON Schema says of it, and what is written for a value of ours.

    The schema refuses nothing that is accepted here; it need not refuse all that is wrong. A value that is
    written as it is has no `write`.
    """

    schema: Mapping[str, object]
    write: Callable[[Any], object] | None = None


def matching(*patterns: str) -> Mapping[str, object]:
    """The JSON schema of texts of which the whole is one of these patterns."""
    return {"type": "string", "pattern": f"^(?:{'|'.join(patterns)})$"}


def _reading(read: Callable[[str], object]) -> BeforeValidator:
    """Read a value's text; a Python value passes as it is."""

    def before(value: object) -> object:
        return read(value) if isinstance(value, str) else value

    return BeforeValidator(before)


def _track(value: object) -> object:
    """Read a track's index, language codes or `default` into one text."""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if not _TRACK.fullmatch(text):
        raise ValueError("write default, the number of a track, or language codes such as [de, en]")
    return text


def _around(info: ValidationInfo) -> Surroundings:
    if isinstance(info.context, Surroundings):
        return info.context
    return Surroundings(environ=os.environ, folder=Path.cwd())


def _read_path(value: object, info: ValidationInfo) -> object:
    return values.path(value, _around(info)) if isinstance(value, str) else value


def _read_secret(value: object, info: ValidationInfo) -> object:
    return value if isinstance(value, SecretStr) else SecretStr(secrets.read(value, _around(info)))


def _read_engine_model(value: object, info: ValidationInfo) -> object:
    """Tell a folder from a model's name by how it begins; names hold slashes too."""
    folder = isinstance(value, str) and value.startswith(("/", "~", "./", "../", "${"))
    return str(_read_path(value, info)) if folder else value


def _read_command(value: object, info: ValidationInfo) -> object:
    """Read a command's words; the program is a path, or a name that is looked for in $PATH."""
    if not isinstance(value, list | tuple):
        return value
    words = list(value)
    if not words or words[0] is None or words[0] == "":
        raise ValueError("a command begins with its program, such as /usr/local/bin/refresh")
    if any("\0" in word for word in words if isinstance(word, str)):
        raise ValueError("no word of a command can hold a NUL character")
    if isinstance(words[0], str) and ("/" in words[0] or words[0].startswith(("~", "${"))):
        words[0] = str(_read_path(words[0], info))
    return words


def _commands(value: object) -> object:
    """See that nobody counts on a shell."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, list | tuple) for one in value):
        raise ValueError(_NO_SHELL)
    return value


def _read_webhook(value: object, info: ValidationInfo) -> object:
    """Read an address that may be as secret as a key is."""
    return (
        value
        if isinstance(value, SecretStr)
        else SecretStr(values.webhook(secrets.read(value, _around(info))))
    )


def _bounded_wait(seconds: float) -> float:
    if not 0 < seconds <= _LONGEST_WAIT:
        raise ValueError("write a duration above 0 and of at most 744h")
    return seconds


def _bounded_age(seconds: float) -> float:
    if not 0 < seconds <= _LONGEST_AGE:
        raise ValueError("write a duration above 0 and of at most 3650d")
    return seconds


def _bounded_gap(seconds: float) -> float:
    if not 0 <= seconds <= _LONGEST_GAP:
        raise ValueError("write a duration of at most 2s")
    return seconds


def _worded(text: str) -> str:
    if not text.strip():
        raise ValueError("write a text that is not empty")
    if not text.isprintable():
        raise ValueError("write it without line breaks and control characters")
    return text


def _distinct(choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
    if not choices:
        raise ValueError("write at least one")
    if len(set(choices)) != len(choices):
        raise ValueError("name each format once")
    return choices


def _sidecar_name(text: str) -> str:
    """Check a pattern for names; one that passes gives a name for every file, and no two files the same."""
    if "/" in text or "\\" in text:
        raise ValueError("write a name without slashes: sidecars stand beside their original")
    rest = _PLACEHOLDER.sub("", text)
    if unknown := re.search(r"\{[^{}]*\}|[{}]", rest):
        raise ValueError(f"{unknown.group()} stands for nothing; there is {{stem}}, {{name}} and {{lang}}")
    if sum(map(text.count, ("{stem}", "{name}"))) != 1:
        raise ValueError('write {stem} or {name} in it, once, such as "{stem}.en"')
    if not text.isprintable() or len(rest.encode()) > _LONGEST_ADDITION:
        most = f"at most {_LONGEST_ADDITION} bytes"
        raise ValueError(f"write {most} beside {{stem}} or {{name}}, and no control characters")
    return text


def _header(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("this is not the name of a header; write letters, digits and dashes")
    if name.lower() in _OWN_HEADERS:
        raise ValueError("watcherd sets this header itself")
    return name


def _field(name: str) -> str:
    if not _FIELD_NAME.fullmatch(name):
        raise ValueError("this is not the name of a form field")
    if name in _OWN_FIELDS:
        raise ValueError("watcherd sends this field itself; fields are for what a server wants beyond it")
    return name


def _route(text: str) -> str:
    if not text.strip("/") or "://" in text or " " in text or not text.isascii() or not text.isprintable():
        raise ValueError("write what follows base_url, such as audio/translations")
    return text.lstrip("/")


def _listen(text: str) -> str:
    values.listen(text)
    return text


_A_DURATION = Shape(matching(values.DURATION.pattern), values.as_duration)
_A_SIZE = Shape(matching(values.SIZE.pattern), values.as_size)
_AN_ADDRESS = Shape({"type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://"})
_LITERAL = r"[^{}/\\]*(?:\{lang\}[^{}/\\]*)*"
_A_SIDECAR_NAME = Shape(matching(rf"{_LITERAL}\{{(?:stem|name)\}}{_LITERAL}"))
_FORMATS = Shape({"minItems": 1, "uniqueItems": True}, list)

Format = Literal["srt", "vtt", "txt", "lrc", "json", "podcast-json"]
Age = Annotated[
    float, Field(strict=True), AfterValidator(_bounded_age), _reading(values.duration), _A_DURATION
]
Duration = Annotated[
    float, Field(strict=True), AfterValidator(_bounded_wait), _reading(values.duration), _A_DURATION
]
Gap = Annotated[
    float, Field(strict=True), AfterValidator(_bounded_gap), _reading(values.duration), _A_DURATION
]
Size = Annotated[int, Field(strict=True, ge=1, le=10**12), _reading(values.size), _A_SIZE]
Count = Annotated[int, Field(strict=True, ge=1, le=100), _reading(values.whole)]
Rate = Annotated[int, Field(strict=True, ge=1, le=100_000), _reading(values.whole)]
Minutes = Annotated[float, Field(strict=True, gt=0, le=10**6), _reading(values.number)]
Lines = Annotated[int, Field(strict=True, ge=1, le=4), _reading(values.whole)]
Columns = Annotated[int, Field(strict=True, ge=10, le=100), _reading(values.whole)]
ReadingRate = Annotated[float, Field(strict=True, ge=5, le=1000), _reading(values.number)]
ShowTime = Annotated[float, Field(strict=True, ge=0.1, le=30), _reading(values.number)]
Temperature = Annotated[float, Field(strict=True, ge=0, le=1), _reading(values.number)]
Switch = Annotated[bool, Field(strict=True), _reading(values.switch)]
AbsolutePath = Annotated[Path, BeforeValidator(_read_path)]
Secret = Annotated[SecretStr, BeforeValidator(_read_secret)]
Words = Annotated[str, AfterValidator(_worded), Shape({"pattern": r"\S"})]
Track = Annotated[
    str,
    BeforeValidator(_track),
    Shape(
        {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "string"}}]}
    ),
]
EngineModel = Annotated[Words, BeforeValidator(_read_engine_model)]
SidecarName = Annotated[str, AfterValidator(_sidecar_name), _A_SIDECAR_NAME]
Formats = Annotated[tuple[Format, ...], AfterValidator(_distinct), _FORMATS]
Address = Annotated[str, AfterValidator(values.address), _AN_ADDRESS]
Command = Annotated[tuple[str, ...], BeforeValidator(_read_command), Shape({"minItems": 1}, list)]
Commands = Annotated[
    tuple[Command, ...],
    BeforeValidator(_commands),
    Shape({}, lambda commands: [list(command) for command in commands]),
]
WebhookAddress = Annotated[SecretStr, BeforeValidator(_read_webhook)]
Listen = Annotated[str, AfterValidator(_listen), Shape(matching(values.LISTEN.pattern))]
HostName = Annotated[
    str,
    AfterValidator(values.authority),
    Shape({**matching(values.AUTHORITY.pattern), "type": ["string", "number"]}),
]
Proxy = Annotated[str, AfterValidator(values.proxy), _AN_ADDRESS]
Route = Annotated[str, AfterValidator(_route), Shape({"pattern": "[^/]"})]
HeaderName = Annotated[str, AfterValidator(_header), Shape(matching(_HEADER_NAME.pattern))]
FieldName = Annotated[
    str,
    AfterValidator(_field),
    Shape({**matching(_FIELD_NAME.pattern), "not": {"enum": sorted(_OWN_FIELDS)}}),
]
