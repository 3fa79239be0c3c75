"""What an endpoint does not take, and what it may cost: sizes, lengths, refusals, budgets, pauses."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.audio import clip, made, need_tools
from tests.pipeline.test_parts import beeps, beeps_path
from tests.pipeline.world import World, names, running_world
from tests.servers.endpoint import HangUp, Respond, error
from watcherd import queue
from watcherd.endpoint.gate import Gate
from watcherd.endpoint.past import day_of
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.job import Sending, State, WaitReason
from watcherd.media.pool import MediaPool
from watcherd.pipeline import asking

TOO_LARGE = error(413, "Maximum content size limit (26214400) exceeded")
CLIP = 7.797  # seconds
BYTES = 6_600  # a second of the beeps as FLAC, about


def gate_of(world: World) -> Gate:
    return world.queue._benches["inbox"].gate


def asked(world: World) -> list[tuple[str, int]]:
    """What was sent: names and sizes."""
    return [(request.filename, request.size) for request in world.endpoint.requests]


# Size and length.


async def test_what_is_too_large_is_sent_again_smaller_or_not_at_all(world: World) -> None:
    wav = clip("wav").read_bytes()
    world.endpoint.script(TOO_LARGE)
    await world.drop("talk.wav", wav)
    await world.serve(lambda: world.rest(1))
    assert (await world.job(1)).state is State.DONE
    (first, full), (second, less) = asked(world)
    assert (first, full, second) == ("audio.wav", len(wav), "audio.ogg")
    assert less <= full // 2 == gate_of(world).max_upload("whisper-1")
    await world.drop("again.wav", wav + bytes(2))
    await world.serve(lambda: world.rest(2))
    assert asked(world)[2][0] == "audio.ogg", "the next one of that size is not even tried as it is"
    assert (await world.job(2)).state is State.DONE


async def test_what_cannot_be_made_smaller_fails_and_is_not_sent_unchanged(world: World) -> None:
    world.endpoint.always(TOO_LARGE)
    job = await world.run("talk.mp3")
    assert job.state is State.FAILED
    assert job.fault is not None
    assert job.fault.code == "too_large"
    assert len({size for _, size in asked(world)}) == len(asked(world))


async def test_the_longest_audio_that_a_server_names_is_remembered(world: World) -> None:
    world.endpoint.script(
        error(400, "audio duration 7.8 seconds is longer than 5 seconds", code="invalid_value")
    )
    job = await world.run("talk.mp3")
    assert job.state is State.DONE
    assert [name for name, _ in asked(world)] == ["audio.mp3", "audio.flac"]
    assert gate_of(world).max_seconds("whisper-1") == pytest.approx(4.5)


async def test_work_that_outlasts_the_gateway_twice_is_not_sent_a_third_time(world: World) -> None:
    world.endpoint.script(Respond(status=524), times=2)
    await world.drop("long.mp3")
    await world.serve(lambda: (len(world.endpoint.requests), world.rest(1)) == (1, True))
    waiting = await world.job(1)
    assert (waiting.reason, waiting.attempts) == (WaitReason.ENDPOINT_PAUSED, 0)
    gate_of(world).reopen()
    world.queue.retry_held_up()
    await world.serve(lambda: world.events[-1][0].state is State.DONE)
    assert [name for name, _ in asked(world)] == ["audio.mp3", "audio.mp3", "audio.flac"]
    assert gate_of(world).max_seconds("whisper-1") == pytest.approx(CLIP / 2, abs=0.1)


async def test_a_gateways_timeout_after_long_work_counts_as_524_and_a_quick_one_as_an_outage(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "LONG_WORK", 0.05)
    world.endpoint.script(Respond(status=504, delay=0.2), times=2)
    await world.drop("long.mp3")
    await world.serve(lambda: world.rest(1))
    gate_of(world).reopen()
    world.queue.retry_held_up()
    await world.serve(lambda: world.events[-1][0].state is State.DONE)
    monkeypatch.setattr(asking, "LONG_WORK", 60.0)
    world.endpoint.script(Respond(status=504), times=2)
    await world.drop("short.mp3", clip("mp3").read_bytes() + bytes(9))
    for _ in range(2):
        world.events.clear()
        await world.serve(lambda: bool(world.events) and world.events[-1][0].state is State.WAITING)
        gate_of(world).reopen()
        world.queue.retry_held_up()
    await world.serve(lambda: world.events[-1][0].state is State.DONE)


async def test_an_empty_answer_is_asked_for_again_and_then_in_another_format(tmp_path: Path) -> None:
    async with running_world(tmp_path, backoff=0.01) as world:
        world.endpoint.script(Respond(body=b""), times=2)
        await world.drop("quiet.mp3")
        await world.serve(lambda: bool(world.events) and world.events[-1][0].state is State.DONE)
        formats = [request.fields["response_format"] for request in world.endpoint.requests]
        assert formats == ["verbose_json", "verbose_json", "srt"]


async def test_the_original_is_never_encoded_where_the_user_wants_it_sent_as_it_is(tmp_path: Path) -> None:
    async with running_world(tmp_path, upload="original") as world:
        world.endpoint.always(error(400, "The audio file could not be decoded"))
        job = await world.run("talk.mp3")
        assert job.state is State.FAILED
        assert [name for name, _ in asked(world)] == ["audio.mp3"]


# Answers that are lost.


def cut_off(world: World, *, over: float) -> None:
    """Whatever holds more than `over` seconds of FLAC is answered, but the answer ends too soon."""
    world.endpoint.always(lambda request: Respond(cut=30) if request.size > over * BYTES else Respond())


@need_tools
async def test_what_is_lost_twice_is_asked_for_in_smaller_parts_of_this_file_alone(tmp_path: Path) -> None:
    async with running_world(tmp_path, backoff=0.01, max_part=40.0, upload="flac", concurrency=1) as world:
        cut_off(world, over=25)
        await world.drop("long.wav", beeps())
        await world.serve(lambda: bool(world.events) and world.events[-1][0].state is State.DONE)
        sent = [event for _, event in world.events if isinstance(event, Sending)]
        lost = [one.seconds or 0 for one in sent if (one.seconds or 0) > 25]
        assert len(lost) >= 2
        assert max(lost.count(seconds) for seconds in lost) == 2, "nothing is sent a third time"
        cut = (await world.journal.answers.of(1)).parts
        assert max(part.end - part.start for part in cut) <= max(lost) / 2
        assert (await world.job(1)).attempts == 3, "it is charged as ever"
        assert gate_of(world).max_seconds("whisper-1") is None, "the network may be to blame"


@need_tools
async def test_a_whole_file_that_is_lost_twice_is_cut(tmp_path: Path) -> None:
    mp3 = made("beeps.mp3", "-i", str(beeps_path()), "-b:a", "32k").read_bytes()
    async with running_world(tmp_path, backoff=0.01) as world:
        world.endpoint.always(
            lambda request: Respond(cut=30) if request.filename == "audio.mp3" else Respond()
        )
        await world.drop("long.mp3", mp3)
        await world.serve(lambda: bool(world.events) and world.events[-1][0].state is State.DONE)
        sent = [name for name, _ in asked(world)]
        assert (sent.count("audio.mp3"), set(sent[2:])) == (2, {"audio.flac"})
        assert max(part.end for part in (await world.journal.answers.of(1)).parts) == pytest.approx(80, abs=1)


async def test_a_short_file_that_is_lost_again_and_again_is_tried_as_often_as_any(tmp_path: Path) -> None:
    mp3 = clip("mp3").read_bytes()
    async with running_world(tmp_path, backoff=0.01) as world:
        world.endpoint.always(lambda request: Respond(cut=30) if request.size == len(mp3) else Respond())
        await world.drop("short.mp3", mp3)
        await world.serve(lambda: bool(world.events) and world.events[-1][0].state is State.FAILED)
        assert [name for name, _ in asked(world)] == ["audio.mp3"] * 5 + ["audio.flac"], "and a probe"


# More audio than is taken from one file.


@pytest.fixture
async def a_minute() -> AsyncIterator[MediaPool]:
    """Workers that take no more than a minute of audio."""
    media = MediaPool(most_seconds=60)
    yield media
    await media.close()


@need_tools
async def test_a_file_that_is_too_long_fails_before_anything_is_sent(
    tmp_path: Path, a_minute: MediaPool
) -> None:
    async with running_world(tmp_path, media=a_minute, max_part=12.0, upload="flac") as world:
        await world.drop("long.wav", beeps())
        await world.serve(lambda: world.rest(1))
        job = await world.job(1)
        assert job.fault is not None
        assert (job.state, job.fault.code) == (State.FAILED, "too_much_audio")
        assert world.endpoint.requests == ()
        assert names(world.home / "failed") == ["long.wav", "long.wav.error.json"]


@need_tools
async def test_a_header_that_claims_days_is_not_believed(tmp_path: Path) -> None:
    flac = bytearray(made("beeps.flac", "-i", str(beeps_path())).read_bytes())
    count = 100 * 3600 * 16_000  # samples, in the last 36 bits before the checksum
    flac[21] = flac[21] & 0xF0 | count >> 32
    flac[22:26] = (count & 0xFFFFFFFF).to_bytes(4)
    async with running_world(tmp_path, max_part=40.0, upload="flac") as world:
        await world.drop("long.flac", bytes(flac))
        await world.serve(lambda: world.rest(1))
        job = await world.job(1)
        assert (job.state, job.warnings) == (State.DONE, ("shorter_than_said",))
        assert len(world.endpoint.requests) == len((await world.journal.answers.of(1)).parts) > 1


# Refusals.


async def test_three_files_in_a_row_that_are_refused_are_the_settings_fault(world: World) -> None:
    world.endpoint.always(error(400, "No such thing"))
    for number in range(3):
        await world.drop(f"{number}.mp3", clip("mp3").read_bytes() + bytes(number))
    await world.serve(lambda: world.rest(3))
    states = [(await world.job(number)).state for number in (1, 2, 3)]
    assert sorted(states) == [State.FAILED, State.FAILED, State.WAITING]
    pause = gate_of(world).pause
    assert pause is not None
    assert pause.until - time.time() > 800


async def test_three_files_that_are_refused_alone_fail_alone(world: World) -> None:
    for number in range(3):
        world.endpoint.script(error(400, "No such thing"), times=2)
        await world.drop(f"{number}.mp3", clip("mp3").read_bytes() + bytes(number))
        await world.serve(partial(world.rest, number + 1))
    assert [(await world.job(number)).state for number in (1, 2, 3)] == [State.FAILED] * 3
    assert gate_of(world).pause is None


# Pauses.


async def test_a_key_that_is_refused_is_tried_once_for_each_slot_and_no_file_is_charged(
    tmp_path: Path,
) -> None:
    async with running_world(tmp_path, concurrency=2) as world:
        world.endpoint.always(replace(error(401, "Incorrect API key provided"), delay=0.1))
        for number in range(8):
            await world.drop(f"{number}.mp3", clip("mp3").read_bytes() + bytes(number))
        await world.serve(lambda: world.rest(4))
        assert len(world.endpoint.requests) == 2, "those that waited for a slot were not sent"
        assert {(await world.job(number)).attempts for number in range(1, 9)} == {0}


async def test_another_file_probes_after_the_one_that_the_endpoint_failed_over(world: World) -> None:
    poison = clip("mp3").read_bytes()
    world.endpoint.always(lambda request: Respond(status=502 if request.size == len(poison) else 200))
    await world.drop("poison.mp3", poison)
    for number in range(3):
        await world.drop(f"{number}.mp3", poison + bytes(number + 1))
    while len(names(world.home / "inbox")) > 1:
        world.events.clear()
        await world.serve(lambda: world.rest(1))
        gate_of(world).reopen()
        world.queue.retry_held_up()
    assert names(world.home / "inbox") == ["poison.mp3"]
    assert names(world.home / "failed") == []


async def test_a_delivery_goes_on_while_its_endpoint_is_paused(world: World) -> None:
    done = world.home / "done"
    done.rename(world.home / "away")
    job = await world.run("talk.mp3")
    assert (job.reason, job.plan is not None) == (WaitReason.STORAGE, True)
    await gate_of(world).hold()
    (world.home / "away").rename(done)
    world.queue.retry_held_up()
    await world.serve(lambda: world.events[-1][0].state is State.DONE)
    assert "talk.srt" in names(done)


async def test_a_held_inbox_starts_nothing_until_it_is_released_also_after_a_restart(world: World) -> None:
    await world.queue.hold("inbox")
    await world.drop("talk.mp3")
    await world.drop("more.mp3", clip("mp3").read_bytes() + b"x")
    world.queue.held.clear()
    await world.queue.recover()  # as the next daemon does
    assert list(world.queue.held) == ["inbox"]
    await world.serve(lambda: not world.queue._release_held_up)  # one turn of the loop
    assert asked(world) == []
    await world.queue.release("inbox")
    await world.serve(lambda: world.rest(2))
    assert len(asked(world)) == 2
    assert await world.journal.ledger.pauses() == []


# Budget.


@pytest.fixture
async def thrifty(tmp_path: Path) -> AsyncIterator[World]:
    """A world that may send 16 seconds a day: the clip twice."""
    async with running_world(tmp_path, budget={"minutes_per_day": 16 / 60}, concurrency=1) as running:
        yield running


async def test_what_is_over_the_days_minutes_waits_for_midnight_uncharged(thrifty: World) -> None:
    for number in range(3):
        await thrifty.drop(f"{number}.mp3", clip("mp3").read_bytes() + bytes(number))
    await thrifty.serve(lambda: thrifty.rest(3))
    jobs = [await thrifty.job(number) for number in (1, 2, 3)]
    jobs.sort(key=lambda job: job.state is State.WAITING)
    assert [job.state for job in jobs] == [State.DONE, State.DONE, State.WAITING]
    assert (jobs[2].reason, jobs[2].attempts) == (WaitReason.BUDGET, 0)
    assert jobs[2].until == day_of(time.time())[1]
    assert gate_of(thrifty).pause is None, "a shorter file may still go"
    sent = await thrifty.journal.ledger.seconds_sent(day_of(time.time())[0])
    assert sent == {"local-http": pytest.approx(2 * CLIP, abs=0.2)}


async def test_minutes_are_counted_without_a_budget_too_once_they_are_known(world: World) -> None:
    await world.run("talk.mp3")
    answered = await world.journal.answers.of(1)
    seconds = json.loads((answered.replies or {})[0].body)["duration"]
    assert seconds > 0
    assert gate_of(world).minutes_today == pytest.approx(seconds / 60)
    assert await world.journal.ledger.seconds_sent(0) == {"local-http": seconds}


async def test_a_journal_that_could_not_say_who_is_due_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "JOURNAL_WAIT", 0.05)
    async with running_world(tmp_path, backoff=0.3) as world:
        world.endpoint.script(HangUp())
        fault = Fault(scope=Scope.MACHINE, code="journal_failing", message="", hint="", remedy=Remedy.PAUSE)
        real, failures = world.journal.next_due, [fault]

        async def next_due() -> float | None:
            if failures and world.events and world.events[-1][0].state is State.WAITING:
                raise FaultError(failures.pop())
            return await real()

        monkeypatch.setattr(world.journal, "next_due", next_due)
        await world.drop("talk.mp3")
        await world.serve(lambda: bool(world.events) and world.events[-1][0].state is State.DONE)
        assert not failures


async def test_an_inbox_has_plenty_when_more_is_queued_than_can_be_taken_up_soon(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "PLENTY", 2)
    found = []
    for number in range(3):
        await world.drop(f"{number}.mp3", clip("mp3").read_bytes() + bytes(number))
        found.append(world.queue.has_plenty("inbox"))
    assert found == [False, True, True]
    assert not world.queue.has_plenty("another")
    await world.serve(lambda: world.rest(3))
    assert not world.queue.has_plenty("inbox"), "what is over is queued no more"
