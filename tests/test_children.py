"""Children are started one way: they answer, carry descriptors, keep no secrets, and never outlive us."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import eventually
from watcherd import children
from watcherd.children import Child, ChildDiedError, ChildTimeoutError

MIB = 1 << 20


@pytest.fixture
async def child() -> AsyncIterator[Child]:
    child = await children.start("tests.echo_child", "--one", memory=512 * MIB)
    yield child
    await child.stop(grace=0)
    assert not psutil.pid_exists(child.pid)


async def test_a_child_answers_one_question_after_another(child: Child) -> None:
    for number in range(3):
        answer = await child.ask({"do": "echo", "text": f"ü\n{number}"}, deadline=10)
        assert answer == {"text": f"ü\n{number}", "arguments": ["--one"]}
    assert child.alive


async def test_a_long_question_and_a_long_answer_come_through_whole(child: Child) -> None:
    text = "x" * 900_000
    assert (await child.ask({"do": "echo", "text": text}, deadline=10))["text"] == text


async def test_descriptors_travel_with_a_question_and_are_closed_after_it(
    child: Child, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("first")
    (tmp_path / "b").write_text("second")
    before = (await child.ask({"do": "descriptors"}, deadline=10))["count"]
    fds = [os.open(tmp_path / name, os.O_RDONLY) for name in ("a", "b")]
    try:
        for _ in range(3):
            assert await child.ask({"do": "read"}, fds=fds, deadline=10) == {"texts": ["first", "second"]}
    finally:
        for fd in fds:
            os.close(fd)
    assert (await child.ask({"do": "descriptors"}, deadline=10))["count"] == before


async def test_no_secret_of_the_parents_environment_reaches_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMETAPI_KEY", "sk-secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    child = await children.start("tests.echo_child", memory=None, environ={"EXTRA": "1"})
    environ = (await child.ask({"do": "environ"}, deadline=10))["environ"]
    initial = Path(f"/proc/{child.pid}/environ").read_bytes()
    await child.stop(grace=5)
    assert "sk-secret" not in str(environ)
    assert b"sk-secret" not in initial
    assert "CREDENTIALS_DIRECTORY" not in environ
    assert environ["LC_ALL"] == "C.UTF-8"
    assert environ["EXTRA"] == "1"
    assert environ["PATH"] == os.environ["PATH"]


async def test_nothing_is_imported_from_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    child = await children.start("tests.echo_child", memory=None)
    path = (await child.ask({"do": "limits"}, deadline=10))["path"]
    await child.stop(grace=5)
    assert "" not in path
    assert str(tmp_path) not in path


async def test_limits_hold_and_the_session_is_the_childs_own(child: Child) -> None:
    answer = await child.ask({"do": "limits"}, deadline=10)
    limits = {line[:26].strip(): line[26:].split() for line in answer["limits"].splitlines()}
    assert limits["Max core file size"][:2] == ["0", "0"]
    assert limits["Max address space"][:2] == [str(512 * MIB)] * 2
    assert answer["session"] == child.pid
    assert answer["parent"] == os.getpid()


async def test_memory_beyond_the_cap_is_refused_with_a_traceback_as_last_words(child: Child) -> None:
    assert await child.ask({"do": "eat", "size": MIB}, deadline=10) == {"length": MIB}
    with pytest.raises(ChildDiedError) as caught:
        await child.ask({"do": "eat", "size": 600 * MIB}, deadline=10)
    assert caught.value.returncode == 1
    assert caught.value.last_words.endswith("MemoryError")


async def test_no_cap_is_no_cap() -> None:
    child = await children.start("tests.echo_child", memory=None)
    limits = (await child.ask({"do": "limits"}, deadline=10))["limits"]
    await child.stop(grace=5)
    assert "Max address space         unlimited" in limits


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signals_meant_for_the_parent_are_not_heard(child: Child, number: int) -> None:
    assert await child.ask({"do": "signal", "number": number}, deadline=10) == {"alive": True}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_crash_is_reported_with_its_signal(child: Child, number: int) -> None:
    with pytest.raises(ChildDiedError, match=f"tests.echo_child was ended by signal {int(number)}") as caught:
        await child.ask({"do": "signal", "number": number}, deadline=10)
    assert caught.value.returncode == -number
    assert not child.alive


async def test_a_crash_in_c_leaves_the_stack_as_last_words(child: Child) -> None:
    with pytest.raises(ChildDiedError) as caught:
        await child.ask({"do": "signal", "number": signal.SIGSEGV}, deadline=10)
    assert "Fatal Python error: Segmentation fault" in caught.value.last_words


async def test_an_exit_is_reported_with_its_code(child: Child) -> None:
    with pytest.raises(ChildDiedError, match="ended with exit code 3"):
        await child.ask({"do": "exit", "code": 3}, deadline=10)


async def test_a_dead_child_cannot_be_asked_again(child: Child) -> None:
    child.kill()
    for _ in range(2):
        with pytest.raises(ChildDiedError):
            await child.ask({"do": "echo"}, deadline=10)


async def test_a_module_that_does_not_exist_dies_with_pythons_words() -> None:
    child = await children.start("watcherd.no_such_room", memory=None)
    with pytest.raises(ChildDiedError) as caught:
        await child.ask({"do": "echo"}, deadline=10)
    assert "No module named watcherd.no_such_room" in caught.value.last_words


async def test_a_missed_deadline_kills_the_child(child: Child) -> None:
    with pytest.raises(ChildTimeoutError, match=r"did not answer within 0\.05 s") as caught:
        await child.ask({"do": "sleep", "seconds": 60}, deadline=0.05)
    assert not caught.value.stuck
    assert not child.alive
    assert not psutil.pid_exists(child.pid)


async def test_a_cancelled_question_kills_the_child(child: Child) -> None:
    question = asyncio.create_task(child.ask({"do": "sleep", "seconds": 60}, deadline=60))
    await asyncio.sleep(0)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
    assert not child.alive
    await eventually(lambda: not psutil.pid_exists(child.pid))


async def test_two_questions_at_once_are_refused(child: Child) -> None:
    first = asyncio.create_task(child.ask({"do": "sleep", "seconds": 0.2}, deadline=10))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one question at a time"):
        await child.ask({"do": "echo"}, deadline=10)
    assert await first == {}


async def test_an_answer_that_is_no_object_is_a_dead_child(child: Child) -> None:
    with pytest.raises(ChildDiedError):
        await child.ask({"do": "nonsense"}, deadline=10)
    assert not child.alive


async def test_an_answer_beyond_the_limit_is_a_dead_child(child: Child) -> None:
    with pytest.raises(ChildDiedError):
        await child.ask({"do": "huge", "size": children.LARGEST_MESSAGE}, deadline=10)


async def test_prints_never_break_the_protocol_and_the_last_words_are_bounded(child: Child) -> None:
    assert await child.ask({"do": "print", "times": 20_000}, deadline=10) == {}
    await eventually(lambda: child.last_words.endswith("last words"))
    assert len(child.last_words) <= children.LAST_WORDS


async def test_a_childs_own_standard_input_is_empty(child: Child) -> None:
    assert await child.ask({"do": "stdin"}, deadline=10) == {"stdin": ""}


async def test_stopping_lets_an_idle_child_leave_by_itself(child: Child) -> None:
    await child.ask({"do": "echo"}, deadline=10)
    started = time.monotonic()
    await child.stop(grace=30)
    assert time.monotonic() - started < 10
    assert child._process.returncode == 0
    await child.stop(grace=30)


async def test_stopping_kills_a_deaf_child_after_the_grace() -> None:
    child = await children.start("tests.echo_child", "--deaf", memory=None)
    await child.stop(grace=0.3)
    assert child._process.returncode == -signal.SIGKILL


async def test_a_child_dies_with_a_killed_parent_though_it_is_busy() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.orphan_parent", stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    orphan = psutil.Process(int(await parent.stdout.readline()))
    assert orphan.is_running()
    parent.kill()
    await parent.wait()
    await eventually(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)


async def test_a_child_that_finds_its_parent_gone_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    child = await children.start("tests.echo_child", memory=None)
    with pytest.raises(ChildDiedError):
        await child.ask({"do": "echo"}, deadline=10)
    assert child._process.returncode == 0


async def test_twenty_children_leave_no_descriptor_and_no_zombie_behind() -> None:
    async def one() -> None:
        child = await children.start("tests.echo_child", memory=None)
        await child.ask({"do": "echo"}, deadline=30)
        await child.stop(grace=10)

    await one()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        await asyncio.gather(*(one() for _ in range(4)))
    assert len(os.listdir("/proc/self/fd")) == before
    assert not psutil.Process().children()


async def test_a_child_that_does_not_run_is_given_up_long_before_its_deadline(child: Child) -> None:
    with pytest.raises(ChildTimeoutError) as caught:
        await child.ask({"do": "sleep", "seconds": 60}, deadline=50, patience=0.2)
    assert caught.value.stuck
    assert not child.alive


async def test_a_child_that_works_for_long_is_not_taken_for_one_that_sleeps(child: Child) -> None:
    assert await child.ask({"do": "spin", "seconds": 2}, deadline=30, patience=0.5) == {}
