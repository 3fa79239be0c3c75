"""The schema for editors takes what the loader takes, and refuses the mistakes of shape that it refuses."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.config.said import SOURCE
from tests.config.test_example import EXAMPLE
from watcherd.config import values
from watcherd.config.load import ConfigError, parse
from watcherd.config.model import Endpoint, Folder, Keep
from watcherd.config.schema import schema
from watcherd.config.starter import starter

SCHEMA = schema()
VALIDATOR = Draft202012Validator(SCHEMA)
ENVIRON = {"HOME": "/home/ada", "COMETAPI_KEY": "sk-obviously-fake", "HOOK_URL": "https://h/x"}
WHOLE: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
Place = tuple[str | int, ...]


def loads(document: object) -> bool:
    try:
        parse(json.dumps(document), source=SOURCE, environ=ENVIRON)
    except ConfigError:
        return False
    return True


def changed(place: Place, value: object) -> dict[str, Any]:
    """The example with another value in one place."""
    document = copy.deepcopy(WHOLE)
    holder: Any = document
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    return document


def without(place: Place) -> dict[str, Any]:
    document = copy.deepcopy(WHOLE)
    holder: Any = document
    for step in place[:-1]:
        holder = holder[step]
    del holder[place[-1]]
    return document


def places(value: object, here: Place = ()) -> Iterator[Place]:
    """Every place of a document."""
    steps: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, inner in steps:
        yield (*here, step)
        yield from places(inner, (*here, step))


def described(part: object) -> Iterator[dict[str, Any]]:
    """Every mapping of the schema that describes a value."""
    if isinstance(part, dict):
        yield part
        for inner in part.values():
            yield from described(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from described(inner)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_command_prints_it_without_any_configuration(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "watcherd", "schema"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(printed.stdout) == SCHEMA


@pytest.mark.parametrize("text", [EXAMPLE.read_text(), starter(), "folders: [{inbox: ~/inbox}]"])
def test_what_is_shown_to_people_is_valid(text: str) -> None:
    assert not list(VALIDATOR.iter_errors(yaml.safe_load(text)))


COMET: Place = ("endpoints", "cometapi")
FOLDER: Place = ("folders", 0)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("endpoints",), None),
        (("endpoints", "local", "embedded"), None),
        (("defaults",), None),
        (("defaults",), {"settle": "1s", "done": "/done", "retry": {"attempts": 2}}),
        ((*COMET, "api_key"), None),
        ((*COMET, "api_key"), "sk-written-here"),
        ((*COMET, "api_key"), {"file": "/dev/zero"}),
        ((*COMET, "concurrency"), "4"),
        ((*COMET, "fields"), {"translate": True, "beam": 5, "language": "auto"}),
        ((*COMET, "headers"), {"api-key": {"env": "COMETAPI_KEY"}, "X-Title": "watcherd"}),
        ((*COMET, "budget", "minutes_per_day"), 0.5),
        ((*COMET, "timeout"), {"read": "1500ms"}),
        ((*FOLDER, "name"), 2024),
        ((*FOLDER, "model"), False),
        ((*FOLDER, "recursive"), "false"),
        ((*FOLDER, "formats"), ["podcast-json", "json", "lrc"]),
        ((*FOLDER, "sidecar_name"), "{lang} {name} {lang}.x"),
        ((*FOLDER, "sidecar_name"), None),
        ((*FOLDER, "after"), "keep"),
        ((*FOLDER, "existing"), "keep-both"),
        ((*FOLDER, "existing"), None),
        ((*FOLDER, "retry"), {"for": "1.5h"}),
        ((*FOLDER, "retry"), None),
        ((*FOLDER, "cues"), None),
        ((*FOLDER, "cues"), "podcast"),
        ((*FOLDER, "cues"), "raw"),
        ((*FOLDER, "cues"), {"max_chars": "37", "gap": "0s"}),
        ((*FOLDER, "hooks"), None),
        ((*FOLDER, "hooks"), {"done": [["x", "", "-n", 5, True]], "failed": None}),
        ((*FOLDER, "notify"), None),
        ((*FOLDER, "notify"), []),
        ((*FOLDER, "notify"), [{"url": {"env": "HOOK_URL"}, "secret": "s", "allow_http": "false"}]),
        (("status",), "off"),
        (("status",), None),
        (("status",), {"listen": "[::1]:0"}),
        (("status", "listen"), "localhost:80"),
        (("status", "token"), "obviously-fake-token"),
        (("status", "allowed_hosts"), ["nas:8080", "192.168.1.7", "[fd00::7]:8080", 7]),
        (("log", "level"), None),
    ],
)
def test_whatever_may_be_written_is_valid(place: Place, value: object) -> None:
    assert not list(VALIDATOR.iter_errors(changed(place, value)))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("setle",), "1s"),
        (("source",), "/etc/watcherd.yaml"),
        (("warnings",), []),
        (("endpoints",), []),
        (("endpoints",), ["cometapi"]),
        (("endpoints", "cometapi"), "sk-1"),
        (("endpoints", " "), {"embedded": {}}),
        ((*COMET, "name"), "here"),
        ((*COMET, "concurency"), 4),
        ((*COMET, "concurrency"), 0),
        ((*COMET, "concurrency"), 101),
        ((*COMET, "concurrency"), 4.5),
        ((*COMET, "concurrency"), "many"),
        ((*COMET, "concurrency"), [4]),
        ((*COMET, "concurrency"), True),
        ((*COMET, "requests_per_minute"), 0),
        ((*COMET, "max_upload"), 25),
        ((*COMET, "max_upload"), "25M8"),
        ((*COMET, "upload"), "ogg"),
        ((*COMET, "max_part"), "long"),
        ((*FOLDER, "track"), {"de": 1}),
        ((*COMET, "timeout"), "10m"),
        ((*COMET, "timeout", "read"), 600),
        ((*COMET, "timeout", "conect"), "3s"),
        ((*COMET, "base_url"), "api.cometapi.com"),
        ((*COMET, "base_url"), None),
        ((*COMET, "api_key"), ["sk-1"]),
        ((*COMET, "api_key"), {}),
        ((*COMET, "api_key"), {"enviroment": "COMETAPI_KEY"}),
        ((*COMET, "api_key"), {"env": "COMETAPI_KEY", "file": "/key"}),
        ((*COMET, "api_key"), {"env": "sk 1"}),
        ((*COMET, "fields"), ["a"]),
        ((*COMET, "fields"), {"a": None}),
        ((*COMET, "fields"), {"prompt": "x"}),
        ((*COMET, "headers"), {"a b": "x"}),
        ((*COMET, "allow_http"), "on"),
        ((*COMET, "allow_http"), 1),
        ((*COMET, "proxy"), "proxy:3128"),
        ((*COMET, "budget"), 600),
        ((*COMET, "budget"), {}),
        ((*COMET, "budget", "minutes_per_day"), 0),
        ((*COMET, "budget", "minutes_per_day"), "10m"),
        ((*COMET, "budget", "minuts"), 1),
        (("endpoints", "local", "concurrency"), 1),
        (("endpoints", "local", "embedded"), "base"),
        (("endpoints", "local", "embedded", "sice"), "small"),
        (("endpoints", "local", "embedded", "compute_type"), "int9"),
        (("defaults",), ["settle"]),
        (("defaults", "inbox"), "/inbox"),
        (("defaults", "name"), "x"),
        (("defaults", "settle"), 5),
        (("defaults", "log"), "info"),
        (("folders",), None),
        (("folders",), []),
        (("folders",), "/inbox"),
        (("folders",), {"inbox": "/inbox"}),
        (("folders", 0), "/inbox"),
        ((*FOLDER, "inbox"), None),
        ((*FOLDER, "inbox"), ""),
        ((*FOLDER, "inbox"), ["/inbox"]),
        ((*FOLDER, "settel"), "9s"),
        ((*FOLDER, "Formats"), ["srt"]),
        ((*FOLDER, "concurrency"), 4),
        ((*FOLDER, "settle"), 5),
        ((*FOLDER, "settle"), "5 seconds"),
        ((*FOLDER, "recursive"), "yes"),
        ((*FOLDER, "temperature"), 2),
        ((*FOLDER, "temperature"), -1),
        ((*FOLDER, "temperature"), "hot"),
        ((*FOLDER, "formats"), "srt"),
        ((*FOLDER, "formats"), []),
        ((*FOLDER, "formats"), ["srt", "srt"]),
        ((*FOLDER, "formats"), ["srt", "stv"]),
        ((*FOLDER, "sidecar_name"), "subtitles"),
        ((*FOLDER, "sidecar_name"), "subs/{stem}"),
        ((*FOLDER, "sidecar_name"), "{stem}{name}"),
        ((*FOLDER, "sidecar_name"), "{stem}.{language}"),
        ((*FOLDER, "sidecar_name"), {"stem": None}),
        ((*FOLDER, "include"), "*.mp3"),
        ((*FOLDER, "include"), [""]),
        ((*FOLDER, "exclude"), [None]),
        ((*FOLDER, "watch"), "pol"),
        ((*FOLDER, "after"), "stay"),
        ((*FOLDER, "existing"), "keep_both"),
        ((*FOLDER, "model"), " "),
        ((*FOLDER, "prompt"), {"a": "b"}),
        ((*FOLDER, "endpoint"), ["local"]),
        ((*FOLDER, "retry"), 5),
        ((*FOLDER, "retry", "attempts"), 0),
        ((*FOLDER, "retry", "attemps"), 3),
        ((*FOLDER, "retry", "period"), "24h"),
        ((*FOLDER, "retry", "for"), 24),
        ((*FOLDER, "cues"), "broadcst"),
        ((*FOLDER, "cues"), ["broadcast"]),
        ((*FOLDER, "cues"), 42),
        ((*FOLDER, "cues", "max_lines"), 0),
        ((*FOLDER, "cues", "max_chars"), 4.5),
        ((*FOLDER, "cues", "max_rate"), "fast"),
        ((*FOLDER, "cues", "min_seconds"), 0),
        ((*FOLDER, "cues", "gap"), 0.08),
        ((*FOLDER, "cues", "lines"), 2),
        ((*FOLDER, "hooks"), [["x"]]),
        ((*FOLDER, "hooks", "done"), "x -f"),
        ((*FOLDER, "hooks", "done"), ["x", "-f"]),
        ((*FOLDER, "hooks", "done"), [[]]),
        ((*FOLDER, "hooks", "done"), [["x", None]]),
        ((*FOLDER, "hooks", "paused"), [["x"]]),
        ((*FOLDER, "notify"), "https://h/x"),
        ((*FOLDER, "notify"), {"url": "https://h/x"}),
        ((*FOLDER, "notify"), ["https://h/x"]),
        ((*FOLDER, "notify"), [{}]),
        ((*FOLDER, "notify"), [{"url": "https://h/x", "key": "s"}]),
        (("status",), "on"),
        (("status",), False),
        (("status",), ["127.0.0.1:8484"]),
        (("status", "port"), 8484),
        (("status", "listen"), 8484),
        (("status", "listen"), "nas:8484"),
        (("status", "token"), ["x"]),
        (("status", "allowed_hosts"), "nas"),
        (("status", "allowed_hosts"), ["https://nas"]),
        (("state",), ["a"]),
        (("stop_grace",), 30),
        (("keep",), "90d"),
        (("keep", "jobs"), 90),
        (("log",), "info"),
        (("log", "level"), "warn"),
        (("log", "levle"), "info"),
    ],
)
def test_a_mistake_of_shape_is_refused_by_the_loader_and_by_the_schema(place: Place, value: object) -> None:
    document = changed(place, value)
    assert not loads(document)
    assert list(VALIDATOR.iter_errors(document))


@pytest.mark.parametrize(
    "place",
    [
        ("folders",),
        (*FOLDER, "inbox"),
        (*COMET, "base_url"),
        (*COMET, "model"),
        (*COMET, "budget", "minutes_per_day"),
    ],
)
def test_a_key_that_is_needed_is_missed_by_the_loader_and_by_the_schema(place: Place) -> None:
    document = without(place)
    assert not loads(document)
    assert list(VALIDATOR.iter_errors(document))


WORDS = st.sampled_from(
    ["", " ", "true", "True", "on", "4", "0", "0.5", ".5", "5s", "0s", "10:30", "25MB", "1kib", "srt", "auto",
     "https://h/v1", "HTTP://localhost", "/a", "~", "null", "~/x", "a/b", "é"]
)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["env", "file", "for", "inbox", "x", ""]), inner, max_size=2)
    ),
    max_leaves=4,
)
PLACES = sorted(
    {*places(WHOLE), *((*place[:-1], "x") for place in places(WHOLE) if isinstance(place[-1], str))}, key=str
)


@given(place=st.sampled_from(PLACES), value=VALUES)
def test_what_the_schema_refuses_the_loader_refuses_too(place: Place, value: object) -> None:
    document = changed(place, value)
    if list(VALIDATOR.iter_errors(document)):
        assert not loads(document)


def test_every_key_says_what_it_is_for() -> None:
    for part in described(SCHEMA):
        for name, key in part.get("properties", {}).items():
            if key is not True and name not in {"env", "file", "credential"}:
                assert key["description"].endswith("."), name


def test_each_default_is_written_as_the_loader_reads_it() -> None:
    shown = SCHEMA["properties"]
    folder = {
        key: part["default"] for key, part in shown["defaults"]["properties"].items() if "default" in part
    }
    assert folder["settle"] == "5s"
    assert folder["cues"] == "broadcast"
    server = shown["endpoints"]["additionalProperties"]["else"]["properties"]
    endpoint = {key: part["default"] for key, part in server.items() if "default" in part}
    assert endpoint["max_upload"] == "25MB"
    endpoint |= {"base_url": "https://h/v1", "model": "m"}
    keep = {key: part["default"] for key, part in shown["keep"]["properties"].items()}
    document = {
        "endpoints": {"comet": endpoint},
        "defaults": folder,
        "keep": keep,
        "folders": [{"inbox": "/a"}],
    }
    config = parse(json.dumps(document), source=SOURCE, environ=ENVIRON)
    assert config.folders[0] == Folder(inbox=Path("/a"), endpoint="comet")
    assert config.endpoints["comet"] == Endpoint(name="comet", base_url="https://h/v1", model="m")
    assert config.keep == Keep()


@given(milliseconds=st.integers(min_value=1, max_value=10**12))
def test_a_duration_is_written_so_that_it_is_read_again(milliseconds: int) -> None:
    assert values.duration(values.as_duration(milliseconds / 1000)) == milliseconds / 1000


@given(count=st.integers(min_value=1, max_value=10**12))
def test_a_size_is_written_so_that_it_is_read_again(count: int) -> None:
    assert values.size(values.as_size(count)) == count
