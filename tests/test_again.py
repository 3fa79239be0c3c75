"""Which failed files go back, and what is said of the others: real folders and a real journal, no daemon."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from watcherd import again
from watcherd.again import Again, Yard
from watcherd.clock import SystemClock
from watcherd.config.model import Folder
from watcherd.control import Retried
from watcherd.delivery.report import Settings, render
from watcherd.faults import Fault, Remedy, Scope
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import identity_of
from watcherd.job import Delivered, Event, Job, Outcome, Plan, Planned, Recognised, Started, Withdrawn, step
from watcherd.journal.store import Journal, Move
from watcherd.pipeline.bench import Places

FAULT = Fault(scope=Scope.FILE, code="no_audio", message="No.", hint="Do.", remedy=Remedy.FAIL)


@dataclass
class World:
    """Two inboxes, `talks` and `music`, that share one failed folder."""

    home: Path
    journal: Journal
    again: Again
    storages: dict[str, Storage]

    async def job(self, path: str, *, inbox: str = "talks") -> Job:
        file = self.home / inbox / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(path.encode())
        job = await self.journal.add(inbox, path.encode(), identity_of(file.stat()))
        assert job is not None
        return job

    async def moved(self, job: Job, *events: Event) -> Job:
        for event in events:
            after = step(job, event)
            await self.journal.record(Move(job, after, event))
            job = after
        return job

    async def fail(self, path: str, *, place: str | None = None, inbox: str = "talks") -> Job:
        """A file that failed: at its place with its report, and so in the journal."""
        folder, _, name = (place or path).rpartition("/")
        plan = Plan(outcome=Outcome.FAILED, folder=folder.encode(), original=name.encode(), sidecars=())
        ends = (Started(), Planned(plan, fault=FAULT), Delivered())
        job = await self.moved(await self.job(path, inbox=inbox), *ends)
        self.stand(place or path, inbox=inbox, job=job)
        (self.home / inbox / path).unlink()
        return job

    def stand(self, place: str, *, inbox: str, job: Job) -> None:
        target = self.home / "failed" / place
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(job.path)
        settings = Settings(
            endpoint="e", base_url="http://e/v1", model="m", prompt="", temperature=0, formats=(),
            inbox=self.home / inbox, stays=False,
        )  # fmt: skip
        report = render(job, FAULT, settings=settings, attempts=(), now=0)
        (target.parent / f"{target.name}.error.json").write_bytes(report)

    async def retry(self, *files: Path | str, fresh: bool = False) -> list[Retried]:
        return await self.again.these([bytes(self.home / file) for file in files], fresh=fresh)

    async def retry_all(self) -> dict[bytes, bytes | str | None]:
        results = await self.again.everything(fresh=False)
        return {result.file.rpartition(b"/")[2]: result.back_as or result.text for result in results}

    def files(self, folder: str) -> list[str]:
        root = self.home / folder
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    for name in ("talks", "music", "failed", "done"):
        (tmp_path / name).mkdir()
    journal = await Journal.open(tmp_path / "journal", SystemClock())
    storages = {name: Storage(name) for name in ("talks", "music", "records")}
    folders = [
        Folder(
            inbox=tmp_path / name, name=name, done=tmp_path / "done", failed=tmp_path / "failed", endpoint="e"
        )
        for name in ("talks", "music")
    ]
    yards = [Yard(folder=one, places=Places.of(one), storage=storages[one.name]) for one in folders]
    doing = Again(yards, journal=journal, path=tmp_path / "journal", records=storages["records"])
    yield World(tmp_path, journal, doing, storages)
    await journal.close()
    for storage in storages.values():
        storage.close()


async def test_a_numbered_failed_file_goes_back_to_its_former_name_and_inbox(world: World) -> None:
    await world.fail("sub/a.mp3", place="sub/a (2).mp3", inbox="music")
    (result,) = await world.retry("failed/sub/a (2).mp3")
    assert (result.inbox, result.back_as) == ("music", b"sub/a.mp3")
    assert world.files("music") == ["sub/a.mp3"]
    assert world.files("failed") == world.files("talks") == []


@pytest.mark.parametrize(
    "said", ["failed/a.mp3", "failed/a.mp3.error.json", "talks/a.mp3", "done/../failed/a.mp3"]
)
async def test_a_failed_file_may_be_named_in_each_of_these_ways(world: World, said: str) -> None:
    await world.fail("a.mp3")
    (result,) = await world.retry(said)
    assert result.back_as == b"a.mp3", result.text


async def test_a_path_through_links_names_it_too(world: World, tmp_path: Path) -> None:
    await world.fail("a.mp3")
    (tmp_path / "real").mkdir()
    real = world.home / "elsewhere"
    (world.home / "failed").rename(real)
    (world.home / "failed").symlink_to(real)
    (result,) = await world.retry("elsewhere/a.mp3")
    assert result.back_as == b"a.mp3", result.text


async def test_a_file_that_the_journal_does_not_know_goes_back_all_the_same(world: World) -> None:
    (world.home / "failed" / "sub").mkdir()
    (world.home / "failed" / "sub" / "stray.mp3").write_bytes(b"stray")
    (result,) = await world.retry("failed/sub/stray.mp3")
    assert (result.inbox, result.back_as) == ("talks", b"sub/stray.mp3")


async def test_all_takes_what_is_known_and_what_has_a_report_but_no_strangers(world: World) -> None:
    await world.fail("a.mp3")
    await world.fail("b.mp3", inbox="music")
    lost = await world.job("c.mp3", inbox="music")
    world.stand("c.mp3", inbox="music", job=lost)
    (world.home / "music" / "c.mp3").unlink()
    (world.home / "failed" / "notes.txt").write_text("mine")
    assert await world.retry_all() == {b"a.mp3": b"a.mp3", b"b.mp3": b"b.mp3", b"c.mp3": b"c.mp3"}
    assert world.files("talks") == ["a.mp3"]
    assert world.files("music") == ["b.mp3", "c.mp3"]
    assert world.files("failed") == ["notes.txt"]
    assert await world.retry_all() == {}


async def test_of_two_failures_under_one_name_each_file_goes_back_once(world: World) -> None:
    await world.fail("a.mp3")
    await world.fail("a.mp3", place="a (2).mp3")
    assert await world.retry_all() == {b"a.mp3": b"a (2).mp3", b"a (2).mp3": b"a.mp3"}
    assert world.files("failed") == []


async def test_the_last_failure_at_a_place_says_where_its_file_came_from(world: World) -> None:
    await world.fail("a (2).mp3")
    await world.retry("failed/a (2).mp3")
    await world.fail("a.mp3", place="a (2).mp3")
    assert await world.retry_all() == {b"a (2).mp3": b"a.mp3"}


async def test_a_failed_file_that_is_gone_is_said_unless_it_went_round_again(world: World) -> None:
    await world.fail("gone.mp3")
    await world.fail("again.mp3")
    await world.fail("back.mp3")
    for path in (world.home / "failed").iterdir():
        path.unlink()
    await world.job("again.mp3")
    (world.home / "talks" / "again.mp3").unlink()
    (world.home / "talks" / "back.mp3").write_bytes(b"put back by hand, and not settled")
    assert await world.retry_all() == {b"gone.mp3": "it is not in the failed folder any more"}
    (gone, again_) = await world.retry("failed/gone.mp3", "failed/again.mp3")
    assert gone.text == "it is not in the failed folder any more"
    assert again_.text == "it is not in the failed folder any more; since then it is queued"


async def test_what_is_not_failed_is_told_what_it_is(world: World) -> None:
    plan = Plan(outcome=Outcome.DONE, folder=b"", original=b"done.mp3", sidecars=())
    await world.moved(await world.job("done.mp3"), Started(), Planned(plan), Delivered())
    await world.moved(await world.job("left.mp3"), Withdrawn("vanished"))
    await world.job("queued.mp3")
    names = ("done.mp3", "left.mp3", "queued.mp3", "unknown.mp3")
    texts = [result.text for result in await world.retry(*(f"talks/{name}" for name in names))]
    assert texts == [
        "it is not failed: it was translated",
        "it is not failed: it went away or changed before it was translated",
        "it is not failed: it is queued",
        "watcherd knows of no failed file by that name",
    ]
    others = await world.retry("done/done.mp3", "failed/none.mp3", "/elsewhere/a.mp3", "failed")
    assert [result.text for result in others] == [
        "it is not failed: it was translated",
        "there is no such file",
        "it lies in no inbox and in no failed folder",
        "it lies in no inbox and in no failed folder",
    ]


async def test_fresh_forgets_what_was_answered_for_the_content_under_any_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.fail("a.mp3")
    twin = await world.job("twin.mp3")
    sha256 = hashlib.sha256(b"a.mp3").hexdigest()
    plan = Plan(outcome=Outcome.DONE, folder=b"", original=b"twin.mp3", sidecars=())
    await world.moved(twin, Started(), Recognised("q", sha256, "settings"), Planned(plan), Delivered())
    forgotten: list[str] = []

    async def forget(_: Journal, content: str) -> None:
        forgotten.append(content)

    monkeypatch.setattr(Journal, "forget_replies", forget)  # what it does is shown by its own test
    await world.retry("failed/a.mp3", fresh=True)
    assert forgotten == [sha256]


async def test_an_inbox_whose_storage_does_not_answer_delays_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "PATIENCE", 0.2)
    await world.fail("a.mp3")
    await world.fail("b.mp3", inbox="music")
    for _ in range(4):
        world.storages["talks"].submit(time.sleep, 5)
    try:
        async with asyncio.timeout(4):
            results = await world.again.everything(fresh=False)
    finally:
        world.storages["talks"].close()
    assert {result.inbox: result.back_as or result.text for result in results} == {
        "talks": "the storage is not answering; try again later",
        "music": b"b.mp3",
    }


async def test_a_missing_failed_folder_is_said_where_files_should_be_in_it(world: World) -> None:
    await world.fail("a.mp3")
    (world.home / "failed").rename(world.home / "unmounted")
    results = await world.again.everything(fresh=False)
    assert [result.inbox for result in results] == ["talks"]
    assert "No such file or directory" in results[0].text
