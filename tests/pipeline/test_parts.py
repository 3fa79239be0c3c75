"""Long files: cut into parts that are asked for at once, resumed without asking twice, put together again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.audio import made, need_tools
from tests.pipeline.world import World, names, running_world
from tests.servers.endpoint import Request, Respond, error
from watcherd.faults import Fault, Remedy, Scope
from watcherd.job import (
    FINAL,
    Chosen,
    Cut,
    Listened,
    Part,
    Postponed,
    Refused,
    Replied,
    Reused,
    Sending,
    Started,
    State,
    WaitReason,
)
from watcherd.journal.reader import reading
from watcherd.pipeline.answering import Answering
from watcherd.pipeline.original import Original
from watcherd.status.snapshot import read_record
from watcherd.subtitles.formats import read_srt

pytestmark = need_tools

LOST = Fault(scope=Scope.FILE, code="connection_lost", message="m", hint="h", remedy=Remedy.RETRY)
BEEPS = 8  # each of 9 s, 1 s of silence after it
CUT_AT = [9.5, 19.5, 29.5, 39.5, 49.5, 59.5, 69.5]  # in the middle of a silence, more or less


def beeps_path() -> Path:
    """A minute and a third: eight tones of nine seconds, each a little higher, with a second between them."""
    expression = f"if(lt(mod(t,10),9),0.5*sin(2*PI*t*(300+50*floor(t/10))),0):d={BEEPS * 10}:s=16000"
    return made("beeps.wav", "-f", "lavfi", "-i", f"aevalsrc='{expression}'")


def beeps() -> bytes:
    return beeps_path().read_bytes()


def answer(request: Request) -> Respond:
    """One segment from 1 to 2 s of whatever was sent, that says how large it was."""
    segment = {"start": 1.0, "end": 2.0, "text": f" Size {request.size}."}
    body = {"text": segment["text"], "segments": [segment], "duration": 9.0, "language": "english"}
    return Respond(body=json.dumps(body).encode(), delay=0.1)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_world(tmp_path, max_part=12.0, concurrency=2, upload="flac") as running:
        running.endpoint.always(answer)
        yield running


async def parts(world: World) -> tuple[Part, ...]:
    return (await world.journal.answers.of(1)).parts


async def test_a_long_file_is_cut_where_nobody_speaks_and_asked_for_once_a_part(world: World) -> None:
    await world.drop("long.wav", beeps())
    await world.serve(lambda: world.rest(1))
    assert (await world.job(1)).state is State.DONE
    cut = await parts(world)
    assert [part.start for part in cut] == [0.0, *(part.end for part in cut[:-1])], "nothing overlaps"
    assert [part.end for part in cut[:-1]] == pytest.approx(CUT_AT, abs=0.5)
    assert len(world.endpoint.requests) == BEEPS
    assert world.endpoint.max_in_flight == 2
    cues = read_srt((world.home / "done" / "long.srt").read_text())
    assert [cue.start for cue in cues] == pytest.approx([part.start + 1 for part in cut], abs=0.01)


async def test_a_stop_in_the_middle_asks_for_no_part_twice(world: World) -> None:
    await world.drop("long.wav", beeps())
    await world.serve(lambda: sum(isinstance(event, Replied) for _, event in world.events) >= 3)
    before = await parts(world)
    await world.serve(lambda: world.events[-1][0].state is State.DONE)
    assert (await parts(world))[: len(before)] == before, "cut once is cut for good"
    sizes = [request.size for request in world.endpoint.requests if request.answered == 200]
    sent = sum(isinstance(event, Sending) for _, event in world.events)
    told = [event for _, event in world.events if isinstance(event, Replied)]
    assert (told[-1].answered, told[-1].parts) == (BEEPS, BEEPS), "those from before are counted"
    assert len(set(sizes)) == BEEPS
    assert sent <= BEEPS + 2, "those in flight at the stop"
    assert len(read_srt((world.home / "done" / "long.srt").read_text())) == BEEPS


async def test_one_part_that_fails_costs_the_others_nothing(tmp_path: Path) -> None:
    async with running_world(tmp_path, backoff=0.01, max_part=12.0, upload="flac") as world:
        world.endpoint.always(answer)
        world.endpoint.script(Respond(status=500, body=b"Internal Server Error"))
        await world.drop("long.wav", beeps())
        await world.serve(lambda: bool(world.events) and world.events[-1][0].state is State.DONE)
        assert len(world.endpoint.requests) == BEEPS + 1
        assert (await world.job(1)).attempts == 2


async def test_a_file_that_failed_over_one_part_asks_for_that_part_alone_when_it_comes_again(
    tmp_path: Path,
) -> None:
    poison: list[int] = []

    def refusing(request: Request) -> Respond:
        poison.append(request.size)
        return error(400, "We do not like it") if request.size == poison[0] else answer(request)

    async with running_world(tmp_path, backoff=0.01, max_part=12.0, concurrency=1, upload="flac") as world:
        world.endpoint.always(refusing)
        await world.drop("long.wav", beeps())
        await world.serve(lambda: world.rest(1))
        assert (await world.job(1)).state is State.FAILED
        answered = {request.size for request in world.endpoint.requests if request.answered == 200}
        assert answered, "one that was under way"
        world.endpoint.always(answer)
        before = len(world.endpoint.requests)
        await world.drop("again.wav", beeps())
        await world.serve(lambda: world.rest(2))
        assert (await world.job(2)).state is State.DONE
        again = [request.size for request in world.endpoint.requests[before:]]
        assert len(again) == BEEPS - len(answered)
        assert not answered & set(again)


@pytest.mark.slow
async def test_a_long_file_is_worth_any_number_of_attempts_while_each_brings_an_answer(
    tmp_path: Path,
) -> None:
    numbers = count()

    def every_other(request: Request) -> Respond:
        return answer(request) if next(numbers) % 2 else Respond(status=500, body=b"Internal Server Error")

    async with running_world(tmp_path, backoff=0.01, max_part=12.0, concurrency=1, upload="flac") as world:
        world.endpoint.always(every_other)
        await world.drop("long.wav", beeps())
        await world.serve(lambda: bool(world.events) and world.events[-1][0].state in FINAL)
        job = await world.job(1)
        assert (job.state, job.fault) == (State.DONE, None)
        assert job.attempts > 5, "the usual limit, for a file that gets nowhere"


async def test_an_endpoints_fault_keeps_the_parts_that_were_answered(world: World) -> None:
    for _ in range(3):
        world.endpoint.script(answer)
    world.endpoint.script(error(401, "Incorrect API key provided"))
    await world.drop("long.wav", beeps())
    await world.serve(lambda: world.rest(1))
    job = await world.job(1)
    assert (job.reason, job.attempts) == (WaitReason.ENDPOINT_PAUSED, 0)
    answered = sum(request.answered == 200 for request in world.endpoint.requests)
    assert answered >= 3
    with reading(world.home / "journal.sqlite3") as reader:
        progress = read_record(reader).progress[1]
    assert (progress.answered, progress.whole) == (answered, False)
    world.queue._benches["inbox"].gate.reopen()
    world.queue.retry_held_up()
    await world.serve(lambda: world.events[-1][0].state is State.DONE)
    assert sum(request.answered == 200 for request in world.endpoint.requests) == BEEPS


async def test_parts_that_are_too_large_are_made_smaller_without_asking_for_the_others_again(
    tmp_path: Path,
) -> None:
    def picky(request: Request) -> Respond:
        return error(413, "Payload Too Large") if request.size > 120_000 else answer(request)

    async with running_world(tmp_path, max_part=40.0, upload="flac", concurrency=1) as world:
        world.endpoint.always(picky)
        await world.drop("long.wav", beeps())
        await world.serve(lambda: world.rest(1))
        assert (await world.job(1)).state is State.DONE
        cut = await parts(world)
        assert cut[-1].end == pytest.approx(BEEPS * 10, abs=0.1)
        assert all(before.own_end == after.own_start for before, after in pairwise(cut))
        sizes = [request.size for request in world.endpoint.requests if request.answered == 200]
        assert len(sizes) == len(cut)


async def test_a_second_file_with_the_same_content_is_cut_and_asked_for_by_nobody(world: World) -> None:
    with capture_logs() as logged:
        await world.drop("long.wav", beeps())
        await world.serve(lambda: world.rest(1))
        await world.drop("copy.wav", beeps())
        await world.serve(lambda: world.rest(2))
    assert len(world.endpoint.requests) == BEEPS
    said = [line.get("answered") for line in logged if line["event"] == "part.translated"]
    assert said[1:] == list(range(2, BEEPS + 1)), "of the first, more are known as soon as it is answered"
    [*_, last] = [line for line in logged if line["event"] == "part.reused"]
    assert (last["answered"], last["parts"]) == (BEEPS, BEEPS)
    texts = [(world.home / "done" / name).read_text() for name in ("long.srt", "copy.srt")]
    assert texts[0] == texts[1]


async def test_silent_parts_are_not_sent(tmp_path: Path) -> None:
    silence = made("silence-40.wav", "-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=40").read_bytes()
    async with running_world(tmp_path, max_part=12.0, upload="flac") as world:
        await world.drop("silence.wav", silence)
        await world.serve(lambda: world.rest(1))
        job = await world.job(1)
        assert (job.state, "nothing_heard" in job.warnings) == (State.DONE, True)
        assert world.endpoint.requests == ()
        assert "silence.srt" in names(world.home / "done")


async def test_silent_parts_count_as_answered_and_refused_replies_do_not(world: World) -> None:
    await world.drop("talk.mp3")
    job, bench = await world.job(1), world.queue._benches["inbox"]
    answering = Answering(job, bench, Original(job, bench))
    told: list[int] = []
    for event in (
        Cut(Part(number=1, silent=True)),
        Cut(Part(number=2)),
        Replied(b"", "srt", 2),
        Refused(LOST, 2),
        Replied(b"", "srt", 3),
        Reused(b"", "srt", 2),
    ):
        after = answering._counted(event)
        if isinstance(after, Replied | Reused):
            told.append(after.answered)
    assert told == [2, 2, 3]


async def test_a_whole_file_that_must_not_be_sent_as_it_is_any_more_gives_way_to_known_parts(
    tmp_path: Path,
) -> None:
    async with running_world(tmp_path, upload="flac") as world:
        await world.drop("talk.mp3")
        job = await world.job(1)
        answered = (Cut(Part(number=0)), Sending("e", 1), Replied(b"{", "verbose_json"), Listened(7.8))
        chosen = Chosen(world.queue._benches["inbox"].settings)
        for event in (Started(), chosen, *answered, Postponed(WaitReason.BACKOFF, 0.0, LOST)):
            job = await world.queue._move(job, event)
        world.events.clear()
        await world.serve(lambda: world.rest(1))
        assert (await world.job(1)).state is State.DONE
        assert [part.end for part in await parts(world)] == [7.8]


async def test_a_looping_part_is_asked_for_once_more_without_the_prompt(tmp_path: Path) -> None:
    segments = [{"start": i, "end": i + 1, "text": " Thank you so much, dear friends."} for i in range(8)]
    looping = {"text": "x", "segments": segments, "duration": 8.0, "language": "english"}
    async with running_world(tmp_path) as world:
        bench = world.queue._benches["inbox"]
        prompted = replace(bench, folder=bench.folder.model_copy(update={"prompt": "Names"}))
        world.queue._benches["inbox"] = prompted  # type: ignore[index]  # a dict, as the daemon's
        world.endpoint.script(Respond(body=json.dumps(looping).encode()))
        job = await world.run("talk.mp3")
        assert job.state is State.DONE
        prompts = [request.fields.get("prompt") for request in world.endpoint.requests]
        assert prompts == ["Names", None]
