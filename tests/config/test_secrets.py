"""Secrets from the environment, a file, a systemd credential or the text itself; and never in a message."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config.said import read as read_config
from tests.config.said import said
from watcherd.config import secrets
from watcherd.config.load import load
from watcherd.config.values import Surroundings

KEY = "sk-Secret0123456789"


def fetch(source: object, folder: Path = Path("/"), **environ: str) -> str:
    return secrets.read(source, Surroundings(environ=environ, folder=folder))


@contextmanager
def nobody() -> Iterator[None]:
    """Run as a user whom file permissions bind."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_secret_comes_from_the_environment() -> None:
    assert fetch({"env": "COMETAPI_KEY"}, COMETAPI_KEY=KEY) == KEY


def test_a_secret_comes_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert fetch({"file": "key"}, tmp_path) == KEY


def test_a_secret_comes_from_a_systemd_credential(tmp_path: Path) -> None:
    (tmp_path / "cometapi").write_text(KEY)
    assert fetch({"credential": "cometapi"}, CREDENTIALS_DIRECTORY=str(tmp_path)) == KEY


def test_a_secret_may_stand_in_the_configuration() -> None:
    assert fetch(KEY) == KEY


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_one_newline_at_the_end_is_dropped(tmp_path: Path, ending: str) -> None:
    (tmp_path / "key").write_bytes(KEY.encode() + ending.encode())
    assert fetch({"file": "key"}, tmp_path) == KEY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the secret is empty"),
        (b"\n", "the secret is empty"),
        (f"{KEY}\n\n".encode(), "it must be one line"),
        (f"{KEY}\nother\n".encode(), "it must be one line"),
        (f"{KEY}\r".encode(), "it must be one line"),
        (f"{KEY}\x1b".encode(), "it must be one line"),
        (f"{KEY}\x7f".encode(), "it must be one line"),
        (f"\ufeff{KEY}".encode(), "beyond ASCII"),
        (f"{KEY} \n".encode(), "begins or ends with a blank"),
        (b"\xff\xfe", "is not a text"),
        (b"x" * 70000, "too long for a secret"),
    ],
)
def test_a_secret_that_no_header_can_carry_is_refused_and_not_shown(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        fetch({"file": "key"}, tmp_path)
    assert KEY not in str(caught.value)


def test_an_unset_variable_is_named_when_it_cannot_be_a_key() -> None:
    with pytest.raises(ValueError, match=r"^the environment variable COMETAPI_KEY is not set$"):
        fetch({"env": "COMETAPI_KEY"})
    with pytest.raises(ValueError, match=r"^the environment variable that env names is not set$"):
        fetch({"env": "a1b2c3"})
    with pytest.raises(ValueError, match="env takes the name"):
        fetch({"env": KEY})


def test_an_empty_variable_is_an_empty_secret() -> None:
    with pytest.raises(ValueError, match="the secret is empty"):
        fetch({"env": "COMETAPI_KEY"}, COMETAPI_KEY="")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^the file {tmp_path}/key cannot be read: No such file"):
        fetch({"file": f"{tmp_path}/key"})
    with pytest.raises(ValueError, match=r"^the file that file names cannot be read: No such file"):
        fetch({"file": KEY})
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        fetch({"file": f"{tmp_path}/"})


def test_an_unreadable_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0)
    with nobody(), pytest.raises(ValueError, match="cannot be read: Permission denied"):
        fetch({"file": "key"}, tmp_path)


def test_a_fifo_without_a_writer_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    with pytest.raises(ValueError, match="the secret is empty"):
        fetch({"file": "key"}, tmp_path)


def test_a_missing_credential_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\$CREDENTIALS_DIRECTORY is not set: only the service has"):
        fetch({"credential": "cometapi"})
    with pytest.raises(
        ValueError, match=r"^the credential \(LoadCredential=NAME:PATH in the unit\) cannot be"
    ):
        fetch({"credential": "cometapi"}, CREDENTIALS_DIRECTORY=str(tmp_path))
    with pytest.raises(ValueError, match="a name without slashes"):
        fetch({"credential": "../shadow"}, CREDENTIALS_DIRECTORY=str(tmp_path))


@pytest.mark.parametrize("text", ["${COMETAPI_KEY}", "$COMETAPI_KEY"])
def test_a_variable_in_the_shells_spelling_is_not_taken_for_a_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"write \{env: COMETAPI_KEY\}$"):
        fetch(text, COMETAPI_KEY=KEY)


@pytest.mark.parametrize(
    "source", [["a"], {}, {"env": "A", "file": "/b"}, {"env": ["A"]}, None, {"env": None}]
)
def test_another_shape_is_refused(source: object) -> None:
    with pytest.raises(
        ValueError, match=r"^write one of \{env: NAME\}, \{file: PATH\}, \{credential: NAME\}$"
    ):
        fetch(source)


def test_a_slip_in_the_kind_of_source_is_seen() -> None:
    with pytest.raises(ValueError, match='did you mean "credential"'):
        fetch({"credentials": "cometapi"})


def refusal(source: object) -> str:
    try:
        fetch(source)
    except ValueError as error:
        return str(error)
    return ""


@given(written=st.text(min_size=4))
def test_no_message_repeats_what_was_written(written: str) -> None:
    secret = f"sk-{written}"
    for source in (secret, {"env": secret}, {"credential": secret}, {secret: "x"}, [secret]):
        assert secret not in refusal(source)


def endpoint(key: str) -> str:
    return f"""
endpoints:
  comet:
    base_url: https://api.cometapi.com/v1
    model: whisper-1
    {key}
folders: [{{inbox: /srv/in}}]
"""


def test_an_unset_variable_is_a_problem_with_its_line() -> None:
    assert said(endpoint("api_key: {env: COMETAPI_KEY}")) == [
        "6: endpoints.comet.api_key: the environment variable COMETAPI_KEY is not set"
    ]


def test_an_unreadable_secret_is_a_problem_with_its_line() -> None:
    assert said(endpoint("api_key: {file: /nonexistent/key}")) == [
        "6: endpoints.comet.api_key: the file /nonexistent/key cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize(
    "line",
    [
        f"api_key: [{KEY}]",
        f"api_key: {{env: {KEY}}}",
        f"api_key: {{{KEY}: x}}",
        f'api_key: "{KEY}\\n{KEY}"',
        f"headers: {{api-key: [{KEY}]}}",
        f'headers: {{api-key: "{KEY} "}}',
        f"api_kee: {KEY}",
        f"api_key: *{KEY}",
        f"api_key: !{KEY} x",
        f"api_key: {{file: {KEY}}}",
        f"api_key: {{credential: {KEY}}}",
        f"proxy: socks5://ada:{KEY}@proxy",
    ],
)
def test_a_wrong_key_is_a_problem_that_does_not_show_it(line: str) -> None:
    problems = said(endpoint(line))
    assert problems
    assert problems[0].startswith("6: ")
    assert KEY not in str(problems)


@pytest.mark.parametrize(
    "webhook",
    [
        f"url: ftp://h/{KEY}",
        f"url: https://ada:{KEY}@h/x",
        f"url: http://nas/{KEY}",
        f"url: [{KEY}]",
        f"url: {{env: {KEY}}}",
        f"url: https://h/x, secret: [{KEY}]",
        f'url: https://h/x, secret: "{KEY} "',
    ],
)
def test_a_wrong_webhook_is_a_problem_that_shows_neither_address_nor_secret(webhook: str) -> None:
    problems = said(f"folders: [{{inbox: /srv/in, notify: [{{{webhook}}}]}}]")
    assert problems[0].startswith("1: folders[0].notify[0].")
    assert KEY not in str(problems)


def test_a_webhooks_address_and_secret_are_masked_and_may_come_from_elsewhere() -> None:
    text = "folders: [{inbox: /srv/in, notify: [{url: {env: HOOK}, secret: {env: SECRET}}]}]"
    (webhook,) = read_config(text, HOOK=f"https://h/{KEY}", SECRET=KEY).folders[0].notify
    assert (webhook.url.get_secret_value(), KEY in repr(webhook)) == (f"https://h/{KEY}", False)


def test_a_secret_of_a_webhook_that_stands_in_a_file_that_all_can_read_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "watcherd.yaml"
    webhook = f"notify: [{{url: https://h/x, secret: {KEY}}}]"
    file.write_text(f"defaults: {{{webhook}}}\nfolders: [{{inbox: /srv/in, {webhook}}}]\n")
    file.chmod(0o644)
    (warning,) = load(file).warnings
    assert "folders[0].notify[0].secret and defaults.notify[0].secret" in warning
    assert KEY not in warning


@pytest.mark.parametrize("token", [KEY[:15], f"[{KEY}]", f"{{env: {KEY}}}", f'"{KEY} "'])
def test_a_wrong_token_of_the_page_is_a_problem_that_does_not_show_it(token: str) -> None:
    (problem,) = said(f"status: {{token: {token}}}\nfolders: [{{inbox: /srv/in}}]")
    assert problem.startswith("1: status.token: ")
    assert KEY[:15] not in problem


def test_a_token_of_the_page_that_all_can_read_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "watcherd.yaml"
    file.write_text(f"status: {{token: {KEY}}}\nfolders: [{{inbox: /srv/in}}]\n")
    file.chmod(0o644)
    config = load(file)
    assert "holds a secret (status.token)" in config.warnings[0]
    assert KEY not in repr(config)
    assert KEY not in config.warnings[0]


def test_a_key_in_an_address_is_not_shown() -> None:
    text = endpoint("api_key: x").replace("https://", f"https://ada:{KEY}@")
    assert said(text) == [
        (
            "4: endpoints.comet.base_url: an address holds no name or password here; "
            "put the key into api_key or headers"
        )
    ]


def test_secrets_are_masked_in_the_configuration() -> None:
    text = endpoint(
        f"headers: {{api-key: {KEY}}}\n    api_key: {KEY}\n    proxy: http://ada:{KEY}@proxy:3128"
    )
    config = read_config(text)
    assert KEY not in repr(config)
    assert KEY not in str(config)
    key = config.endpoints["comet"].api_key
    assert key is not None
    assert key.get_secret_value() == KEY
    assert config.endpoints["comet"].headers["api-key"].get_secret_value() == KEY
