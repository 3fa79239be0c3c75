"""What a delivery leaves on a real file system, and what it does not touch."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Container, Iterator
from pathlib import Path

import pytest

from tests.delivery.world import JOB, SPEECH, STRANGER, Machine, World
from watcherd.delivery import folders, publish
from watcherd.delivery.files import Changed, Delivered, NameTaken, Vanished, choose, clear_report, sweep
from watcherd.delivery.report import KIND
from watcherd.delivery.sidecars import Sidecars
from watcherd.faults import FaultError, Remedy, Scope
from watcherd.job import Outcome, Plan
from watcherd.place import Place

REPORT = f'{{"kind": "{KIND}"}}'.encode()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def umask() -> Iterator[None]:
    old = os.umask(0o027)
    yield
    os.umask(old)


def test_the_original_is_moved_and_not_copied(world: World) -> None:
    inode = world.original.stat().st_ino
    assert world.deliver() == Delivered()
    world.assert_delivered()
    assert world.arrived.stat().st_ino == inode


# The file that settled -----------------------------------------------------------------------------


def test_a_file_that_changed_is_left_where_it_is(world: World) -> None:
    world.original.write_bytes(STRANGER)
    assert world.deliver() == Changed()
    assert world.files(world.inbox) == {"sub/talk.mp3": STRANGER}
    assert world.files(world.target) == {}


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_what_is_no_plain_file_any_more_has_changed(world: World, kind: str) -> None:
    world.original.unlink()
    match kind:
        case "link":
            world.original.symlink_to("/etc/hostname")
        case "folder":
            world.original.mkdir()
        case _:
            os.mkfifo(world.original)
    assert world.deliver() == Changed()
    assert os.path.lexists(world.original)
    assert world.files(world.target) == {}


def test_a_file_whose_folder_has_gone_has_vanished(world: World) -> None:
    (world.inbox / "sub").rename(world.inbox / "away")
    assert world.deliver() == Vanished()
    assert world.files(world.target) == {}


def test_a_link_in_the_place_of_its_folder_is_not_followed(world: World) -> None:
    (world.inbox / "sub").rename(world.root / "elsewhere")
    (world.inbox / "sub").symlink_to(world.root / "elsewhere")
    assert world.deliver() == Vanished()
    assert (world.root / "elsewhere" / "talk.mp3").read_bytes() == SPEECH


def test_a_change_that_keeps_size_and_time_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def persist(_: int) -> None:
        if world.original.exists():
            world.original.write_bytes(SPEECH.upper())
            os.utime(world.original, ns=(1, world.identity.mtime_ns))

    monkeypatch.setattr(folders, "persist", persist)
    assert world.deliver() == Changed()
    assert world.files(world.inbox) == {"sub/talk.mp3": SPEECH.upper()}
    assert world.files(world.target) == {}


def test_a_copy_is_given_up_when_its_original_was_written_to_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(devices_differ=True)
    machine.install(monkeypatch)

    def persist(_: int) -> None:
        if world.arrived.exists():
            world.original.write_bytes(STRANGER)

    monkeypatch.setattr(folders, "persist", persist)
    assert world.deliver() == Changed()
    assert world.files(world.inbox) == {"sub/talk.mp3": STRANGER}
    assert world.files(world.target) == {}


# Names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [b"-rf\n'\".mp3", b"\xff\xfe.mp3", "é".encode() * 125 + b".mp3", b"no extension"]
)
def test_names_may_be_any_bytes(tmp_path: Path, name: bytes) -> None:
    world = World(tmp_path, name=name)
    assert world.deliver() == Delivered()
    world.assert_delivered()
    assert set(os.listdir(bytes(world.target / "sub"))) == {name, *world.contents, b"other.srt"}


def test_a_sidecar_of_somebody_else_is_not_replaced(world: World) -> None:
    taken = world.target / "sub" / "talk.vtt"
    taken.write_bytes(STRANGER)
    assert world.deliver() == NameTaken(b"talk.vtt")
    assert world.files(world.target) == {"sub/talk.vtt": STRANGER}
    assert world.files(world.inbox) == {"sub/talk.mp3": SPEECH}


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
@pytest.mark.parametrize("name", ["talk.srt", "talk.mp3"])
def test_whatever_has_the_name_has_it(world: World, kind: str, name: str) -> None:
    taken = world.target / "sub" / name
    match kind:
        case "folder":
            taken.mkdir()
        case "link":
            taken.symlink_to("/nowhere")
        case _:
            os.mkfifo(taken)
    assert world.deliver() == NameTaken(name.encode())
    assert os.path.lexists(taken)
    assert world.files(world.inbox) == {"sub/talk.mp3": SPEECH}


def test_a_link_to_the_very_same_content_is_not_ours(world: World) -> None:
    subtitle = world.root / "subtitle"
    subtitle.write_bytes(world.contents[b"talk.srt"])
    (world.target / "sub" / "talk.srt").symlink_to(subtitle)
    assert world.deliver() == NameTaken(b"talk.srt")


def test_an_empty_file_of_somebody_else_is_not_taken_for_a_placeholder(world: World) -> None:
    (world.target / "sub" / "talk.mp3").touch()
    assert world.deliver() == NameTaken(b"talk.mp3")
    assert world.files(world.target) == {"sub/talk.mp3": b""}


def test_a_sidecar_that_somebody_wrote_to_is_not_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subtitle = world.target / "sub" / "talk.srt"
    real = publish.move

    def move(from_fd: int, name: bytes, to_fd: int, new: bytes) -> bool:
        if new == b"talk.mp3":
            subtitle.write_bytes(STRANGER)
            world.original.write_bytes(STRANGER)
        return real(from_fd, name, to_fd, new)

    monkeypatch.setattr(publish, "move", move)
    assert world.deliver() == Changed()
    assert world.files(world.target) == {"sub/talk.srt": STRANGER}


# Folders and modes ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("umask")
def test_sidecars_are_made_as_the_umask_says(world: World) -> None:
    world.deliver()
    assert stat.S_IMODE((world.target / "sub" / "talk.srt").stat().st_mode) == 0o640


@pytest.mark.usefixtures("umask")
def test_missing_folders_are_made_like_their_parents(world: World) -> None:
    world.target.chmod(0o2775)
    (world.target / "sub" / "other.srt").unlink()
    (world.target / "sub").rmdir()
    group = os.getgroups()[0] if os.getuid() else 12345
    os.chown(world.target, -1, group)
    world.target.chmod(0o2775)
    world.deliver()
    made = (world.target / "sub").stat()
    assert stat.S_IMODE(made.st_mode) == 0o2775
    assert (world.target / "sub" / "talk.srt").stat().st_gid == made.st_gid == group


def test_a_missing_root_is_not_made(world: World) -> None:
    world.target = world.root / "not mounted"
    with pytest.raises(FileNotFoundError):
        world.deliver()
    assert world.original.read_bytes() == SPEECH
    assert not world.target.exists()


def test_a_missing_root_directly_in_the_inbox_is_made(world: World) -> None:
    world.target = world.inbox / "done"
    assert world.deliver() == Delivered()
    assert (world.target / "sub" / "talk.mp3").read_bytes() == SPEECH


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_or_file_in_a_folders_place_is_an_inbox_fault(world: World, kind: str) -> None:
    folder = world.target / "sub"
    folder.rename(world.root / "elsewhere")
    if kind == "link":
        folder.symlink_to(world.root / "elsewhere")
    else:
        folder.write_bytes(STRANGER)
    for attempt in (world.deliver, lambda: chosen(world.target, b"sub")):
        with pytest.raises(FaultError) as caught:
            attempt()
        fault = caught.value.fault
        assert (fault.scope, fault.remedy) == (Scope.INBOX, Remedy.PAUSE)
        assert fault.code == ("folder_is_a_link" if kind == "link" else "folder_in_the_way")
        assert f"{folder} is a {kind}" in fault.message
    assert world.original.read_bytes() == SPEECH
    assert {path.name for path in (world.root / "elsewhere").iterdir()} == {"other.srt"}


def test_a_root_that_is_a_link_is_what_the_configuration_says(world: World) -> None:
    link = world.root / "link"
    link.symlink_to(world.target)
    world.target = link
    assert world.deliver() == Delivered()


@pytest.mark.parametrize("folder", [b"..", b"sub/../..", b"/etc", b"sub//x"])
def test_a_path_that_climbs_is_refused(world: World, folder: bytes) -> None:
    with pytest.raises(ValueError, match="not the name of a folder"):
        chosen(world.target, folder)


def test_a_copy_has_the_originals_mode_but_never_runs_as_somebody_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Machine(devices_differ=True).install(monkeypatch)
    world.original.chmod(0o6751)
    world.plan_anew()
    assert world.deliver() == Delivered()
    assert stat.S_IMODE(world.arrived.stat().st_mode) == 0o751


# What a stranger planted under our own names -------------------------------------------------------


@pytest.mark.parametrize("number", range(5))
def test_nothing_is_written_through_a_link_under_the_name_of_a_temporary_file(
    world: World, number: int
) -> None:
    victim = world.root / "victim"
    victim.write_bytes(STRANGER)
    (world.target / "sub" / f".watcherd-{JOB}-{number}.tmp").symlink_to(victim)
    assert world.deliver() == Delivered()
    assert victim.read_bytes() == STRANGER
    assert world.deliver() == Delivered()  # which removes what the first call does not look for
    world.assert_delivered()
    assert victim.read_bytes() == STRANGER


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_stands_under_the_name_of_an_original_put_aside_gets_a_name_of_its_own(
    world: World, kind: str
) -> None:
    planted = world.inbox / "sub" / f".watcherd-{JOB}.original"
    if kind == "file":
        planted.write_bytes(STRANGER)
    else:
        (world.root / "victim").write_bytes(STRANGER)
        planted.symlink_to(world.root / "victim")
    world.fresh = False
    assert world.deliver() == Delivered()
    assert world.files(world.target) == world.delivered
    assert world.files(world.inbox) == {"sub/talk (2).mp3": STRANGER}
    assert (world.inbox / "sub" / "talk (2).mp3").is_symlink() == (kind == "link")


# Refusals ------------------------------------------------------------------------------------------


def test_a_rename_that_is_not_permitted_leaves_no_placeholder(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(publish, "_renameat2", refuse)
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(PermissionError):
        world.deliver()
    assert world.files(world.target) == {}
    assert world.files(world.inbox) == {"sub/talk.mp3": SPEECH}


@pytest.mark.parametrize("code", [0, errno.EINVAL, errno.EPERM])
def test_nothing_is_ever_published_over_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    if code:
        monkeypatch.setattr(publish, "_renameat2", _answering(code))
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileExistsError):
            publish.move(fd, b"a", fd, b"b")
    finally:
        os.close(fd)
    assert (tmp_path / "b").read_bytes() == b"b"
    assert (tmp_path / "a").read_bytes() == b"a"


def _answering(code: int) -> object:
    def renameat2(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return renameat2


def test_a_libc_without_renameat2_falls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_libc", object())
    (tmp_path / "a").write_bytes(b"a")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert publish.move(fd, b"a", fd, b"b") is False
    finally:
        os.close(fd)
    assert (tmp_path / "b").read_bytes() == b"a"


@pytest.mark.parametrize(("code", "raised"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_only_a_file_system_without_fsync_for_folders_is_excused(
    monkeypatch: pytest.MonkeyPatch, code: int, *, raised: bool
) -> None:
    def fsync(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    if raised:
        with pytest.raises(OSError, match="error"):
            folders.persist(0)
    else:
        folders.persist(0)


# Lists, sweeps and old reports ---------------------------------------------------------------------


def chosen(
    target: Path, folder: bytes, *, reserved: Collection[bytes] = (), passed_over: bytes = b""
) -> bytes:
    """The first free one of three names."""

    def plan(taken: Container[bytes]) -> Plan:
        free = next(name for name in (b"\xff.srt", b"other.srt", b"third.srt") if name not in taken)
        return Plan(outcome=Outcome.DONE, folder=folder, original=free, sidecars=())

    return choose(Place(target), folder, plan, reserved=reserved, passed_over=passed_over).original


def test_a_name_is_chosen_that_nothing_has_and_nobody_reserved(world: World) -> None:
    first = b"\xff.srt"
    assert chosen(world.target, b"sub") == first
    assert chosen(world.target, b"sub", reserved={first}) == b"third.srt"
    (world.target / "sub" / os.fsdecode(first)).symlink_to("nowhere")
    assert chosen(world.target, b"sub") == b"third.srt"
    assert chosen(world.target, b"sub", passed_over=first) == first
    assert chosen(world.target, b"sub/none") == first
    assert chosen(world.root / "none", b"", reserved={first}) == b"other.srt"


def test_the_sweep_removes_only_temporary_files_of_jobs_that_are_not_live(world: World) -> None:
    kept = [
        ".watcherd-7-0.tmp",
        ".watcherd-8.original",
        ".watcherd-x-0.tmp",
        "watcherd-8-0.tmp",
        ".watcherd-8-0.tmp~",
    ]
    for name in [*kept, ".watcherd-8-0.tmp", ".watcherd-80-12.tmp"]:
        (world.target / "sub" / name).touch()
    (world.target / "link").symlink_to(world.inbox)
    (world.inbox / ".watcherd-8-0.tmp").touch()
    (world.target / ".watcherd-8-1.tmp").mkdir()
    assert sweep(Place(world.target), is_over=lambda job: job != JOB) == 2
    assert {path.name for path in (world.target / "sub").iterdir()} == {*kept, "other.srt"}
    assert (world.inbox / ".watcherd-8-0.tmp").exists()
    assert sweep(Place(world.target / "link"), is_over=lambda _: True) == 1
    assert sweep(Place(world.root / "none"), is_over=lambda _: True) == 0


def test_the_report_of_a_file_that_was_moved_back_goes(world: World) -> None:
    old = world.target / "sub" / "talk.mp3.error.json"
    old.write_bytes(REPORT)
    assert clear_report(Place(world.target), b"sub/talk.mp3")
    assert not old.exists()
    assert not clear_report(Place(world.target), b"sub/talk.mp3")
    assert not clear_report(Place(world.target), b"none/talk.mp3")
    assert not clear_report(Place(world.root / "none"), b"talk.mp3")


def test_a_report_stays_while_its_original_is_beside_it(world: World) -> None:
    old = world.target / "sub" / "talk.mp3.error.json"
    old.write_bytes(REPORT)
    (world.target / "sub" / "talk.mp3").write_bytes(SPEECH)
    assert not clear_report(Place(world.target), b"sub/talk.mp3")
    assert old.exists()


@pytest.mark.parametrize("content", [b"{}", b"[", b"", b"\xff", b"[" * 100_000, REPORT + b" " * (1 << 20)])
def test_a_file_of_that_name_that_is_no_report_stays(world: World, content: bytes) -> None:
    old = world.target / "sub" / "talk.mp3.error.json"
    old.write_bytes(content)
    assert not clear_report(Place(world.target), b"sub/talk.mp3")
    assert old.read_bytes() == content


def test_a_report_is_not_sought_through_a_link(world: World) -> None:
    (world.target / "sub" / "talk.mp3.error.json").write_bytes(REPORT)
    (world.target / "link").symlink_to("sub")
    assert not clear_report(Place(world.target), b"link/talk.mp3")


def test_a_name_too_long_to_have_a_report_beside_it_has_none(world: World) -> None:
    assert not clear_report(Place(world.target), b"sub/" + b"x" * 251 + b".mp3")


def test_a_first_delivery_by_links_keeps_what_stands_under_the_name_of_an_original_put_aside(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Machine(refuse_flag=errno.EINVAL).install(monkeypatch)
    (world.inbox / "sub" / f".watcherd-{JOB}.original").write_bytes(STRANGER)
    assert world.deliver() == Delivered()
    assert world.files(world.target) == world.delivered
    assert STRANGER in world.files(world.inbox).values()


@pytest.mark.parametrize("known", [True, False], ids=["links", "no links"])
def test_the_mark_of_a_begun_move_is_no_file_of_its_own_where_links_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sidecars = Sidecars(folder_fd=fd, job_id=7, contents={b"talk.srt": b"text"}, fresh=True)
        assert sidecars.put(2, b"talk.srt")
        if not known:
            monkeypatch.setattr(os, "link", refuse)
        sidecars.mark(0)
        mark, sidecar = tmp_path / ".watcherd-7-0.tmp", tmp_path / "talk.srt"
        assert mark.samefile(sidecar) == known
        sidecars.clean(0)
    finally:
        os.close(fd)
    assert [path.name for path in tmp_path.iterdir()] == ["talk.srt"]
    assert sidecar.read_bytes() == b"text"
