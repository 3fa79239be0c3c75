"""The configuration as values: what a YAML file says comes in as plain data, checked frozen models go out.

Every text is read here (durations, sizes, paths, secrets), so the models take plain data straight from the
file as well as Python values. Durations are seconds, sizes are bytes, paths are absolute.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from watcherd.config import secrets, values
from watcherd.config.values import Surroundings

EMBEDDED_URL = "http://embedded/v1"
_LONGEST_WAIT = 31 * 24 * 3600  # seconds; a longer duration is a slip, and timers have their limits
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_NAME = re.compile(r'[^\x00-\x1f\x7f"\\]+')
_OWN_HEADERS = {"content-type", "content-length", "transfer-encoding"}
_OWN_FIELDS = {"file", "model", "prompt", "response_format", "temperature"}

Format = Literal["srt", "vtt", "txt"]
ComputeType = Literal[
    "auto", "default", "int8", "int8_float32", "int8_float16", "int8_bfloat16",
    "int16", "float16", "bfloat16", "float32",
]  # fmt: skip


def _reading(read: Callable[[str], object]) -> BeforeValidator:
    """Read a value's text; a Python value passes as it is."""

    def before(value: object) -> object:
        return read(value) if isinstance(value, str) else value

    return BeforeValidator(before)


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


def _bounded(seconds: float) -> float:
    if not 0 < seconds <= _LONGEST_WAIT:
        raise ValueError("write a duration above 0 and of at most 744h")
    return seconds


def _worded(text: str) -> str:
    if not text.strip():
        raise ValueError("write a text that is not empty")
    if not text.isprintable():
        raise ValueError("write it without line breaks and control characters")
    return text


def _distinct(formats: tuple[Format, ...]) -> tuple[Format, ...]:
    if not formats:
        raise ValueError("write at least one")
    if len(set(formats)) != len(formats):
        raise ValueError("name each format once")
    return formats


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


Age = Annotated[float, Field(strict=True, gt=0, le=3650 * 24 * 3600), _reading(values.duration)]
Duration = Annotated[float, Field(strict=True), AfterValidator(_bounded), _reading(values.duration)]
Size = Annotated[int, Field(strict=True, ge=1, le=10**12), _reading(values.size)]
Count = Annotated[int, Field(strict=True, ge=1, le=100), _reading(values.whole)]
Rate = Annotated[int, Field(strict=True, ge=1, le=100_000), _reading(values.whole)]
Switch = Annotated[bool, Field(strict=True), _reading(values.switch)]
AbsolutePath = Annotated[Path, BeforeValidator(_read_path)]
Secret = Annotated[SecretStr, BeforeValidator(_read_secret)]
Words = Annotated[str, AfterValidator(_worded)]


class Section(BaseModel):
    """A mapping of the file. A key with nothing behind it means that key's default."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


class Timeout(Section):
    """How long one request may take to connect, and then to stay silent. Seconds."""

    connect: Duration = 10
    read: Duration = 600


class Embedded(Section):
    """The Whisper engine on this machine: what it loads, and after how many idle seconds it lets it go.

    `model` is a size or a repository that faster-whisper knows, or an absolute path of a model's folder.
    """

    model: Annotated[Words, BeforeValidator(_read_engine_model)] = "base"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_type: ComputeType = "int8"
    idle: Duration = 600


class Endpoint(Section):
    """One server that translates. `embedded` is set for the one on this machine, whose `base_url` is nominal.

    `max_upload` is one request's file in bytes, `concurrency` the requests in flight,
    `requests_per_minute` how many may start in one, `path` what follows
    `base_url`. `fields` and `headers` are sent beside our own.
    """

    name: Words
    embedded: Embedded | None = None
    allow_http: Switch = False  # stands before base_url, whose check asks for it
    base_url: Annotated[str, AfterValidator(values.address), Field(examples=["https://api.cometapi.com/v1"])]
    api_key: Secret | None = None
    model: Annotated[Words, Field(examples=["whisper-1"])]
    concurrency: Count = 4
    requests_per_minute: Rate | None = None
    max_upload: Size = 25_000_000
    upload: Literal["auto", "flac", "original"] = "auto"
    timeout: Timeout = Timeout()
    path: Annotated[str, AfterValidator(_route)] = "audio/translations"
    fields: dict[Annotated[str, AfterValidator(_field)], str] = {}
    headers: dict[Annotated[str, AfterValidator(_header)], Secret] = {}
    proxy: Annotated[str, AfterValidator(values.proxy)] | None = Field(default=None, repr=False)
    ca_file: AbsolutePath | None = None

    @field_validator("base_url")
    @classmethod
    def _is_private(cls, url: str, info: ValidationInfo) -> str:
        """Speech and key in the clear over a network need the user's word."""
        engine, allowed = info.data.get("embedded"), info.data.get("allow_http", True)
        if values.is_overheard(url) and not (engine or allowed):
            raise ValueError(
                "plain http would show speech and key to the network; use https, or set allow_http: true here"
            )
        return url

    @field_validator("ca_file")
    @classmethod
    def _can_be_read(cls, place: Path | None) -> Path | None:
        if place is not None and not (place.is_file() and os.access(place, os.R_OK)):
            raise ValueError("there is no readable file of that name; write the path of a PEM file")
        return place

    @classmethod
    def on_this_machine(cls, name: str, engine: Embedded) -> Endpoint:
        """Make the embedded endpoint: one request at a time, no key, the engine's own model.

        It has no upload limit to respect but its memory, and no proxy on the way that would give up on it:
        an engine that is slow is still at work.
        """
        return cls(
            name=name,
            base_url=EMBEDDED_URL,
            model=engine.model,
            concurrency=1,
            max_upload=200_000_000,
            timeout=Timeout(read=6 * 3600),
            embedded=engine,
        )


def _beside(leaf: str) -> Callable[[dict[str, object]], Path]:
    """Put a folder inside its inbox by default. Where the inbox is wrong itself, any path does."""

    def default(validated: dict[str, object]) -> Path:
        return Path(str(validated.get("inbox", "/")), leaf)

    return default


def _own_name(validated: dict[str, object]) -> str:
    inbox = validated.get("inbox")
    return inbox.name if isinstance(inbox, Path) else "unnamed"


class Folder(Section):
    """One inbox with its settings; what the file leaves open is filled in from its `defaults` and from here.

    `model` None means the endpoint's. `settle`, `poll_interval` and `rescan` are seconds. `include` and
    `exclude` are globs; no `include` means every media file.
    """

    inbox: Annotated[AbsolutePath, Field(examples=["~/inbox"])]
    name: Words = Field(default_factory=_own_name, validate_default=True)
    done: AbsolutePath = Field(default_factory=_beside("done"))
    failed: AbsolutePath = Field(default_factory=_beside("failed"))
    endpoint: Words
    model: Words | None = None
    prompt: str = ""
    temperature: Annotated[float, Field(strict=True, ge=0, le=1), _reading(values.number)] = 0
    formats: Annotated[tuple[Format, ...], AfterValidator(_distinct)] = (
        "srt",
        "vtt",
        "txt",
    )
    recursive: Switch = True
    include: tuple[Words, ...] = ()
    exclude: tuple[Words, ...] = ()
    settle: Duration = 5
    watch: Literal["auto", "events", "poll"] = "auto"
    poll_interval: Duration = 10
    rescan: Duration = 60


class Log(Section):
    """What is logged, and how: `auto` is the console's style on a terminal and JSON otherwise."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Keep(Section):
    """How long the journal remembers, in seconds: finished jobs, and what endpoints answered."""

    jobs: Age = 90 * 24 * 3600
    replies: Age = 30 * 24 * 3600


class Config(Section):
    """A whole configuration. `source` is its file (absolute); `warnings` are sentences for the user."""

    endpoints: dict[str, Endpoint]
    folders: tuple[Folder, ...]
    state: AbsolutePath
    stop_grace: Duration = 30
    keep: Keep = Keep()
    log: Log = Log()
    source: Path | None = None
    warnings: tuple[str, ...] = ()
