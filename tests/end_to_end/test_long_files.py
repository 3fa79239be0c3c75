"""A long file through the real daemon: cut into parts, killed on the way, asked for once a part."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.audio import made, need_tools
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Request, Respond
from tests.waiting import wait_until
from watcherd.subtitles.formats import read_srt

pytestmark = need_tools

PARTS = 12
_BEEPS = f"if(lt(mod(t,10),9),0.5*sin(2*PI*t*(300+50*floor(t/10))),0):d={PARTS * 10}:s=16000"


def answer(request: Request) -> Respond:
    segment = {"start": 1.0, "end": 2.0, "text": f" Size {request.size}."}
    body = {"text": segment["text"], "segments": [segment], "duration": 9.0, "language": "english"}
    return Respond(body=json.dumps(body).encode(), delay=0.2)


def test_kills_in_the_middle_of_a_long_file_send_no_answered_part_again(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.always(answer)
    content = configuration(
        tmp_path, endpoint=endpoint, endpoint_keys={"max_part": "12s", "concurrency": 2, "upload": "flac"}
    )
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        daemon.drop(made("film.wav", "-f", "lavfi", "-i", f"aevalsrc='{_BEEPS}'"), "film.wav")
        for count in (2, 5):
            wait_until(lambda count=count: len(daemon.found("part.translated")) >= count)  # type: ignore[misc]
            daemon.stop(signal.SIGKILL)
            wait_until(lambda: not endpoint.connections)
            daemon.start()
        daemon.event("job.done")
    answered = [request.size for request in endpoint.requests if request.answered == 200]
    assert len(set(answered)) == PARTS
    assert len(answered) <= PARTS + 2 * 2, "those in flight at two kills"
    cues = read_srt((daemon.done / "film.srt").read_text())
    assert len(cues) == PARTS
    assert [round(cue.start / 10) for cue in cues] == list(range(PARTS))
    assert list((tmp_path / "state" / "work").iterdir()) == []
