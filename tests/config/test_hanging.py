"""A configuration whose files lie on storage that does not answer is refused, and says which."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config.said import read, said
from watcherd import promptly
from watcherd.config import clashes
from watcherd.config.load import ConfigError, load

DEAD = "/dead/storage"


@pytest.fixture(autouse=True)
def _dead(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every look at what lies there hangs until the test is over."""
    over = threading.Event()

    def hanging(call: object) -> object:
        def hang(path: object, *arguments: object, **keywords: object) -> object:
            if str(path).startswith(DEAD):
                over.wait()
            assert callable(call)
            return call(path, *arguments, **keywords)

        return hang

    monkeypatch.setattr(promptly, "PATIENCE", 0.2)
    monkeypatch.setattr(clashes, "_PATIENCE", 0.2)
    for name in ("stat", "lstat", "access"):
        monkeypatch.setattr(os, name, hanging(getattr(os, name)))
    monkeypatch.setattr("builtins.open", hanging(io.open))
    yield
    over.set()


def endpoint(line: str) -> str:
    return f"endpoints: {{c: {{base_url: https://h/v1, model: m, {line}}}}}\nfolders: [{{inbox: /a}}]\n"


def test_an_inbox_there_stops_no_loading() -> None:
    config = read(f"folders: [{{inbox: {DEAD}/inbox}}, {{inbox: /a, done: {DEAD}/done}}]")
    assert [folder.inbox for folder in config.folders] == [Path(DEAD, "inbox"), Path("/a")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            f"api_key: {{file: {DEAD}/key}}",
            f"api_key: the file {DEAD}/key cannot be read: its storage does not answer",
        ),
        (
            f"ca_file: {DEAD}/ca.pem",
            f'ca_file: "{DEAD}/ca.pem": the file cannot be read: its storage does not answer',
        ),
    ],
)
def test_a_file_that_an_endpoint_names_there_is_a_problem(line: str, problem: str) -> None:
    assert said(endpoint(line)) == [f"1: endpoints.c.{problem}"]


def test_the_configuration_itself_may_lie_there() -> None:
    with pytest.raises(
        ConfigError, match=f"^{DEAD}/watcherd.yaml: cannot be read: its storage does not answer$"
    ):
        load(Path(DEAD, "watcherd.yaml"))
