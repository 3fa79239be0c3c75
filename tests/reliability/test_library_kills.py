"""Kills at any moment while a long file of a library is cut, asked for part by part, and get subtitles."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.audio import made, need_tools
from tests.reliability.invariants import files_below
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Request, Respond
from tests.waiting import wait_until
from watcherd.job import State
from watcherd.journal.reader import reading
from watcherd.subtitles.formats import read_srt

pytestmark = [need_tools, pytest.mark.slow]

PARTS, CONCURRENCY = 20, 2
NAME = "films/film.wav"
TEXT = "notes.mp3"
MINE = b"1\n00:00:00,000 --> 00:00:01,000\nBy hand\n"
KILLS = 10
ENDED = {State.DONE: 1, State.FAILED: 1}


def beeps() -> Path:
    """Nine seconds of a tone and a pause, PARTS times; no two tones are the same."""
    expression = f"if(lt(mod(t,10),9),0.5*sin(2*PI*t*(300+50*floor(t/10))),0):d={PARTS * 10}:s=16000"
    return made("beeps.wav", "-f", "lavfi", "-i", f"aevalsrc='{expression}'")


def answer(request: Request) -> Respond:
    segment = {"start": 1.0, "end": 2.0, "text": f" Size {request.size}."}
    body = {"text": segment["text"], "segments": [segment], "duration": 9.0, "language": "english"}
    return Respond(body=json.dumps(body).encode(), delay=0.15)


def ended(home: Path) -> dict[State, int]:
    """What the journal says: the log of a daemon that is killed may lack its last lines."""
    try:
        with reading(home / "state" / "journal.sqlite3") as reader:
            return reader.counts().get("inbox", {})
    except sqlite3.OperationalError:  # the daemon has not made it yet
        return {}


@pytest.mark.parametrize("existing", ["skip", "overwrite", "keep-both"])
def test_no_kill_costs_an_original_a_subtitle_or_an_answered_part(
    tmp_path: Path, endpoint: LocalEndpoint, existing: str
) -> None:
    draw = random.Random(existing)
    endpoint.always(answer)
    folder: dict[str, object] = {"done": None, "failed": None, "after": "keep", "existing": existing}
    folder |= {"settle": "200ms", "rescan": "500ms", "formats": ["srt", "txt"], "cues": "raw"}
    keys = {"max_part": "12s", "concurrency": CONCURRENCY, "upload": "flac"}
    content = configuration(
        tmp_path, endpoint=endpoint, endpoint_keys=keys, folder_keys=folder, top_keys={"stop_grace": "100ms"}
    )
    daemon = RunningDaemon(tmp_path, content, key=endpoint.key)
    originals = {NAME: beeps().read_bytes(), TEXT: b"no sound at all\n" * 40, "films/film.txt": MINE}
    for name, body in originals.items():
        path = tmp_path / "inbox" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    stops = 0
    while stops < KILLS and ended(tmp_path) != ENDED:
        answered = len(daemon.found("part.translated"))
        daemon.start()
        # Three deaths in a row without a single answer would rightly be held against the file in hand.
        wait_until(lambda n=answered: len(daemon.found("part.translated")) > n or ended(tmp_path) == ENDED)  # type: ignore[misc]
        time.sleep(draw.uniform(0, 0.6))  # the drawn moment itself; nothing is waited for
        daemon.stop(signal.SIGKILL)
        stops += 1
        wait_until(lambda: not endpoint.connections)
    with daemon:
        wait_until(lambda: ended(tmp_path) == ENDED, timeout=30)
        seen = len(daemon.found("inbox.scanned"))
        wait_until(lambda: len(daemon.found("inbox.scanned")) >= seen + 2)

    paid = Counter(request.size for request in endpoint.requests if request.answered == 200)
    print(
        f"{existing}: {stops} kills, {PARTS} parts, {len(endpoint.requests)} requests,"
        f" {paid.total() - PARTS} answered twice"
    )
    assert len(paid) == PARTS
    assert paid.total() - PARTS <= stops * CONCURRENCY, "only what was in flight at a kill"
    recorded = Counter((event["job"], event["part"]) for event in daemon.found("part.translated"))
    assert max(recorded.values()) == 1, "a part on record was asked for again"

    sidecars = {"films/film.srt"}
    if existing == "keep-both":
        sidecars = {"films/film (2).srt", "films/film (2).txt"}
    found = {name.decode(): body for name, body in files_below(tmp_path / "inbox").items()}
    assert found.keys() == originals.keys() | sidecars
    assert {name: found[name] for name in originals} == originals
    cues = read_srt(found[min(sidecars)].decode())
    assert [round(cue.start / 10) for cue in cues] == list(range(PARTS))
    assert len(list((tmp_path / "state" / "reports").iterdir())) == 1
    assert list((tmp_path / "state" / "work").iterdir()) == []
