"""Files and folders swapped for links and for others behind our back: nothing outside is read or written."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from pathlib import Path

import pytest

from tests.end_to_end.hostile import digest, put, speech, tree
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Request, Respond
from tests.waiting import wait_until

POLLING = {"watch": "poll", "poll_interval": "1h", "rescan": "1h"}  # nothing is seen after the first scan


def swap(path: Path, target: Path, *, kept: Path) -> None:
    """Move a file or folder away, and put a link in its place."""
    path.rename(kept)
    path.symlink_to(target)


def unswap(path: Path, *, kept: Path) -> None:
    path.unlink()
    kept.rename(path)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Somebody's folder with files of the names that are looked for in the inbox."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("talk.mp3", "secret.mp3"):
        (folder / name).write_bytes(speech("secret " + name))
    return folder


def assert_untouched(outside: Path, requests: tuple[Request, ...]) -> None:
    """Nothing has come into that folder or out of it, and nothing in it was sent."""
    assert tree(outside) == {name: speech("secret " + name.decode()) for name in (b"talk.mp3", b"secret.mp3")}
    assert not {request.sha256 for request in requests} & {
        digest(one) for one in tree(outside).values() if isinstance(one, bytes)
    }


def test_what_is_swapped_while_the_endpoint_answers_is_never_moved_for_the_original(
    tmp_path: Path, endpoint: LocalEndpoint, outside: Path
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    content = configuration(tmp_path, endpoint=endpoint, endpoint_keys={"concurrency": 9})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        inbox = daemon.inbox
        (daemon.done / "target").mkdir()
        (daemon.failed / "target").mkdir()
        endpoint.always(Respond(hold=True))
        alone = ("link.mp3", "other.mp3", "gone.mp3", "folder.mp3", "fifo.mp3", "grown.mp3")
        names = (*alone, "parent/talk.mp3", "moved/talk.mp3", "target/talk.mp3")
        for name in names:
            (inbox / name).parent.mkdir(exist_ok=True)
            put(inbox, name.encode(), speech(name))
        wait_until(lambda: endpoint.held == len(names), timeout=30)

        swap(inbox / "link.mp3", outside / "secret.mp3", kept=kept / "link.mp3")
        (kept / "new.mp3").write_bytes(speech("another one"))
        (kept / "new.mp3").replace(inbox / "other.mp3")
        for name in ("gone.mp3", "folder.mp3", "fifo.mp3"):
            (inbox / name).rename(kept / name)
        (inbox / "folder.mp3").mkdir()
        os.mkfifo(inbox / "fifo.mp3")
        with (inbox / "grown.mp3").open("ab") as file:
            file.write(b"and more")
        swap(inbox / "parent", outside, kept=kept / "parent")
        swap(inbox / "moved", kept / "moved", kept=kept / "moved")
        swap(daemon.done / "target", outside, kept=kept / "target")
        endpoint.always(Respond())
        endpoint.release()

        for name in (*alone, "parent/talk.mp3", "moved/talk.mp3"):
            daemon.event("job.skipped", file=name)
        for name in ("other.mp3", "grown.mp3"):
            daemon.event("job.done", file=name)
        waiting = daemon.event("job.waiting", file="target/talk.mp3")
        assert waiting["fault"] == "folder_is_a_link"
        assert_untouched(outside, endpoint.requests)
        assert (inbox / "target" / "talk.mp3").read_bytes() == speech("target/talk.mp3")
        unswap(daemon.done / "target", kept=kept / "target")
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGHUP)  # else in ten seconds
        daemon.event("job.done", file="target/talk.mp3")

    assert_untouched(outside, endpoint.requests)
    left = {name: speech(name) for name in ("link.mp3", "gone.mp3", "folder.mp3", "fifo.mp3")}
    left |= {f"{name}/talk.mp3": speech(f"{name}/talk.mp3") for name in ("parent", "moved")}
    assert tree(kept) == {name.encode(): one for name, one in left.items()}
    assert tree(inbox) == {
        b"link.mp3": stat.S_IFLNK,
        b"fifo.mp3": stat.S_IFIFO,
        b"parent": stat.S_IFLNK,
        b"moved": stat.S_IFLNK,
    }
    originals = {name: one for name, one in tree(daemon.done).items() if name.endswith(b".mp3")}
    assert originals == {
        b"other.mp3": speech("another one"),
        b"grown.mp3": speech("grown.mp3") + b"and more",
        b"target/talk.mp3": speech("target/talk.mp3"),
    }
    assert len(endpoint.requests) == len(names) + 2, "only what is another file now was sent again"


def test_what_is_swapped_after_it_settled_is_not_opened(
    tmp_path: Path, endpoint: LocalEndpoint, outside: Path
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    content = configuration(
        tmp_path, endpoint=endpoint, endpoint_keys={"concurrency": 1}, folder_keys=POLLING
    )
    daemon = RunningDaemon(tmp_path, content, key=endpoint.key)
    early = ("0 first.mp3", "0 second.mp3")
    late = ("1 fifo.mp3", "1 folder.mp3", "1 link.mp3", "1 other.mp3", "1/talk.mp3", "2/talk.mp3")
    daemon.inbox.mkdir()
    for name in (*early, *late):
        put(daemon.inbox, name.encode(), speech(name))
    endpoint.always(Respond(hold=True))
    with daemon:
        wait_until(lambda: len(daemon.found("job.settled")) == len(early) + len(late))
        wait_until(lambda: endpoint.held == 1)
        assert len(daemon.found("job.started")) <= len(early)
        swap(daemon.inbox / "1 link.mp3", outside / "secret.mp3", kept=kept / "link.mp3")
        swap(daemon.inbox / "1", outside, kept=kept / "1")
        swap(daemon.inbox / "2", kept / "2", kept=kept / "2")
        (daemon.inbox / "1 folder.mp3").rename(kept / "folder.mp3")
        (daemon.inbox / "1 folder.mp3").mkdir()
        (daemon.inbox / "1 fifo.mp3").rename(kept / "fifo.mp3")
        os.mkfifo(daemon.inbox / "1 fifo.mp3")
        shutil.copyfile(daemon.inbox / "1 other.mp3", kept / "new.mp3")  # the same bytes in another file
        (kept / "new.mp3").replace(daemon.inbox / "1 other.mp3")
        endpoint.always(Respond())
        endpoint.release()
        for name in late:
            daemon.event("job.skipped", file=name)
        for name in early:
            daemon.event("job.done", file=name)
    assert_untouched(outside, endpoint.requests)
    assert {request.sha256 for request in endpoint.requests} == {digest(speech(name)) for name in early}
    assert tree(kept) == {
        b"link.mp3": speech("1 link.mp3"),
        b"folder.mp3": speech("1 folder.mp3"),
        b"fifo.mp3": speech("1 fifo.mp3"),
        b"1/talk.mp3": speech("1/talk.mp3"),
        b"2/talk.mp3": speech("2/talk.mp3"),
    }


@pytest.mark.slow
def test_links_of_the_configuration_are_followed_and_later_ones_refused_until_they_are_gone(
    tmp_path: Path, endpoint: LocalEndpoint, outside: Path
) -> None:
    for name in ("disk", "kept", "disk/done", "disk/done/planted", "disk/inbox"):
        (tmp_path / name).mkdir()
    kept = tmp_path / "kept"
    (tmp_path / "link").symlink_to("disk")
    (tmp_path / "inbox").symlink_to(tmp_path / "disk" / "inbox")
    (tmp_path / "disk" / "done" / "planted").rmdir()
    (tmp_path / "disk" / "done" / "planted").symlink_to(outside)  # before the daemon's start
    content = configuration(
        tmp_path, endpoint=endpoint, folder_keys={"done": str(tmp_path / "link" / "done")}
    )
    done, inbox = tmp_path / "disk" / "done", tmp_path / "disk" / "inbox"
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        put(inbox, b"first.mp3", speech("first"))
        daemon.event("job.done", file="first.mp3")
        assert (done / "first.srt").exists()

        put(inbox, b"planted/talk.mp3", speech("planted"))
        assert daemon.event("job.waiting", file="planted/talk.mp3")["fault"] == "folder_is_a_link"
        (done / "planted").unlink()
        swap(done, outside, kept=kept / "done")
        put(inbox, b"second.mp3", speech("second"))
        waiting = daemon.event("job.waiting", file="second.mp3")
        assert waiting["fault"] == "folder_is_a_link"
        assert str(done) in waiting["message"]

        (outside / "talk.mp3").touch()  # newer than the inbox's watch
        swap(inbox, outside, kept=kept / "inbox")
        troubled = daemon.event("inbox.troubled")
        assert str(inbox) in troubled["message"]
        assert "folder" in troubled["hint"]
        unswap(inbox, kept=kept / "inbox")
        daemon.event("inbox.recovered")

        unswap(done, kept=kept / "done")
        for name in ("planted/talk.mp3", "second.mp3"):
            daemon.event("job.done", file=name)  # without a restart or a word from anybody
        assert not list(daemon.failed.iterdir())
    assert_untouched(outside, endpoint.requests)
    assert len(endpoint.requests) == 3
    assert (done / "planted" / "talk.srt").exists()


def test_a_done_folder_in_the_inbox_that_is_a_link_from_the_start_is_refused_and_never_scanned(
    tmp_path: Path, endpoint: LocalEndpoint, outside: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "done").symlink_to(outside)
    targets = {"done": str(inbox / "done"), "failed": str(inbox / "failed")}
    content = configuration(tmp_path, endpoint=endpoint, folder_keys=targets)
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        put(inbox, b"talk.mp3", speech("talk"))
        assert daemon.event("job.waiting")["fault"] == "folder_is_a_link"
        assert_untouched(outside, endpoint.requests)
        (inbox / "done").unlink()
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGHUP)  # else in ten seconds
        daemon.event("job.done")
        put(inbox, b"last.mp3", speech("last"))
        daemon.process.send_signal(signal.SIGHUP)  # scans the inbox
        daemon.event("job.done", file="last.mp3")
        assert (inbox / "done" / "talk.srt").exists()
        settled = [event["file"] for event in daemon.found("job.settled")]
        assert settled == ["talk.mp3", "last.mp3"], "what was delivered has not arrived again"
    assert_untouched(outside, endpoint.requests)
