"""The configuration as values: what a YAML file says comes in as plain data, checked frozen models go out.

Every text is read by its field's type, so the models take plain data straight from the file as well as
Python values. Durations are seconds, sizes are bytes, paths are absolute. The text under a field says what
its key is for; `watcherd schema` shows it to editors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
)

from watcherd.config import values
from watcherd.config.hooks import Hooks, Webhook
from watcherd.config.kinds import (
    AbsolutePath,
    Address,
    Age,
    Columns,
    Count,
    Duration,
    EngineModel,
    FieldName,
    Format,
    Formats,
    Gap,
    HeaderName,
    Lines,
    Minutes,
    Proxy,
    Rate,
    ReadingRate,
    Route,
    Secret,
    Shape,
    ShowTime,
    SidecarName,
    Size,
    Switch,
    Temperature,
    Track,
    Words,
)
from watcherd.config.page import StatusPage
from watcherd.config.problems import listed, nearest
from watcherd.config.section import Section
from watcherd.promptly import promptly

__all__ = [
    "CUES",
    "EMBEDDED_URL",
    "Budget",
    "Config",
    "Cues",
    "Embedded",
    "Endpoint",
    "Folder",
    "Format",
    "Hooks",
    "Keep",
    "Log",
    "Retry",
    "Section",
    "StatusPage",
    "Timeout",
    "Webhook",
]

EMBEDDED_URL = "http://embedded/v1"

ComputeType = Literal[
    "auto", "default", "int8", "int8_float32", "int8_float16", "int8_bfloat16",
    "int16", "float16", "bfloat16", "float32",
]  # fmt: skip


class Timeout(Section):
    """How long one request may take. Seconds."""

    connect: Duration = 10
    """How long connecting may take; more on a slow line."""
    read: Duration = 600
    """How long the server may stay silent while it translates."""


class Embedded(Section):
    """The Whisper engine on this machine."""

    model: EngineModel = "base"
    """A size or a repository that faster-whisper knows, or the path of a model's folder; base is packaged."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What the engine runs on."""
    compute_type: ComputeType = "int8"
    """How the engine computes; float16 on a GPU."""
    idle: Duration = 600
    """After so long without work the model's memory is freed."""


class Budget(Section):
    """What an endpoint may cost. Over it, files wait until the next day."""

    minutes_per_day: Annotated[Minutes, Field(examples=["600"])]
    """Audio minutes sent in a day of this machine's calendar."""


class Endpoint(Section):
    """One server that translates; where `embedded` is set, this machine, and `base_url` is nominal."""

    name: Words
    embedded: Embedded | None = None
    """Whisper on this machine. An endpoint with this key has no other; {} means all defaults."""
    allow_http: Switch = False  # stands before base_url, whose check asks for it
    """Allow plain http to another machine, which shows speech and key to the network."""
    base_url: Annotated[Address, Field(examples=["https://api.cometapi.com/v1"])]
    """The server's address: all that stands before /audio/translations."""
    api_key: Secret | None = None
    """The key: {env: NAME}, {file: PATH}, {credential: NAME} for systemd, or the key itself."""
    model: Annotated[Words, Field(examples=["whisper-1"])]
    """What the server calls its Whisper."""
    concurrency: Count = 4
    """Requests in flight; halved by itself when the server says "too many requests"."""
    requests_per_minute: Rate | None = None
    """How many requests may start in a minute; without it there is no limit."""
    max_upload: Size = 25_000_000
    """The largest file that one request may carry."""
    max_part: Duration = 600
    """The longest audio in one request; longer files are cut where nobody speaks."""
    upload: Literal["auto", "flac", "opus", "mp3", "original"] = "auto"
    """auto: as it is where that is small, else FLAC; flac, opus, mp3: always that; original: no encoding."""
    timeout: Timeout = Timeout()
    """How long one request may take."""
    path: Route = "audio/translations"
    """What follows base_url, for servers that put it elsewhere."""
    fields: dict[FieldName, str] = Field(default={})
    """Further form fields, such as whisper.cpp's translate: "true"."""
    headers: dict[HeaderName, Secret] = Field(default={})
    """Further headers, such as Azure's api-key; values as for api_key."""
    budget: Budget | None = None
    """What a day may cost; without it there is no limit."""
    proxy: Proxy | None = Field(default=None, repr=False)
    """The HTTP proxy of a company network."""
    ca_file: AbsolutePath | None = None
    """A PEM file of certificate authorities, instead of the usual ones."""

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
        try:
            readable = place is None or promptly(_is_readable_file, place)
        except TimeoutError as error:
            raise ValueError(f"the file cannot be read: {error.strerror}") from None
        if not readable:
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


def _is_readable_file(place: Path) -> bool:
    return place.is_file() and os.access(place, os.R_OK)


def _beside(leaf: str) -> Callable[[dict[str, object]], Path]:
    """Put a folder inside its inbox by default. Where the inbox is wrong itself, any path does."""

    def default(validated: dict[str, object]) -> Path:
        return Path(str(validated.get("inbox", "/")), leaf)

    return default


def _own_name(validated: dict[str, object]) -> str:
    inbox = validated.get("inbox")
    return inbox.name if isinstance(inbox, Path) else "unnamed"


class Retry(Section):
    """How long a file is tried. A pause of the endpoint counts neither as an attempt nor as time."""

    attempts: Count = 5
    """How many requests may fail on a file before it goes to the failed folder."""
    period: Duration = Field(default=24 * 3600, validation_alias="for")
    """A file that is tried for so long goes to the failed folder with fewer attempts, too."""


class Cues(Section):
    """How much a subtitle may hold and how long it may stay; as they are, the numbers are broadcast's."""

    max_lines: Lines = 2
    """The lines of a subtitle."""
    max_chars: Columns = 42
    """The characters of a line; those of Chinese and Japanese are as wide as two."""
    max_rate: ReadingRate = 20
    """The characters to be read in a second, where the time allows."""
    min_seconds: ShowTime = 0.8
    """The least time that a subtitle is shown, where the time allows."""
    max_seconds: ShowTime = Field(default=7, validate_default=True)
    """The longest time that a subtitle is shown."""
    gap: Gap = 0.08
    """The time without any subtitle before the next one."""

    @field_validator("max_seconds")
    @classmethod
    def _is_the_longest(cls, longest: float, info: ValidationInfo) -> float:
        if longest < info.data.get("min_seconds", 0):
            raise ValueError("write at least what min_seconds is")
        return longest


CUES: Mapping[str, Cues | None] = {"broadcast": Cues(), "podcast": Cues(max_chars=32), "raw": None}


def _by_name(value: object) -> object:
    """Read the name of a shape; None stands for raw from here on."""
    if isinstance(value, str) and value in CUES:
        return CUES[value]
    if value is None or isinstance(value, Mapping | Cues):
        return value
    meant = nearest(value, CUES) if isinstance(value, str) else ""
    raise ValueError(f"write {listed(list(CUES))}, or your own numbers: {{max_chars: 37}}{meant}")


class Folder(Section):
    """One inbox with its settings; what the file leaves open is filled in from `defaults` and from here."""

    inbox: Annotated[AbsolutePath, Field(examples=["~/inbox"])]
    """The folder to watch: new files here are translated."""
    name: Words = Field(default_factory=_own_name, validate_default=True)
    """What the log and the commands call it; without it, the inbox's own name."""
    done: AbsolutePath = Field(default_factory=_beside("done"))
    """Where originals and subtitles go; without it, INBOX/done."""
    failed: AbsolutePath = Field(default_factory=_beside("failed"))
    """Where files go that cannot be translated, with a report; without it, INBOX/failed."""
    after: Literal["move", "keep"] = "move"
    """move: originals go to done or failed. keep: they stay, and subtitles are written beside them."""
    existing: Literal["skip", "overwrite", "keep-both"] = "skip"
    """With keep, what has a subtitle's name: skip leaves it; overwrite replaces ours; keep-both numbers."""
    endpoint: Words
    """The endpoint that translates; may be left out where there is only one."""
    model: Words | None = None
    """Another model of the same server; without it, the endpoint's."""
    prompt: str = ""
    """Names and jargon, in English: the model then spells them right."""
    temperature: Temperature = 0
    """0 leaves it to the server, which is best for nearly all speech."""
    formats: Formats = ("srt", "vtt", "txt")
    """Which sidecars are written: srt, vtt, txt, lrc, json (verbose_json), podcast-json (Podcasting 2.0)."""
    sidecar_name: SidecarName = "{stem}"
    """What sidecars are called before their extension; "{stem}.en" for Plex, Jellyfin, Emby and Kodi."""
    cues: Annotated[Cues | None, BeforeValidator(_by_name)] = Cues()
    """How subtitles are cut: broadcast, podcast, raw (as the server cut them; None), or your own numbers."""
    track: Track = "default"
    """The audio track of a video: default, language codes (the first that is there), or a track's number."""
    recursive: Switch = True
    """Whether sub-folders are watched, too; done and failed mirror them."""
    include: tuple[Words, ...] = ()
    """Globs of files to take; without any, every audio and video file."""
    exclude: tuple[Words, ...] = ()
    """Globs of files to leave alone."""
    settle: Duration = 5
    """A file has arrived when it did not change for this long."""
    watch: Literal["auto", "events", "poll"] = "auto"
    """auto: events, and polling on network file systems. events or poll to insist."""
    poll_interval: Duration = 10
    """How often an inbox without events is looked through."""
    rescan: Duration = 60
    """How often an inbox with events is looked through all the same."""
    retry: Retry = Retry()
    """How long a file is tried."""
    hooks: Hooks = Hooks()
    """Programs that are started when a file is done or has failed."""
    notify: tuple[Webhook, ...] = ()
    """Webhooks that hear of this folder's files and inbox, and of its endpoint's pauses."""

    @property
    def stays(self) -> bool:
        """Tell whether originals stay where they are; done and failed then have no meaning."""
        return self.after == "keep"


class Log(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    format: Literal["auto", "console", "json"] = "auto"
    """auto: for people on a terminal, else JSON (with priorities for the journal). Or console or json."""


class Keep(Section):
    """How long the journal remembers."""

    jobs: Age = 90 * 24 * 3600
    """How long done and failed jobs are remembered, for status."""
    replies: Age = 30 * 24 * 3600
    """How long answers are: the same file is not sent again meanwhile."""


def _or_off(value: object) -> object:
    """Read the word off; None stands for it from here on."""
    if value == "off":
        return None
    if value is None or isinstance(value, Mapping | StatusPage):
        return value
    raise ValueError("write off, or keys and values: {listen: 127.0.0.1:8484}")


class Config(Section):
    """A whole configuration. `source` is its file (absolute); `warnings` are sentences for the user."""

    endpoints: dict[Words, Endpoint]
    """Who translates, by name. Without any there is `local`: Whisper on this machine, which needs no key."""
    folders: Annotated[tuple[Folder, ...], Shape({"minItems": 1})]
    """The inboxes, each with its settings."""
    state: AbsolutePath
    """The journal's folder; without it, /var/lib/watcherd for root, else $XDG_STATE_HOME/watcherd."""
    status: Annotated[StatusPage | None, BeforeValidator(_or_off)] = StatusPage()
    """Where the status page is, and who may use it; off (None) for none at all."""
    stop_grace: Duration = 30
    """How long requests in flight may take to end when the daemon is told to stop."""
    keep: Keep = Keep()
    """How long the journal remembers."""
    log: Log = Log()
    """What is logged, and how."""
    source: Path | None = None
    warnings: tuple[str, ...] = ()
