"""The time line of long files: hours of sentences in; out of cutting, asking and merging comes each one once.

The endpoint knows nothing of parts: it finds the sentences in the samples that it was sent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.audio import made, need_tools
from tests.running import Event, RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint
from tests.servers.truth import Told, Truth
from tests.spoken import Line, Script, recited
from watcherd.subtitles.formats import read_srt

pytestmark = [need_tools, pytest.mark.slow]

HOURS = 3 * 3600.0
REST = 21 * 60.0  # seconds without a word: longer than two of the longest parts
NEAR = 0.25  # seconds
OVERLAP = 5.0


@dataclass(frozen=True)
class Outcome:
    """What came of a file: the lines of its JSON and SRT, its parts by the log, and what was asked for."""

    segments: list[Line]
    cues: list[Line]
    parts: list[Event]
    sent: list[Event]
    told: list[Told]
    requests: int
    seconds: float


def outcome(home: Path, script: Script, bring: Callable[[Path], None], **keys: str) -> Outcome:
    """Let the daemon translate what `bring` puts into its inbox; `keys` are the endpoint's."""
    truth = Truth(script.voice)
    with LocalEndpoint(kept=25_000_000) as endpoint:
        endpoint.always(truth)
        folder = {"formats": ["srt", "json"], "cues": "raw"}
        content = configuration(home, endpoint=endpoint, endpoint_keys=keys, folder_keys=folder)
        with RunningDaemon(home, content, key=endpoint.key) as daemon:
            began = time.monotonic()
            bring(daemon.inbox)
            assert daemon.event("job.done", timeout=170)["warnings"] == []
            seconds = time.monotonic() - began
        assert not endpoint.violations
        requests = len(endpoint.requests)
    (srt,), (verbose,) = daemon.done.glob("*.srt"), daemon.done.glob("*.json")
    segments = json.loads(verbose.read_text())["segments"]
    return Outcome(
        segments=[Line(one["start"], one["end"], one["text"].strip()) for one in segments],
        cues=[Line(cue.start, cue.end, cue.text) for cue in read_srt(srt.read_text())],
        parts=daemon.found("part.cut"),
        sent=daemon.found("part.sent"),
        told=truth.told,
        requests=requests,
        seconds=seconds,
    )


def assert_right(found: Outcome, lines: list[Line], *, max_part: float) -> None:
    """Every sentence once, whole, in order, in time; every part that is not silent asked for once."""
    print(figures(found, lines))
    for told in (found.segments, found.cues):
        assert [line.text for line in told] == [line.text for line in lines]
        assert error(told, lines) <= NEAR
        assert max(abs(one.end - true.end) for one, true in zip(told, lines, strict=True)) <= NEAR
    heard = [part["part"] for part in found.parts if not part["silent"]]
    assert sorted(event["part"] for event in found.sent) == heard
    assert found.requests == len(found.told) == len(heard)
    assert len({part.sha256 for part in found.told}) == len(heard)
    assert all(part.whole for part in found.told)
    assert max(part.seconds for part in found.told) <= max_part


def figures(found: Outcome, lines: list[Line]) -> str:
    silent = sum(part["silent"] for part in found.parts)
    longest, cut = max(part.seconds for part in found.told), sum(part.cut for part in found.told)
    return (
        f"{len(lines)} sentences in {lines[-1].end:.0f} s; {len(found.parts)} parts, {silent} silent, the"
        f" longest {longest:.1f} s; {found.requests} requests, in which {cut} sentences were cut; starts are"
        f" off by {1000 * error(found.segments, lines):.1f} ms at most; {found.seconds:.1f} s"
    )


def error(told: list[Line], lines: list[Line]) -> float:
    return max((abs(one.start - true.start) for one, true in zip(told, lines, strict=False)), default=0.0)


@pytest.mark.parametrize(("keys", "max_part"), [({}, 600), ({"max_part": "1m"}, 60)], ids=["10m", "1m"])
def test_three_hours_with_pauses_are_cut_only_in_these(
    tmp_path: Path, keys: Mapping[str, str], max_part: float
) -> None:
    script = recited(HOURS, rest=REST)
    found = outcome(tmp_path, script, lambda inbox: script.write(inbox / "talk.wav"), **keys)
    assert_right(found, script.lines, max_part=max_part)
    assert all(one["end"] == two["start"] for one, two in pairwise(found.parts))
    assert not any(part.cut for part in found.told)
    assert any(part["silent"] for part in found.parts)


def test_three_hours_without_a_pause_are_cut_with_an_overlap(tmp_path: Path) -> None:
    script = recited(HOURS, pauses=False)
    found = outcome(tmp_path, script, lambda inbox: script.write(inbox / "talk.wav"), max_part="2m")
    assert_right(found, script.lines, max_part=120)
    shared = [one["end"] - two["start"] for one, two in pairwise(found.parts)]
    assert shared == pytest.approx([OVERLAP] * len(shared))
    assert any(part.cut for part in found.told), "some sentence has to be cut, or this shows nothing"


@pytest.mark.parametrize(("container", "codec"), [("mkv", "flac"), ("mp4", "alac")])
def test_in_a_film_whose_sound_begins_late_times_are_those_of_the_picture(
    tmp_path: Path, container: str, codec: str
) -> None:
    late, script = 1.5, recited(600)
    script.write(tmp_path / "talk.wav")
    film = made(
        f"timeline.{container}",
        *("-f", "lavfi", "-i", f"testsrc=size=160x120:rate=1:duration={600 + late}"),
        *("-itsoffset", str(late), "-i", str(tmp_path / "talk.wav")),
        *("-map", "0:v", "-map", "1:a", "-c:v", "mpeg4", "-c:a", codec),
    )
    found = outcome(
        tmp_path,
        script,
        lambda inbox: (inbox / film.name).hardlink_to(film),
        max_part="2m",
    )
    lines = [Line(line.start + late, line.end + late, line.text) for line in script.lines]
    assert_right(found, lines, max_part=120)
    assert not any(part.cut for part in found.told)
