"""What the shells offer when TAB is pressed, asked of bash itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.terminal import Terminal
from tests.waiting import wait_until
from watcherd.cli import completing, main
from watcherd.cli.translate import FORMATS
from watcherd.config.load import names_of
from watcherd.config.model import Log

WRONG = """\
endpoints: {cometapi: {api_key: {env: NOT_SET}}, both: {}}
folders:
  - {inbox: /srv/talks, unknown: key}
  - {inbox: /srv/x, name: My films}
  - {inbox: /srv/both}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "watcherd.yaml").write_text(WRONG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def offered(line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sequence[str]:
    """What bash is given for a line that is being typed."""
    words = line.split(" ")
    monkeypatch.setenv("_WATCHERD_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setattr(sys, "argv", ["watcherd"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    out, err = capfd.readouterr()
    assert err == ""
    return out.split("\n")[:-1]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("watcherd pau", ["pause"]),
        ("watcherd pause ", ["cometapi", "endpoint:both", "talks", "My\\ films", "inbox:both"]),
        ("watcherd resume t", ["talks"]),
        ("watcherd resume M", ["My\\ films"]),
        ("watcherd pause --config watcherd.yaml c", ["cometapi"]),
        ("watcherd pause --config missing.yaml ", [""]),
        ("watcherd translate a.mp3 --endpoint c", ["cometapi"]),
        ("watcherd translate a.mp3 --stdout v", ["vtt"]),
        ("watcherd run --log-level w", ["warning"]),
        ("watcherd translate ", [""]),
    ],
)
def test_names_come_from_the_configuration_however_wrong_it_is(
    line: str, found: Sequence[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert list(offered(line, monkeypatch, capfd)) == found


@pytest.mark.parametrize("content", ["", "[", "folders: 1", "folders: [1, {name: {}}]", "\xff"])
def test_a_configuration_that_makes_no_sense_offers_little_and_says_nothing(
    home: Path, content: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (home / "watcherd.yaml").write_bytes(content.encode("latin-1"))
    assert offered("watcherd pause ", monkeypatch, capfd) in (["local"], [""])


def test_without_endpoints_there_is_the_local_one(home: Path) -> None:
    (home / "watcherd.yaml").write_text("folders: [{inbox: /srv/talks}]")
    assert names_of(None) == (["local"], ["talks"])


def test_what_is_offered_is_what_is_taken() -> None:
    assert completing.formats("") == list(FORMATS)
    for level in completing.levels(""):
        Log.model_validate({"level": level})


@pytest.mark.slow
def test_bash_itself_completes_commands_names_and_files(home: Path) -> None:
    (home / "interview.mp3").touch()
    program = home / "bin" / "watcherd"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m watcherd "$@"\n')
    program.chmod(0o755)
    environ = {"PATH": f"{program.parent}:{os.environ['PATH']}", "PS1": "> "}
    with Terminal(["bash", "--norc", "--noprofile", "-i"], environ=environ) as terminal:
        terminal.press('eval "$(watcherd --show-completion)"; clear\n')
        wait_until(lambda: terminal.lines[0] == ">")
        terminal.press("watcherd pau\t")
        wait_until(lambda: terminal.lines[0] == "> watcherd pause")
        terminal.press("M\t")
        wait_until(lambda: terminal.lines[0] == "> watcherd pause My\\ films")
        terminal.press("\x15watcherd translate int\t")
        wait_until(lambda: terminal.lines[0] == "> watcherd translate interview.mp3")
        terminal.press("\x15watcherd pause --config missing.yaml x\t")
        terminal.press("\x15exit\n")
        assert terminal.ended() == 0
        assert "no such file" not in terminal.text
