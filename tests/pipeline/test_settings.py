"""Request settings: what is answered for one job was asked for in one way, over restarts and reloads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.audio import need_tools
from tests.pipeline.test_parts import BEEPS, beeps
from tests.pipeline.world import World, running_world
from tests.servers.endpoint import LocalEndpoint, Request, Respond, error
from watcherd.config.model import Cues
from watcherd.job import Recognised, Replied, State, WaitReason
from watcherd.media.pool import MediaPool
from watcherd.pipeline.answering import _kept
from watcherd.settings import Settings
from watcherd.subtitles.formats import read_srt
from watcherd.subtitles.shape import Shape, shape_of

pytestmark = need_tools

FIRST: Mapping[str, object] = {"prompt": "Old names", "temperature": 0.25}
NOW: Mapping[str, object] = {"prompt": "New names", "temperature": 0.75, "track": "7"}


@dataclass
class Place:
    """Where one world follows another, with the same endpoint, folders and journal."""

    home: Path
    local: LocalEndpoint
    media: MediaPool

    def world(
        self,
        folder_keys: Mapping[str, object],
        *,
        model: str = "whisper-1",
        fields: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[World]:
        """A world that cuts whatever is longer than twelve seconds."""
        return running_world(
            self.home,
            local=self.local,
            media=self.media,
            folder_keys=folder_keys,
            model=model,
            fields=fields or {},
            max_part=12.0,
            concurrency=2,
            upload="flac",
            timeout={"read": 20.0},
        )

    def answer_only(self, count: int) -> None:
        """Let the endpoint answer so many requests, and keep the others waiting."""
        self.local.script(Respond(), times=count)
        self.local.always(Respond(hold=True))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    media = MediaPool()
    with LocalEndpoint(extra_fields={"task"}) as local:
        yield Place(tmp_path, local, media)
    await media.close()


def chosen(world: World) -> Settings:
    """What the world is configured to ask for."""
    return world.queue._benches["inbox"].settings


def asked(requests: Collection[Request]) -> set[tuple[str | None, ...]]:
    """What was asked for, beside the format; a stop may cut a request off before its first field."""
    names = ("model", "prompt", "temperature", "task")
    return {tuple(one.fields.get(name) for name in names) for one in requests if one.fields}


def no_verbose_json(request: Request) -> Respond:
    said = error(400, "Currently only support response_format json or text", code="unsupported_value")
    return said if request.fields["response_format"] == "verbose_json" else Respond()


def replies(world: World) -> int:
    return sum(isinstance(event, Replied) for _, event in world.events)


async def test_a_job_keeps_the_settings_of_its_first_reply_and_is_known_by_them(place: Place) -> None:
    place.answer_only(2)
    async with place.world(FIRST, model="old", fields={"task": "old"}) as world:
        await world.drop("long.wav", beeps())
        await world.serve(lambda: replies(world) == 2)
        old = chosen(world)
    place.local.always(no_verbose_json)
    async with place.world(NOW, model="new", fields={"task": "new"}) as world:
        await world.serve(lambda: world.rest(1))
        gate = world.queue._benches["inbox"].gate
        assert (gate.format_for("old"), gate.format_for("new")) == ("srt", "verbose_json")
        assert (await world.job(1)).state is State.DONE, "a track that is not there was never wanted"
        [known] = [event for _, event in world.events if isinstance(event, Recognised)]
        assert known.request == old.key
        assert await world.journal.answers.to(known.sha256, old.key) is not None
        assert await world.journal.answers.to(known.sha256, chosen(world).key) is None
    assert asked(place.local.requests) == {("old", "Old names", "0.25", "old")}
    ends = [request.answered for request in place.local.requests]
    assert ends.count(200) == BEEPS
    assert 0 < ends.count(400) <= 3, "what is learned serves the parts that come later"


async def test_a_job_without_a_reply_takes_the_settings_of_the_present(place: Place) -> None:
    place.local.always(error(401, "Incorrect API key provided"))
    async with place.world(FIRST) as world:
        await world.drop("long.wav", beeps())
        await world.serve(lambda: world.rest(1))
        assert (await world.job(1)).reason is WaitReason.ENDPOINT_PAUSED
    count = len(place.local.requests)
    place.local.always(Respond())
    async with place.world({**NOW, "track": "0"}) as world:
        await world.serve(lambda: world.rest(1))
        [known] = [event for _, event in world.events if isinstance(event, Recognised)]
        assert known.request == chosen(world).key
    assert asked(place.local.requests[count:]) == {("whisper-1", "New names", "0.75", None)}


@pytest.mark.slow
async def test_a_model_that_is_gone_is_not_asked_for_any_longer_than_it_is_wanted(place: Place) -> None:
    def without_old(request: Request) -> Respond:
        gone = error(404, "The model `old` does not exist", code="model_not_found")
        return gone if request.fields["model"] == "old" else Respond()

    place.answer_only(2)
    async with place.world(FIRST, model="old") as world:
        await world.drop("long.wav", beeps())
        await world.serve(lambda: replies(world) == 2)
    place.local.always(without_old)
    async with place.world(NOW, model="new") as world:
        await world.serve(lambda: world.rest(1))
        assert (await world.job(1)).reason is WaitReason.ENDPOINT_PAUSED
        world.queue._benches["inbox"].gate.reopen()
        world.queue.retry_held_up()
        await world.serve(lambda: world.events[-1][0].state is State.DONE)
    assert {one[:2] for one in asked(place.local.requests)} == {("old", "Old names"), ("new", "Old names")}


FIRST_SETTINGS = Settings(
    base_url="http://here/v1", model="a", prompt="p", temperature=0.1, track="1", fields=(("x", "1"),)
)
PRESENT = Settings(
    base_url="http://here/v1", model="b", prompt="q", temperature=0.2, track="2", fields=(("x", "2"),)
)


@pytest.mark.parametrize(
    ("now", "refused", "kept"),
    [
        (PRESENT, False, FIRST_SETTINGS),
        (replace(PRESENT, model="a"), True, FIRST_SETTINGS),
        (PRESENT, True, replace(FIRST_SETTINGS, model="b", fields=(("x", "2"),))),
        (
            replace(PRESENT, base_url="http://there/v1"),
            False,
            replace(FIRST_SETTINGS, base_url="http://there/v1", model="b", fields=(("x", "2"),)),
        ),
    ],
    ids=["as they were", "the model is wanted still", "the model is gone", "another address"],
)
def test_another_address_and_another_model_have_their_own_fields(
    now: Settings, refused: bool, kept: Settings
) -> None:
    assert _kept(FIRST_SETTINGS, now=now, refused=refused) == kept


def test_any_difference_in_the_settings_has_another_key() -> None:
    others = [
        replace(FIRST_SETTINGS, base_url="http://there/v1"),
        replace(FIRST_SETTINGS, model="b"),
        replace(FIRST_SETTINGS, prompt="q"),
        replace(FIRST_SETTINGS, temperature=0.2),
        replace(FIRST_SETTINGS, track="2"),
        replace(FIRST_SETTINGS, fields=(("x", "2"),)),
    ]
    assert len({one.key for one in (FIRST_SETTINGS, replace(FIRST_SETTINGS), *others)}) == 7


async def test_cues_get_the_shape_that_was_set_when_their_delivery_was_planned(place: Place) -> None:
    place.local.always(Respond())
    shaped = Cues(max_lines=1, max_chars=10)
    async with place.world({"cues": shaped}) as world:
        (place.home / "done").rmdir()  # as if its mount were away
        await world.drop("talk.wav", beeps()[:320_044])
        await world.serve(lambda: world.rest(1))
        job = await world.job(1)
        assert job.reason is WaitReason.STORAGE
        assert job.plan is not None
        assert shape_of(job.plan.cues) == Shape(**shaped.model_dump())
    async with place.world({"cues": None}) as world:
        (place.home / "done").mkdir(exist_ok=True)
        await world.serve(lambda: world.rest(1))
        assert (await world.job(1)).state is State.DONE
    texts = [cue.text for cue in read_srt((place.home / "done" / "talk.srt").read_text())]
    assert len(texts) > 1
    assert max(map(len, texts)) <= 10
