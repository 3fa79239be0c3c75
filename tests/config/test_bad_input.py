"""Each way in which a configuration can be wrong, with the line that a user reads about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.said import FILE, SOURCE, said
from watcherd.config.load import ConfigError, parse

SHORTEST = "a whole file can be as short as: folders: [{inbox: ~/inbox}]"
COMET = "endpoints: {comet: {base_url: https://api.cometapi.com/v1, model: whisper-1}}\n"


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_an_empty_file(text: str) -> None:
    assert said(text) == [f"the file is empty; {SHORTEST}"]


def test_a_list_at_the_top() -> None:
    assert said("- inbox: /srv/in\n") == [f"1: the file is a list at the top; it needs keys: {SHORTEST}"]


@pytest.mark.parametrize(
    ("text", "place"), [("state: /srv/state", ""), ("folders:", "1: "), ("state: /x\nfolders: []", "2: ")]
)
def test_no_folder_at_all(text: str, place: str) -> None:
    assert said(text) == [f"{place}folders: no folder to watch; {SHORTEST}"]


def test_an_unknown_key_and_what_was_meant() -> None:
    text = """\
    folders:
      - inbox: /srv/in
        settel: 9s
        Formats: [srt]
        concurrency: 4
        entirely_other: 1
    setle: 1
    """
    lines = said(text)
    assert lines[0] == '3: folders[0].settel: unknown key; did you mean "settle"?'
    assert lines[1] == '4: folders[0].Formats: unknown key; did you mean "formats"?'
    assert lines[2] == "5: folders[0].concurrency: unknown key here; it belongs to an endpoint"
    assert lines[3].startswith("6: folders[0].entirely_other: unknown key; known here: inbox, name, done,")
    assert lines[4].startswith("7: setle: unknown key; ")


def test_keys_of_nested_mappings_are_known_too() -> None:
    text = """\
    endpoints:
      comet:
        base_url: https://api.cometapi.com/v1
        model: whisper-1
        timeout: {conect: 3s}
      local:
        embedded: {sice: small, modle: base}
        concurrency: 2
        name: here
    defaults: {endpoint: comet, log: info}
    folders: [{inbox: /srv/in}]
    log: {levle: info}
    """
    assert said(text) == [
        '5: endpoints.comet.timeout.conect: unknown key; did you mean "connect"?',
        '7: endpoints.local.embedded.sice: unknown key; did you mean "device"?',
        '7: endpoints.local.embedded.modle: unknown key; did you mean "model"?',
        f"8: endpoints.local.concurrency: {NO_OTHER_KEY}",
        "9: endpoints.local.name: an endpoint's name is the key above it, here local; remove this",
        f"10: defaults.log: unknown key; known here: {FOLDER_KEYS}",
        '12: log.levle: unknown key; did you mean "level"?',
    ]


OVERHEARD = "plain http would show speech and key to the network; use https, or set allow_http: true here"
COMPUTE_TYPES = (
    "auto, default, int8, int8_float32, int8_float16, int8_bfloat16, int16, float16, bfloat16 or float32"
)
FOLDER_KEYS = (
    "inbox, name, done, failed, after, existing, endpoint, model, prompt, temperature, formats, "
    "sidecar_name, cues, track, recursive, include, exclude, settle, watch, poll_interval, rescan, retry, "
    "hooks and notify"
)
NO_OTHER_KEY = "an embedded endpoint has no other key; its engine's keys stand inside embedded"
OWN_FIELD = "watcherd sends this field itself; fields are for what a server wants beyond it"
NO_PEM = "there is no readable file of that name; write the path of a PEM file"
SHAPES = "write broadcast, podcast or raw, or your own numbers: {max_chars: 37}"
FORMATS = "write srt, vtt, txt, lrc, json or podcast-json"
ONCE = 'write {stem} or {name} in it, once, such as "{stem}.en"'
NOTHING = "stands for nothing; there is {stem}, {name} and {lang}"
BESIDE = "write a name without slashes: sidecars stand beside their original"
TOO_MUCH = "write at most 100 bytes beside {stem} or {name}, and no control characters"
NO_SHELL = (
    'there is no shell: write each command as the list of its words, [["/usr/bin/logger", "-t", "done"]]'
)
PROGRAM = "a command begins with its program, such as /usr/local/bin/refresh"
HOOK_OVERHEARD = "plain http would show file names to the network; use https, or set allow_http: true here"
NO_HOST = "write an address that begins with https:// (or http://) and names a host"
LISTEN = 'write an address and a port, such as 127.0.0.1:8484 or "[::1]:8484"; the only name is localhost'
OFF = "write off, or keys and values: {listen: 127.0.0.1:8484}"
GUARDED = "other machines reach this address: set a token beside it, such as token: {file: PATH}"
HOST = "write a host as the browser shows it, with its port if there is one: media.example or nas:8080"
LONGER = "write at least 16 characters; make some with: openssl rand -hex 32"
SINGLE = "write a single value; a text that begins with { or [ needs quotes"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("inbox: [a]", f"inbox: {SINGLE}"),
        ("prompt: {a: b}", f"prompt: {SINGLE}"),
        ("settle: [5s]", f"settle: {SINGLE}"),
        ("recursive: [true]", f"recursive: {SINGLE}"),
        ("recursive: yes", 'recursive: "yes": write true or false'),
        ("temperature: hot", 'temperature: "hot": write a number, such as 0 or 0.2'),
        ("temperature: 2", 'temperature: "2": write at most 1'),
        ("temperature: -1", 'temperature: "-1": write at least 0'),
        ("formats: srt", 'formats: "srt": write a list: [srt]'),
        ("formats: {srt: true}", "formats: write a list: [a, b]"),
        ("formats: []", "formats: write at least one"),
        ("formats: [srt, srt]", "formats: name each format once"),
        ("formats: [srt, stv]", f'formats[1]: "stv": {FORMATS}; did you mean "srt"?'),
        ("formats: [str]", f'formats[0]: "str": {FORMATS}; did you mean "srt"?'),
        ('sidecar_name: ""', f'sidecar_name: "": {ONCE}'),
        ("sidecar_name: subtitles", f'sidecar_name: "subtitles": {ONCE}'),
        ('sidecar_name: "{lang}"', f'sidecar_name: "{{lang}}": {ONCE}'),
        ('sidecar_name: "{stem}{stem}"', f'sidecar_name: "{{stem}}{{stem}}": {ONCE}'),
        ('sidecar_name: "{stem}{name}"', f'sidecar_name: "{{stem}}{{name}}": {ONCE}'),
        ('sidecar_name: "{stm}"', f'sidecar_name: "{{stm}}": {{stm}} {NOTHING}'),
        ('sidecar_name: "{stem}{language}"', f'sidecar_name: "{{stem}}{{language}}": {{language}} {NOTHING}'),
        ('sidecar_name: "{stem"', f'sidecar_name: "{{stem": {{ {NOTHING}'),
        ('sidecar_name: "subs/{stem}"', f'sidecar_name: "subs/{{stem}}": {BESIDE}'),
        ("sidecar_name: 'subs\\{stem}'", f'sidecar_name: "subs\\{{stem}}": {BESIDE}'),
        ("sidecar_name: {stem}", f"sidecar_name: {SINGLE}"),
        ("sidecar_name: '" + "é" * 51 + "{stem}'", f'sidecar_name: "{"é" * 51}{{stem}}": {TOO_MUCH}'),
        ('sidecar_name: "{stem}\\n"', f'sidecar_name: "{{stem}}\\n": {TOO_MUCH}'),
        ("sidecar_name: '" + "é" * 50 + "{name}'", None),
        ("include: [1, ]", None),
        ("include: ['']", 'include[0]: "": write a text that is not empty'),
        ("exclude: [null]", "exclude[0]: write a value; there is none"),
        ("cues: podcst", f'cues: "podcst": {SHAPES}; did you mean "podcast"?'),
        ("cues: [raw]", f"cues: {SHAPES}"),
        ("cues: 42", f'cues: "42": {SHAPES}'),
        ("cues: {max_lines: 5}", 'cues.max_lines: "5": write at most 4'),
        ("cues: {max_chars: 9}", 'cues.max_chars: "9": write at least 10'),
        ("cues: {max_rate: fast}", 'cues.max_rate: "fast": write a number, such as 0 or 0.2'),
        ("cues: {min_seconds: 0}", 'cues.min_seconds: "0": write at least 0.1'),
        ("cues: {min_seconds: 8}", "cues.max_seconds: write at least what min_seconds is"),
        (
            "cues: {min_seconds: 3, max_seconds: 2}",
            'cues.max_seconds: "2": write at least what min_seconds is',
        ),
        ("cues: {gap: 80}", 'cues.gap: "80": write a duration with its unit, such as 500ms, 2s, 10m or 24h'),
        ("cues: {gap: 3s}", 'cues.gap: "3s": write a duration of at most 2s'),
        ("cues: {max_char: 37}", 'cues.max_char: unknown key; did you mean "max_chars"?'),
        ("max_chars: 37", "max_chars: unknown key here; it belongs to a folder's cues"),
        ("watch: pol", 'watch: "pol": write auto, events or poll; did you mean "poll"?'),
        ("after: kep", 'after: "kep": write move or keep; did you mean "keep"?'),
        ("after: [keep]", "after: write move or keep"),
        (
            "existing: keep_both",
            'existing: "keep_both": write skip, overwrite or keep-both; did you mean "keep-both"?',
        ),
        ("watch: [poll]", "watch: write auto, events or poll"),
        ("settle: 5", 'settle: "5": write a duration with its unit, such as 500ms, 2s, 10m or 24h'),
        ("settle: 10:30", 'settle: "10:30": write a duration with its unit, such as 500ms, 2s, 10m or 24h'),
        ("settle: 0s", 'settle: "0s": write a duration above 0 and of at most 744h'),
        ("rescan: 1000h", 'rescan: "1000h": write a duration above 0 and of at most 744h'),
        ("done: ''", 'done: "": write the path of a file or folder'),
        ("done: ${NOPE}/x", 'done: "${NOPE}/x": the environment variable NOPE is not set'),
        ('name: "a\\nb"', 'name: "a\\nb": write it without line breaks and control characters'),
        ("model: ' '", 'model: " ": write a text that is not empty'),
        ("endpoint: [local]", f"endpoint: {SINGLE}"),
        ("retry: 5", 'retry: "5": write keys and values: {key: value}'),
        ("retry: {attempts: 0}", 'retry.attempts: "0": write at least 1'),
        ("retry: {attempts: five}", 'retry.attempts: "five": write a whole number, such as 4'),
        ("retry: {for: 5}", 'retry.for: "5": write a duration with its unit, such as 500ms, 2s, 10m or 24h'),
        ("retry: {for: 32d}", 'retry.for: "32d": write a duration above 0 and of at most 744h'),
        ("retry: {attemps: 3}", 'retry.attemps: unknown key; did you mean "attempts"?'),
        ("retry: {period: 24h}", "retry.period: unknown key; known here: attempts and for"),
        ("hooks: /usr/bin/x", 'hooks: "/usr/bin/x": write keys and values: {key: value}'),
        ("hooks: {done: /usr/bin/x -f}", f'hooks.done: "/usr/bin/x -f": {NO_SHELL}'),
        ("hooks: {done: [/usr/bin/x, -f]}", f"hooks.done: {NO_SHELL}"),
        ("hooks: {failed: [[]]}", f"hooks.failed[0]: {PROGRAM}"),
        ("hooks: {failed: [['', -f]]}", f"hooks.failed[0]: {PROGRAM}"),
        ("hooks: {failed: [[null]]}", f"hooks.failed[0]: {PROGRAM}"),
        ("hooks: {done: [[x, {a: b}]]}", f"hooks.done[0][1]: {SINGLE}"),
        ("hooks: {done: [[[x]]]}", f"hooks.done[0][0]: {SINGLE}"),
        ("hooks: {done: [[x, null]]}", "hooks.done[0][1]: write a value; there is none"),
        ('hooks: {done: [[x, "a\\0b"]]}', "hooks.done[0]: no word of a command can hold a NUL character"),
        ("hooks: {done: [['${NOPE}/x']]}", "hooks.done[0]: the environment variable NOPE is not set"),
        ("hooks: {don: [[x]]}", 'hooks.don: unknown key; did you mean "done"?'),
        ("hooks: {done: [[x, '']], failed: []}", None),
        ("notify: https://h/x", 'notify: "https://h/x": write a list: [https://h/x]'),
        ("notify: [https://h/x]", 'notify[0]: "https://h/x": write keys and values: {key: value}'),
        ("notify: [{}]", "notify[0].url: missing; for example url: https://hooks.example/watcherd"),
        ("notify: [{url: h/x}]", f"notify[0].url: {NO_HOST}"),
        ("notify: [{url: 'https://h/x#y'}]", "notify[0].url: an address ends before its #"),
        ("notify: [{url: http://nas/x}]", f"notify[0].url: {HOOK_OVERHEARD}"),
        ("notify: [{url: http://nas/x, allow_http: true}]", None),
        ("notify: [{url: 'http://127.0.0.1/x?y=z'}]", None),
        ("notify: [{url: https://h/x, scret: y}]", 'notify[0].scret: unknown key; did you mean "secret"?'),
        (
            "notify: [{url: https://h/x, secret: {env: NOPE}}]",
            "notify[0].secret: the environment variable NOPE is not set",
        ),
        ("secret: x", "secret: unknown key here; it belongs to a webhook of notify"),
        ("for: 24h", "for: unknown key here; it belongs to a folder's retry"),
    ],
)
def test_a_wrong_value_in_a_folder(line: str, problem: str | None) -> None:
    first = "" if line.startswith("inbox:") else "    inbox: /srv/in\n"
    text = f"folders:\n  - # one\n{first}    {line}\n"
    number = 3 if line.startswith("inbox:") else 4
    if problem is None:
        parse(text, source=SOURCE, environ={})
    else:
        assert said(text) == [f"{number}: folders[0].{problem}"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("concurrency: 0", 'concurrency: "0": write at least 1'),
        ("concurrency: 101", 'concurrency: "101": write at most 100'),
        ("concurrency: 0660", 'concurrency: "0660": write a whole number, such as 4'),
        ("concurrency: many", 'concurrency: "many": write a whole number, such as 4'),
        ("max_upload: 25", 'max_upload: "25": write a size with its unit, such as 500kB, 25MB or 24MiB'),
        ("max_upload: 0MB", 'max_upload: "0MB": write at least 1'),
        ("upload: ogg", 'upload: "ogg": write auto, flac, opus, mp3 or original'),
        ("max_part: 0s", 'max_part: "0s": write a duration above 0 and of at most 744h'),
        ("timeout: 10m", 'timeout: "10m": write keys and values: {key: value}'),
        ("timeout: {read: 600}", None),
        ("path: https://x/y", 'path: "https://x/y": write what follows base_url, such as audio/translations'),
        ("fields: [a]", "fields: write keys and values: {key: value}"),
        ("fields: {a: [b]}", f"fields.a: {SINGLE}"),
        ("fields: {a: }", "fields.a: write a value; there is none"),
        (
            "fields: {prompt: x}",
            f'fields.prompt: "x": {OWN_FIELD}',
        ),
        ("fields: {'a\"b': x}", 'fields.a"b: "x": this is not the name of a form field'),
        (
            "headers: {a b: x}",
            "headers.a b: this is not the name of a header; write letters, digits and dashes",
        ),
        ("headers: {content-type: x}", "headers.content-type: watcherd sets this header itself"),
        ("budget: 600", 'budget: "600": write keys and values: {key: value}'),
        ("budget: {}", "budget.minutes_per_day: missing; for example minutes_per_day: 600"),
        ("budget: {minutes_per_day: 0}", 'budget.minutes_per_day: "0": write more than 0'),
        ("budget: {minutes_per_day: 10m}", 'budget.minutes_per_day: "10m": write a number, such as 0 or 0.2'),
        ("budget: {minutes_per_day: 9999999}", 'budget.minutes_per_day: "9999999": write at most 1000000'),
        (
            "budget: {minuts_per_day: 5, minutes_per_day: 5}",
            'budget.minuts_per_day: unknown key; did you mean "minutes_per_day"?',
        ),
        ("minutes_per_day: 600", "minutes_per_day: unknown key here; it belongs to an endpoint's budget"),
        ("allow_http: on", 'allow_http: "on": write true or false'),
        (
            "proxy: proxy:3128",
            'proxy: "proxy:3128": write the address of an HTTP proxy, such as http://proxy.example:3128',
        ),
        (
            "ca_file: /nonexistent.pem",
            f'ca_file: "/nonexistent.pem": {NO_PEM}',
        ),
    ],
)
def test_a_wrong_value_in_an_endpoint(line: str, problem: str | None) -> None:
    text = f"""\
endpoints:
  comet:
    base_url: https://api.cometapi.com/v1
    model: whisper-1
    {line}
folders: [{{inbox: /srv/in}}]
"""
    if problem is None:
        problem = 'timeout.read: "600": write a duration with its unit, such as 500ms, 2s, 10m or 24h'
    assert said(text) == [f"5: endpoints.comet.{problem}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "endpoints: [comet]",
            "1: endpoints: write each endpoint by its name: {NAME: {base_url: …, model: …}}",
        ),
        ("endpoints: []", "1: endpoints: write each endpoint by its name: {NAME: {base_url: …, model: …}}"),
        ("endpoints: ''", "1: endpoints: write each endpoint by its name: {NAME: {base_url: …, model: …}}"),
        (
            "endpoints: {comet: sk-1}",
            "1: endpoints.comet: write its keys: {base_url: …, model: …}, or {embedded: {}}",
        ),
        (
            "endpoints: {a: {embedded: base}}",
            '1: endpoints.a.embedded: "base": write keys and values: {key: value}',
        ),
        (
            "endpoints: {a: {embedded: {compute_type: int9}}}",
            f'1: endpoints.a.embedded.compute_type: "int9": write {COMPUTE_TYPES}; did you mean "int8"?',
        ),
        (
            'endpoints: {"": {embedded: {}}}',
            "1: endpoints.: name the endpoint with a word, without control characters",
        ),
        ("defaults: [a]", "1: defaults: write any keys of a folder: {settle: 10s}"),
        ("defaults: {inbox: /x}", "1: defaults.inbox: no default; write it in each folder"),
        ("defaults: {name: x}", "1: defaults.name: no default; write it in each folder"),
        (
            "defaults: {settle: 5}",
            '1: defaults.settle: "5": write a duration with its unit, such as 500ms, 2s, 10m or 24h',
        ),
        ("log: info", '1: log: "info": write keys and values: {key: value}'),
        (
            "log: {level: warn}",
            '1: log.level: "warn": write debug, info, warning or error; did you mean "warning"?',
        ),
        ("keep: {jobs: 0s}", '1: keep.jobs: "0s": write a duration above 0 and of at most 3650d'),
        ("stop_grace: 0s", '1: stop_grace: "0s": write a duration above 0 and of at most 744h'),
        ("status: Off", f'1: status: "Off": {OFF}'),
        ("status: false", f'1: status: "false": {OFF}'),
        ("status: 127.0.0.1:8484", f'1: status: "127.0.0.1:8484": {OFF}'),
        ("status: [a]", f"1: status: {OFF}"),
        ("status: {lisen: x}", '1: status.lisen: unknown key; did you mean "listen"?'),
        ("listen: x", "1: listen: unknown key here; it belongs to status"),
        ("status: {listen: 8484}", f'1: status.listen: "8484": {LISTEN}'),
        ("status: {listen: ':8484'}", f'1: status.listen: ":8484": {LISTEN}'),
        ("status: {listen: nas:8484}", f'1: status.listen: "nas:8484": {LISTEN}'),
        ("status: {listen: 127.0.0.1}", f'1: status.listen: "127.0.0.1": {LISTEN}'),
        ("status: {listen: 127.0.0.1:65536}", f'1: status.listen: "127.0.0.1:65536": {LISTEN}'),
        ("status: {listen: 127.0.0.256:1}", f'1: status.listen: "127.0.0.256:1": {LISTEN}'),
        ("status: {listen: '::1:8484'}", f'1: status.listen: "::1:8484": {LISTEN}'),
        ("status: {listen: '[127.0.0.1]:8484'}", f'1: status.listen: "[127.0.0.1]:8484": {LISTEN}'),
        ("status: {listen: [127.0.0.1:8484]}", f"1: status.listen: {SINGLE}"),
        (
            "status: {listen: [::1]:8484}",
            "1: a bracket that begins no list, as in [::1]; put the text in quotes",
        ),
        ("status:\n  listen: 0.0.0.0:8484", f'2: status.listen: "0.0.0.0:8484": {GUARDED}'),
        ("status: {listen: '[::]:8484'}", f'1: status.listen: "[::]:8484": {GUARDED}'),
        ("status: {listen: 192.168.1.7:80}", f'1: status.listen: "192.168.1.7:80": {GUARDED}'),
        ("status: {token: short, listen: 0.0.0.0:8484}", f"1: status.token: {LONGER}"),
        ("status: {allowed_hosts: nas}", '1: status.allowed_hosts: "nas": write a list: [nas]'),
        ("status: {allowed_hosts: [https://nas]}", f'1: status.allowed_hosts[0]: "https://nas": {HOST}'),
        ("status: {allowed_hosts: [nas/x]}", f'1: status.allowed_hosts[0]: "nas/x": {HOST}'),
        ("status: {allowed_hosts: ['*.nas']}", f'1: status.allowed_hosts[0]: "*.nas": {HOST}'),
        ("status: {allowed_hosts: [nas:99999]}", f'1: status.allowed_hosts[0]: "nas:99999": {HOST}'),
        ("state: [a]", f"1: state: {SINGLE}"),
        ("state: ${NOPE}", '1: state: "${NOPE}": the environment variable NOPE is not set'),
    ],
)
def test_a_wrong_value_elsewhere(text: str, problem: str) -> None:
    assert said(f"{text}\nfolders: [{{inbox: /srv/in}}]\n") == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("folders: {inbox: /a}", "1: folders: write a list; each folder begins with a dash: - inbox: PATH"),
        ("folders: /a", "1: folders: write a list; each folder begins with a dash: - inbox: PATH"),
        ("folders: [/a]", '1: folders[0]: "/a": write its keys: {inbox: PATH}'),
        ("folders: [[/a]]", "1: folders[0]: write its keys: {inbox: PATH}"),
        ("folders: [{}]", "1: folders[0].inbox: missing; for example inbox: ~/inbox"),
        ("folders:\n  - inbox:\n", "2: folders[0].inbox: missing; for example inbox: ~/inbox"),
        ("folders: [{inbox: /}]", "1: folders[0].name: write a text that is not empty"),
    ],
)
def test_folders_of_another_shape(text: str, problem: str) -> None:
    assert said(text) == [problem]


def test_an_endpoint_without_address_and_model() -> None:
    assert said("endpoints:\n  comet: {}\nfolders: [{inbox: /a}]\n") == [
        "2: endpoints.comet.base_url: missing; for example base_url: https://api.cometapi.com/v1",
        "2: endpoints.comet.model: missing; for example model: whisper-1",
    ]


def test_an_endpoint_that_is_not_defined_and_those_that_are() -> None:
    text = COMET + "defaults: {endpoint: comte}\nfolders:\n  - inbox: /a\n  - {inbox: /b, endpoint: local}\n"
    there_is = "there is no endpoint of that name; defined: comet"
    assert said(text) == [
        f'2: defaults.endpoint: "comte": {there_is}; did you mean "comet"?',
        f'5: folders[1].endpoint: "local": {there_is}',
    ]


def test_without_endpoints_only_the_embedded_one_is_defined() -> None:
    assert said("folders: [{inbox: /a, endpoint: cometapi}]") == [
        '1: folders[0].endpoint: "cometapi": there is no endpoint of that name; defined: local'
    ]


def test_several_endpoints_and_none_chosen() -> None:
    text = """\
    endpoints:
      comet: {base_url: https://api.cometapi.com/v1, model: whisper-1}
      local: {embedded: {}}
    folders:
      - inbox: /a
      - inbox: /b
        endpoint: local
    """
    assert said(text) == ["5: folders[0].endpoint: write which endpoint, here or in defaults: comet or local"]


def test_a_broken_endpoint_is_still_defined() -> None:
    lines = said("endpoints:\n  comet: {model: m}\nfolders: [{inbox: /a, endpoint: comet}]\n")
    assert [line.split(":")[0] for line in lines] == ["2"]


def test_plain_http_to_another_machine_needs_a_word() -> None:
    text = """\
    endpoints:
      nas:
        model: m
        base_url: http://nas:8000/v1
    folders: [{inbox: /a}]
    """
    assert said(text) == [
        f'4: endpoints.nas.base_url: "http://nas:8000/v1": {OVERHEARD}',
    ]
    parse(text.replace("model: m", "model: m\n        allow_http: true"), source=SOURCE, environ={})
    parse(text.replace("//nas:", "//127.0.0.1:"), source=SOURCE, environ={})


def test_all_problems_come_at_once_in_the_order_of_their_lines() -> None:
    text = """\
    log: {level: loud}
    endpoints:
      comet:
        base_url: api.cometapi.com
        api_key: {env: COMETAPI_KEY}
        model: whisper-1
        concurrency: 0
        concurrency: 1
    defaults:
      settle: 5
    folders:
      - inbox: /srv/in
        settel: 9s
        endpoint: comte
        done: /srv/in
      - inbox: /srv/in/below
        recursive: yes
      - done: /x
    colour: red
    """
    lines = said(text)
    assert [line.split(": ")[:2] for line in lines] == [
        ["1", "log.level"],
        ["4", "endpoints.comet.base_url"],
        ["5", "endpoints.comet.api_key"],
        ["7", "endpoints.comet.concurrency"],
        ["8", "endpoints.comet.concurrency"],
        ["10", "defaults.settle"],
        ["13", "folders[0].settel"],
        ["14", "folders[0].endpoint"],
        ["15", "folders[0].done"],
        ["17", "folders[1].recursive"],
        ["18", "folders[2].inbox"],
        ["19", "colour"],
    ]


def test_a_problem_in_the_defaults_is_said_once_for_all_folders() -> None:
    text = "defaults: {settle: 5}\nfolders: [{inbox: /a}, {inbox: /b}, {inbox: /c}]\n"
    assert len(said(text)) == 1


def test_a_problem_in_the_defaults_is_said_when_no_folder_uses_them() -> None:
    lines = said("defaults: {settle: 5, endpoint: x}\nfolders: [{inbox: /a, settle: 5s, endpoint: local}]\n")
    assert [line.split(": ")[1] for line in lines] == ["defaults.endpoint", "defaults.settle"]


def test_an_error_names_the_file_as_the_user_did() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("folders:\n", source=Path("watcherd.yaml"), environ={})
    assert str(caught.value) == f"watcherd.yaml:1: folders: no folder to watch; {SHORTEST}"
    assert caught.value.problems[0].line == 1
    assert caught.value.problems[0].key == "folders"


def test_what_a_terminal_would_obey_is_escaped() -> None:
    lines = said('"\\e[2J": 1\nfolders: [{inbox: /a, watch: "\\e[2J"}]\n')
    assert "\x1b" not in "".join(lines)
    assert "\\x1b[2J" in lines[0]


def test_a_long_value_is_shortened() -> None:
    assert len(said(f"folders: [{{inbox: /a, watch: {'x' * 500}}}]")[0]) < 250


def test_the_home_folder_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    monkeypatch.setattr("os.getuid", lambda: 54321)
    with pytest.raises(ConfigError) as caught:
        parse("folders: [{inbox: ~/in}]", source=SOURCE, environ={})
    assert str(caught.value).splitlines() == [
        f"{FILE}: state: there is no home folder for ~; write the whole path",
        f'{FILE}:1: folders[0].inbox: "~/in": there is no home folder for ~; write the whole path',
    ]
