"""Embedded: five minutes of speech through the daemon and its own Whisper, against faster-whisper alone.

Both have loaded the model and translated a short clip before anything is timed, and take turns: first the
one, then the other hears the same recording; every round has another one, since the daemon asks for nothing
twice. The daemon's time is that of its log, from the file's settling to its subtitles' lying in the done
folder. Of that, the engine's is the time from the request to the answer. The recording is below the length at
which the daemon cuts, so both hear it in one piece. Processor time is told, too: other work on the machine
touches it less. `plain_whisper` tells what the other one does; only what it does with the same options is
work of the same kind, so there the ratio has an aim. Whisper draws lots where a window came out badly, so
that the same recording may take half as long again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.bench.daemon import BenchDaemon, moment
from tests.bench.idle import processor_time
from tests.bench.measuring import Figure, Result, median, peak_memory, rounds
from tests.spoken import recited
from watcherd.state import cache_folder
from watcherd.whisper.weights import PACKAGED, locate

LENGTH = 300.0  # seconds
AS_FAST = 1.05  # times what faster-whisper takes
ALIKE = 0.1  # of its words, by how many more or fewer there may be
WARM = "warm.flac"


@dataclass(frozen=True, slots=True)
class Heard:
    """One translation: its seconds, those of processor time, and what was said."""

    seconds: float
    busy: float
    text: str

    @property
    def words(self) -> int:
        return len(re.findall(r"[\w']+", self.text))


@dataclass(frozen=True, slots=True)
class Round:
    """One recording, heard by the daemon, of which the engine took so many seconds, and by the others."""

    ours: Heard
    engine: float
    same: Heard
    usual: Heard


class Plain:
    """`tests.bench.plain_whisper` at work; `loading` is how long it took until it could begin."""

    def __init__(self, weights: str) -> None:
        self._weights = weights

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.plain_whisper", self._weights],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OPENBLAS_NUM_THREADS": "1"},  # as the daemon's has it
        )
        self.loading = self._answer().seconds
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)

    @property
    def pid(self) -> int:
        return self._process.pid

    def heard(self, how: str, path: Path) -> Heard:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{how} {path}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Heard:
        assert self._process.stdout is not None
        before = processor_time(self.pid)
        line = self._process.stdout.readline()
        assert line, "faster-whisper ended"
        return Heard(**json.loads(line), busy=processor_time(self.pid) - before)


def run(*, short: bool) -> Result:
    """Measure it; in short with the clip that the package brings along."""
    missing = [name for name in ("faster_whisper", "fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise SystemExit(f"embedded: no {', '.join(missing)}: install watcherd with its extra `local`")
    weights = locate(PACKAGED, cache_folder(os.environ))
    found: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="watcherd-bench-") as name, Plain(weights) as plain:
        home = Path(name)
        with BenchDaemon(home, {"local": {"embedded": {}}}, folder_keys={"formats": ["txt"]}) as daemon:
            _warm_up(daemon, plain)

            def once() -> float:
                found.append(_round(daemon, plain, _recording(home, len(found), short=short)))
                return found[-1].ours.seconds

            count = len(rounds(once, short=short))
            memory = _engine_memory(daemon.pid)
        figures = _figures(found, plain, memory)
    about = "the bundled clip" if short else f"{LENGTH:.0f} s of speech"
    return Result("embedded", f"{about}, model {PACKAGED}", count, figures)


def _figures(found: Sequence[Round], plain: Plain, memory: float) -> list[Figure]:
    same, usual = ([getattr(one, how).seconds for one in found] for how in ("same", "usual"))
    ours, engine = [one.ours.seconds for one in found], [one.engine for one in found]
    return [
        Figure("settled to done", median(ours), "s"),
        Figure("request to answer", median(engine), "s"),
        Figure("faster-whisper, same options", median(same), "s"),
        Figure("ratio", _ratio(ours, same), "", AS_FAST),
        Figure("ratio of request to answer", _ratio(engine, same), ""),
        Figure("ratio of processor time", _ratio(*_busy(found)), ""),
        Figure("faster-whisper, vad_filter", median(usual), "s"),
        Figure("ratio to vad_filter", _ratio(ours, usual), ""),
        Figure("faster-whisper, loading", plain.loading, "s"),
        Figure("engine's most memory", memory, "MB"),
        Figure("faster-whisper's most memory", peak_memory(plain.pid), "MB"),
        Figure("words", median([one.ours.words for one in found]), ""),
        Figure("words by the same options", median([one.same.words for one in found]), ""),
    ]


def _busy(found: Sequence[Round]) -> tuple[Sequence[float], Sequence[float]]:
    return [one.ours.busy for one in found], [one.same.busy for one in found]


def _ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    return median([one / other for one, other in zip(ones, others, strict=True)])


def _recording(folder: Path, number: int, *, short: bool) -> Path:
    path = folder / f"talk{number}.{'flac' if short else 'wav'}"
    if short:
        path.write_bytes(_clip())
    else:
        recited(LENGTH, seed=number + 1).write(path)
    return path


def _clip() -> bytes:
    return files("watcherd.whisper").joinpath("demo.flac").read_bytes()


def _warm_up(daemon: BenchDaemon, plain: Plain) -> None:
    """Have both translate a clip, so that everything is loaded."""
    clip = daemon.config.with_name(WARM)
    clip.write_bytes(_clip() + bytes(1))  # another file than the short bench's
    for how in ("same", "usual"):
        plain.heard(how, clip)
    clip.rename(daemon.inbox / WARM)
    daemon.wait("job.done")


def _round(daemon: BenchDaemon, plain: Plain, talk: Path) -> Round:
    """The daemon first, the others after it; what they say must be about the same."""
    same_talk = shutil.copy(talk, talk.with_name(f"copy-{talk.name}"))
    before, busy = len(daemon.events("job.done")), _family_time(daemon.pid)
    talk.rename(daemon.inbox / talk.name)
    done = daemon.wait("job.done", before + 1)[-1]
    assert done["file"] == talk.name
    assert not daemon.events("job.failed")
    (settled,), (sent,), (answered,) = (
        [event for event in daemon.events(name) if event["job"] == done["job"]]
        for name in ("job.settled", "part.sent", "part.translated")
    )
    text = (daemon.target / talk.name).with_suffix(".txt").read_text(encoding="utf-8")
    ours = Heard(moment(done) - moment(settled), _family_time(daemon.pid) - busy, text)
    same, usual = (plain.heard(how, Path(same_talk)) for how in ("same", "usual"))
    assert abs(ours.words - same.words) <= ALIKE * same.words, f"{ours.text}\n---\n{same.text}"
    return Round(ours, moment(answered) - moment(sent), same, usual)


def _family_time(pid: int) -> float:
    """Seconds of processor time of the daemon and of its children, whose ends it does not see in between."""
    children = psutil.Process(pid).children(recursive=True)
    return sum(processor_time(one) for one in (pid, *(child.pid for child in children)))


def _engine_memory(pid: int) -> float:
    """The most memory of the daemon's child that has the model loaded."""
    return max(peak_memory(child.pid) for child in psutil.Process(pid).children(recursive=True))
