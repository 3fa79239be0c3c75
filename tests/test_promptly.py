"""Promptness: what storage that never answers keeps waiting, and for how long."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from watcherd import promptly as module
from watcherd.promptly import promptly, side_by_side


@pytest.fixture
def dead() -> Iterator[threading.Event]:
    """What a hanging call waits for; at the end it comes."""
    event = threading.Event()
    yield event
    event.set()


def test_a_call_returns_and_raises_as_if_it_were_made_here() -> None:
    assert promptly(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        promptly(divmod, 7, 0)


def test_a_call_that_hangs_is_given_up(dead: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with pytest.raises(TimeoutError, match="its storage does not answer"):
        promptly(dead.wait)


def test_calls_side_by_side_do_not_wait_for_each_other() -> None:
    together = threading.Barrier(5)  # passed only when all five are there
    answers = side_by_side(lambda _: together.wait(timeout=20) >= 0, range(5), patience=20)
    assert answers == dict.fromkeys(range(5), True)


def test_of_calls_side_by_side_one_that_hangs_and_one_that_fails_spoil_no_other(
    dead: threading.Event,
) -> None:
    def look(name: str) -> str:
        if name == "dead":
            dead.wait()
        if name == "missing":
            raise FileNotFoundError(2, "No such file or directory")
        return name.upper()

    answers = side_by_side(look, ["dead", "missing", "there"], patience=1)
    assert isinstance(answers["dead"], TimeoutError)
    assert isinstance(answers["missing"], FileNotFoundError)
    assert answers["there"] == "THERE"


def test_the_programs_end_waits_for_no_call_that_hangs() -> None:
    code = (
        "import threading\n"
        "from watcherd.promptly import side_by_side\n"
        "print(side_by_side(lambda _: threading.Event().wait(), [1, 2], patience=0.05))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.count("does not answer") == 2
    assert not ended.stderr
