"""The pulse: what takes minutes says that it gets on, so that it is not taken for what hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from watcherd import pulse
from watcherd.delivery import copying, files
from watcherd.inbox import content
from watcherd.place import Place


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One for each beat."""
    found: list[None] = []
    monkeypatch.setattr(pulse, "beat", lambda: found.append(None))
    return found


def test_a_beat_is_its_own_threads_until_that_ends() -> None:
    def work() -> tuple[float | None, float | None]:
        pulse.beat()
        first = pulse.last(threading.get_ident())
        pulse.end()
        return first, pulse.last(threading.get_ident())

    found: list[tuple[float | None, float | None]] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    ((first, after),) = found
    assert first is not None
    assert after is None


@pytest.mark.parametrize(
    "work",
    [
        copying.copy,
        lambda one, _: copying.equal(one, one),  # every other block with the one before
        lambda one, _: content.sha256_of(one, threading.Event()),
    ],
    ids=["a copy", "a comparison", "a hash"],
)
def test_work_on_a_large_file_gets_on_with_every_block(
    work: Callable[[int, int], object], tmp_path: Path, beats: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (copying, content):
        monkeypatch.setattr(module, "BLOCK", 10)
    (tmp_path / "one").write_bytes(b"x" * 100)
    with (tmp_path / "one").open("rb") as one, (tmp_path / "two").open("wb") as two:
        work(one.fileno(), two.fileno())
    assert len(beats) >= 5


def test_a_sweep_gets_on_with_every_folder(tmp_path: Path, beats: list[None]) -> None:
    for number in range(5):
        (tmp_path / str(number)).mkdir()
    files.sweep(Place(tmp_path), is_over=lambda _: True)
    assert len(beats) == 6
