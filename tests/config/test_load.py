"""A whole configuration: what is filled in, where the file is looked for, and how it is read from disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.config.said import read, said
from watcherd.config.load import ConfigError, find, load, parse
from watcherd.config.model import EMBEDDED_URL, Budget, Cues, Endpoint, Folder, Retry, StatusPage, Timeout

SHORTEST = "folders: [{inbox: ~/inbox}]"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, which is the current one, too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_line_is_a_whole_file() -> None:
    config = read(SHORTEST)
    (folder,) = config.folders
    assert folder == Folder(
        inbox=Path("/home/ada/inbox"),
        name="inbox",
        done=Path("/home/ada/inbox/done"),
        failed=Path("/home/ada/inbox/failed"),
        endpoint="local",
    )
    local = config.endpoints["local"]
    assert (local.base_url, local.model, local.concurrency, local.api_key) == (EMBEDDED_URL, "base", 1, None)
    assert local.embedded is not None
    assert config.warnings == ()


@pytest.mark.parametrize("text", ["", "status:\n", "status: null\n", "status: {listen: }\n", "status: {}\n"])
def test_the_page_is_for_this_machine_unless_more_is_said(text: str) -> None:
    page = read(text + SHORTEST).status
    assert page == StatusPage(listen="127.0.0.1:8484", token=None, allowed_hosts=())
    assert page.is_private


@pytest.mark.parametrize("text", ["off", '"off"', "'off'"])
def test_the_page_may_be_off(text: str) -> None:
    assert read(f"status: {text}\n{SHORTEST}").status is None


@pytest.mark.parametrize(
    ("listen", "place"),
    [
        ("localhost:8484", ("127.0.0.1", 8484)),
        ("127.1.2.3:0", ("127.1.2.3", 0)),
        ("'[0::1]:65535'", ("::1", 65535)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("'[fd00::7]:8484'", ("fd00::7", 8484)),
    ],
)
def test_the_page_is_where_the_file_says(listen: str, place: tuple[str, int]) -> None:
    text = f"status: {{listen: {listen}, token: {{env: TOKEN}}, allowed_hosts: [NAS:8080]}}\n{SHORTEST}"
    page = read(text, TOKEN="obviously-fake-token").status
    assert page is not None
    assert (page.place, page.allowed_hosts) == (place, ("nas:8080",))
    assert page.is_private == (place[0] in {"127.0.0.1", "127.1.2.3", "::1"})


def test_the_only_endpoint_is_everybodys() -> None:
    text = "endpoints: {comet: {base_url: https://h/v1/, model: m}}\nfolders: [{inbox: /a}]"
    config = read(text)
    assert config.folders[0].endpoint == "comet"
    assert config.endpoints["comet"].base_url == "https://h/v1"


def test_a_folder_goes_before_the_defaults_and_they_before_ours() -> None:
    text = """\
    defaults: {settle: 9s, formats: [srt], model: large, prompt: names}
    folders:
      - inbox: /a
      - inbox: /b
        settle: 500ms
        formats: [vtt, txt]
        model: null
        prompt:
    """
    first, second = read(text).folders
    assert (first.settle, first.formats, first.model, first.prompt) == (9, ("srt",), "large", "names")
    assert (second.settle, second.formats, second.model, second.prompt) == (0.5, ("vtt", "txt"), None, "")
    assert second.rescan == 60


def test_a_mapping_of_a_folder_and_that_of_the_defaults_are_merged_key_by_key() -> None:
    text = """\
    defaults: {retry: {attempts: 9, for: 1h}}
    folders:
      - inbox: /a
      - {inbox: /b, retry: {attempts: 2}}
      - {inbox: /c, retry: {for: 90s}}
      - {inbox: /d, retry: null}
    """
    assert [folder.retry for folder in read(text).folders] == [
        Retry(attempts=9, period=3600),
        Retry(attempts=2, period=3600),
        Retry(attempts=9, period=90),
        Retry(attempts=5, period=24 * 3600),
    ]


def test_a_retry_that_is_given_in_part_keeps_the_other_default() -> None:
    first, second = read(
        "folders: [{inbox: /a, retry: {attempts: 2}}, {inbox: /b, retry: {for: 2h}}]"
    ).folders
    assert first.retry == Retry(attempts=2)
    assert second.retry == Retry(period=7200)


def test_cues_are_named_or_given_in_numbers_and_the_rest_is_broadcast() -> None:
    config = read("""\
        defaults: {cues: {max_lines: 1, gap: 40ms}}
        folders:
          - {inbox: /a, cues: broadcast}
          - {inbox: /b, cues: podcast}
          - {inbox: /c, cues: raw}
          - {inbox: /d, cues: {max_chars: 37}}
          - {inbox: /e}
        """)
    assert [folder.cues for folder in config.folders] == [
        Cues(max_lines=2, max_chars=42, max_rate=20, min_seconds=0.8, max_seconds=7, gap=0.08),
        Cues(max_chars=32),
        None,
        Cues(max_lines=1, gap=0.04, max_chars=37),
        Cues(max_lines=1, gap=0.04),
    ]


def test_a_mistake_in_the_retry_of_the_defaults_is_said_once_and_where_it_stands() -> None:
    text = "defaults: {retry: {for: 5}}\nfolders: [{inbox: /a}, {inbox: /b, retry: {attempts: 2}}]\n"
    (line,) = said(text)
    assert line.startswith('1: defaults.retry.for: "5": write a duration')


def test_a_key_with_nothing_behind_it_means_its_default() -> None:
    text = """\
    endpoints:
    defaults:
    folders:
      - inbox: /a
        name:
        done: null
        exclude:
        endpoint: ~
    state:
    log:
    """
    assert read(text).folders == read("folders: [{inbox: /a}]").folders


def test_texts_stay_as_they_are_written() -> None:
    text = """\
    endpoints:
      cpp: {base_url: http://localhost:8080, model: 0660, path: /inference, fields: {translate: true}}
    folders: [{inbox: /a, name: 2024, prompt: 10:30, model: no}]
    """
    config = read(text)
    endpoint, folder = config.endpoints["cpp"], config.folders[0]
    assert (endpoint.model, endpoint.path, endpoint.fields) == ("0660", "inference", {"translate": "true"})
    assert (folder.name, folder.prompt, folder.model) == ("2024", "10:30", "no")


def test_every_kind_of_value_is_read() -> None:
    text = """\
    endpoints:
      comet:
        base_url: https://h/v1
        model: m
        concurrency: 7
        max_upload: 24MiB
        upload: flac
        timeout: {connect: 1500ms, read: 1h}
        allow_http: true
        budget: {minutes_per_day: 90.5}
    folders:
      - {inbox: /a, temperature: 0.2, recursive: false, watch: poll, include: ["*.mp3"], exclude: [a, b]}
    stop_grace: 5s
    log: {level: debug, format: json}
    """
    config = read(text)
    endpoint, folder = config.endpoints["comet"], config.folders[0]
    assert (endpoint.concurrency, endpoint.max_upload, endpoint.upload) == (7, 24 * 2**20, "flac")
    assert endpoint.timeout == Timeout(connect=1.5, read=3600)
    assert endpoint.budget == Budget(minutes_per_day=90.5)
    assert (folder.temperature, folder.recursive, folder.watch) == (0.2, False, "poll")
    assert (folder.include, folder.exclude) == (("*.mp3",), ("a", "b"))
    assert (config.stop_grace, config.log.level, config.log.format) == (5, "debug", "json")


@pytest.mark.parametrize(
    ("model", "loaded"),
    [
        ("large-v3", "large-v3"),
        ("Systran/faster-whisper-small", "Systran/faster-whisper-small"),
        ("~/models/mine", "/home/ada/models/mine"),
        ("./mine", "/etc/watcherd/mine"),
    ],
)
def test_an_engines_model_is_a_name_or_a_folder(model: str, loaded: str) -> None:
    config = read(f"endpoints: {{here: {{embedded: {{model: {model}}}}}}}\n{SHORTEST}")
    assert config.endpoints["here"].model == loaded
    assert config.folders[0].endpoint == "here"


@pytest.mark.parametrize(
    ("uid", "state"), [(0, "/var/lib/watcherd"), (1000, "/home/ada/.local/state/watcherd")]
)
def test_the_state_folder_is_the_systems_or_the_users(
    monkeypatch: pytest.MonkeyPatch, uid: int, state: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    assert read(SHORTEST).state == Path(state)
    if uid:
        assert read(SHORTEST, XDG_STATE_HOME="/x").state == Path("/x/watcherd")
    assert read(f"state: here\n{SHORTEST}").state == Path("/etc/watcherd/here")


def test_a_text_without_a_file_starts_at_the_current_folder(home: Path) -> None:
    config = parse("folders: [{inbox: in}]", source=None, environ={"HOME": str(home)})
    assert config.folders[0].inbox == home / "in"
    assert config.source is None


def test_a_file_is_read_and_remembered(home: Path) -> None:
    (home / "watcherd.yaml").write_bytes(b"\xef\xbb\xbffolders:\r\n  - inbox: in\r\n")
    config = load(Path("watcherd.yaml"))
    assert config.source == home / "watcherd.yaml"
    assert config.folders[0].inbox == home / "in"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: \xff\n", "watcherd.yaml:2: not UTF-8; save the file in that encoding"),
        (b"#" * (2**20 + 1), "watcherd.yaml: larger than 1 MiB; that is no configuration"),
    ],
)
def test_a_file_that_is_no_text(home: Path, content: bytes, message: str) -> None:
    (home / "watcherd.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(Path("watcherd.yaml"))
    assert str(caught.value) == message


@pytest.mark.usefixtures("home")
def test_a_missing_file() -> None:
    with pytest.raises(ConfigError) as caught:
        load(Path("other.yaml"))
    assert str(caught.value) == "other.yaml: there is no such file; make one with: watcherd init"


def test_a_folder_instead_of_a_file(home: Path) -> None:
    with pytest.raises(ConfigError, match=f"{home}: cannot be read: Is a directory"):
        load(home)


def test_the_usual_places_in_their_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
    users = home / "xdg" / "watcherd" / "config.yaml"
    users.parent.mkdir(parents=True)
    users.touch()
    assert find(None) == users
    (home / "watcherd.yaml").touch()
    assert find(None) == Path("watcherd.yaml")
    assert find(Path("named.yaml")) == Path("named.yaml")


@pytest.mark.skipif(os.path.exists("/etc/watcherd/config.yaml"), reason="this machine has a configuration")
def test_no_file_anywhere_lists_where_it_was_looked_for(home: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find(None)
    assert str(caught.value) == (
        f"no configuration: there is no ./watcherd.yaml, {home}/.config/watcherd/config.yaml or "
        "/etc/watcherd/config.yaml; make one with: watcherd init"
    )


@pytest.mark.parametrize(
    ("mode", "lines", "keys"),
    [
        (0o644, "api_key: sk-1", "endpoints.c.api_key"),
        (0o640, "api_key: sk-1", None),
        (0o644, "api_key: {env: HOME}", None),
        (0o644, "headers: {X-Title: watcherd}", None),
        (
            0o644,
            "headers: {api-key: sk-1}, api_key: sk-1",
            "endpoints.c.headers.api-key and endpoints.c.api_key",
        ),
        (0o644, "proxy: 'http://ada:pw@proxy:1'", "endpoints.c.proxy"),
    ],
)
def test_a_key_in_a_file_that_others_can_read_is_warned_of(
    home: Path, mode: int, lines: str, keys: str | None
) -> None:
    file = home / "c.yaml"
    file.write_text(
        f"endpoints: {{c: {{base_url: https://h/v1, model: m, {lines}}}}}\nfolders: [{{inbox: /a}}]\n"
    )
    file.chmod(mode)
    expected = (
        f"{file} holds a secret ({keys}) and every user of this machine can read it; "
        "use {env: NAME}, {file: PATH} or {credential: NAME}, or: chmod o-r FILE"
    )
    assert load(file).warnings == ((expected,) if keys else ())


@pytest.mark.parametrize(
    ("own", "defaults", "warning"),
    [
        ("existing: keep-both", "", "existing: has a meaning only with after: keep"),
        ("existing: skip", "", ""),
        ("existing: overwrite", "after: keep", ""),
        ("", "existing: overwrite", ""),
        ("existing: null", "", ""),
        ("after: keep, failed: /f", "", "failed: with after: keep, nothing moves there"),
        ("done: /d", "after: keep", "done: with after: keep, nothing moves there"),
        ("after: keep, done: null", "done: /d, failed: /f", ""),
        ("after: move, done: /d", "after: keep", ""),
    ],
)
def test_a_key_without_a_meaning_is_a_warning(own: str, defaults: str, warning: str) -> None:
    config = read(f"defaults: {{{defaults}}}\nfolders:\n- {{inbox: /a, {own}}}")
    assert config.warnings == ((f"line 3: folders[0].{warning}",) if warning else ())


def test_a_folder_moves_its_files_unless_they_are_to_stay() -> None:
    moves, stays = read("folders: [{inbox: /a}, {inbox: /b, after: keep}]").folders
    assert (moves.after, moves.existing, moves.stays) == ("move", "skip", False)
    assert (stays.after, stays.existing, stays.stays) == ("keep", "skip", True)


def test_values_made_in_python_are_checked_like_those_of_a_file() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Folder(inbox=Path("/a"), endpoint="local", settle=0)
    with pytest.raises(ValueError, match="plain http"):
        Endpoint(name="nas", base_url="http://nas/v1", model="m")


def test_reading_a_configuration_loads_nothing_heavy() -> None:
    code = (
        "import sys, watcherd.config.load, watcherd.config.starter\n"
        "print(*{'httpx', 'av', 'watchdog', 'structlog', 'typer', 'rich', 'asyncio'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.split() == []
