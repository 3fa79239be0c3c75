from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from tests.inbox.support import eventually, never
from watcherd import pulse
from watcherd.faults import FaultError, Scope
from watcherd.inbox.storage import SIZE, Storage


def alive(name: str) -> int:
    return sum(1 for thread in threading.enumerate() if thread.name == f"storage {name}")


async def test_a_call_runs_in_another_thread_and_returns_its_value() -> None:
    storage = Storage("one")
    thread = await storage.call(threading.current_thread)
    assert thread is not threading.current_thread()
    assert thread.daemon
    assert await storage.call(int, "12", base=8) == 10
    storage.close()


async def test_an_error_comes_back_to_the_caller() -> None:
    storage = Storage("errors")
    with pytest.raises(FileNotFoundError):
        await storage.call(open, "/does/not/exist")
    storage.close()


async def test_an_idle_thread_is_used_before_a_new_one_is_made() -> None:
    storage = Storage("reused")
    for _ in range(5):
        await storage.call(int)
        await eventually(lambda: storage._waiting == 1)
    assert alive("reused") == 1
    storage.close()


async def test_calls_that_never_come_back_use_up_the_pool_and_nothing_else() -> None:
    storage, release = Storage("stuck"), threading.Event()
    stuck = [storage.submit(release.wait) for _ in range(SIZE)]
    more = storage.submit(int)
    _, pending = await asyncio.wait({more}, timeout=0.2)
    assert pending
    assert alive("stuck") == SIZE
    release.set()
    assert await more == 0
    assert await asyncio.gather(*stuck) == [True] * SIZE
    storage.close()


async def test_a_cancelled_wait_leaves_its_thread_behind() -> None:
    storage, release = Storage("left"), threading.Event()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await storage.call(release.wait)
    assert time.monotonic() - began < 5
    assert await storage.call(int) == 0
    release.set()
    storage.close()


async def test_a_call_that_was_cancelled_before_it_began_is_not_made() -> None:
    storage, release, made = Storage("skipped", size=1), threading.Event(), threading.Event()
    first, second = storage.submit(release.wait), storage.submit(made.set)
    second.cancel()
    release.set()
    await first
    await storage.call(int)
    assert not made.is_set()
    storage.close()


async def test_threads_end_when_they_have_nothing_to_do_and_come_back_when_they_have() -> None:
    storage = Storage("idle", idle=0.05)
    await storage.call(int)
    await eventually(lambda: alive("idle") == 0)
    assert await storage.call(int) == 0
    storage.close()


async def test_closing_does_not_wait_and_ends_the_threads() -> None:
    storage, release = Storage("closed"), threading.Event()
    stuck = storage.submit(release.wait)
    await storage.call(int)
    began = time.monotonic()
    storage.close()
    assert time.monotonic() - began < 1
    with pytest.raises(RuntimeError, match="closed"):
        await storage.call(int)
    release.set()
    assert await stuck
    await eventually(lambda: alive("closed") == 0)


def test_a_result_for_a_loop_that_is_gone_is_dropped() -> None:
    release = threading.Event()
    storage = Storage("late", idle=0.05)

    async def leave_something_running() -> None:
        storage.submit(release.wait)

    asyncio.run(leave_something_running())
    release.set()
    deadline = time.monotonic() + 10
    while alive("late"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_program_ends_while_a_thread_is_stuck() -> None:
    code = """
import asyncio, threading
from watcherd.inbox.storage import Storage

async def main():
    storage = Storage("stuck")
    storage.submit(threading.Event().wait)
    await storage.call(int)
    storage.close()

asyncio.run(main())
print("ended")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=True)
    assert done.stdout == b"ended\n"


# Storage that falls silent.


async def test_storage_is_silent_while_any_call_makes_no_progress() -> None:
    storage, release = Storage("silent", patience=0.1), threading.Event()
    stuck = storage.submit(release.wait)
    await eventually(lambda: storage.silent)
    assert await storage.call(int) == 0, "the other threads go on"
    await eventually(lambda: storage.silent)
    release.set()
    await stuck
    await eventually(lambda: not storage.silent)
    storage.close()


async def test_a_long_call_that_gets_on_is_not_silent() -> None:
    storage, release = Storage("long", patience=0.3), threading.Event()

    def get_on() -> None:
        while not release.wait(0.01):
            pulse.beat()

    going = storage.submit(get_on)
    await never(lambda: storage.silent, for_=1)
    release.set()
    await going
    storage.close()


async def test_what_is_asked_of_silent_storage_is_given_up() -> None:
    storage, release = Storage("deaf", patience=0.1), threading.Event()
    with pytest.raises(FaultError) as caught:
        await storage.ask(release.wait)
    assert caught.value.fault.scope is Scope.INBOX
    assert "does not answer" in caught.value.fault.message
    release.set()
    assert await storage.ask(int, "12") == 12
    with pytest.raises(ValueError, match="invalid literal"):
        await storage.ask(int, "twelve")
    storage.close()


async def test_what_waits_behind_a_long_call_is_not_given_up() -> None:
    storage, release = Storage("busy", size=1, patience=0.1), threading.Event()

    def get_on() -> None:
        while not release.wait(0.01):
            pulse.beat()

    going = storage.submit(get_on)
    asked = asyncio.ensure_future(storage.ask(int))
    _, pending = await asyncio.wait({asked}, timeout=0.5)
    assert pending
    release.set()
    assert await asked == 0
    await going
    storage.close()
