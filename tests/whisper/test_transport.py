"""The embedded endpoint comes when it is needed, goes when it is not, and never costs the daemon more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from structlog.testing import capture_logs

from tests.whisper.conftest import wav
from watcherd.config.model import Embedded
from watcherd.faults import FaultError, Remedy, Scope
from watcherd.whisper import running
from watcherd.whisper.transport import EmbeddedTransport

URL = "http://embedded/v1/audio/translations"


@pytest.fixture(autouse=True)
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the sockets' folders are made, to see what is left over; a long path, as some are."""
    folder = tmp_path / ("sockets" * 20)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@asynccontextmanager
async def embedded(
    cache: Path, settings: Embedded | None = None, **figures: float
) -> AsyncIterator[tuple[EmbeddedTransport, httpx.AsyncClient]]:
    """A transport and a client over it, whose connect and read timeouts are far too short for a model."""
    transport = EmbeddedTransport(settings or Embedded(), cache=cache, **figures)
    timeout = httpx.Timeout(connect=0.1, read=0.1, write=30, pool=None)
    async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:
        yield transport, client


async def until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - other processes set no events
            await asyncio.sleep(0.02)


def gone(pid: int | None) -> bool:
    return pid is not None and not psutil.pid_exists(pid)


def alive() -> list[int]:
    """The process ids of embedded endpoints' children, apart from the session's own server."""
    found = []
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[-1:] == ["watcherd.whisper.server"]:
                found.append(process.pid)
    return found


async def translate(client: httpx.AsyncClient, sound: bytes) -> httpx.Response:
    return await client.post(URL, files={"file": ("a.flac", sound)}, data={"model": "any"})


def long_speech(demo: bytes) -> bytes:
    """Minutes of speech: enough for a child to be busy with."""
    command = ["ffmpeg", "-loglevel", "error", "-i", "-", "-f", "s16le", "-ac", "1", "-ar", "16000", "-"]
    once = subprocess.run(command, input=demo, check=True, capture_output=True).stdout
    return wav(array("h", once * 12))


async def busy(
    client: httpx.AsyncClient, transport: EmbeddedTransport, sound: bytes
) -> asyncio.Task[httpx.Response]:
    """A request that the child is working on."""
    work = asyncio.create_task(translate(client, sound))
    await until(lambda: transport.pid is not None)
    process = psutil.Process(transport.pid)
    before = process.cpu_times().user
    await until(lambda: process.cpu_times().user > before + 0.5)
    assert not work.done()
    return work


async def test_two_first_requests_start_one_child_which_goes_when_idle_and_comes_back(
    cache: Path, demo: bytes, sockets: Path
) -> None:
    async with embedded(cache, Embedded(idle=0.3)) as (transport, client):
        assert not alive()
        listed, translated = await asyncio.gather(
            client.get("http://embedded/v1/models"),
            translate(client, demo),
        )
        assert listed.json()["data"][0]["id"] == "base"
        assert "Wolfgang" in translated.json()["text"]
        first = transport.pid
        assert first is not None
        assert alive() == [first]
        await until(lambda: gone(first))
        await until(lambda: not os.listdir(sockets))

        assert (await client.get("http://embedded/v1/models")).status_code == 200
        second = transport.pid
        assert second not in {None, first}
    assert gone(second)
    assert not os.listdir(sockets)


async def test_a_death_in_mid_request_is_a_transport_error_and_the_next_request_starts_afresh(
    cache: Path, demo: bytes
) -> None:
    async with embedded(cache) as (transport, client):
        work = await busy(client, transport, long_speech(demo))
        killed = transport.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            await work
        answer = await translate(client, demo)
        assert "Wolfgang" in answer.json()["text"]
        assert transport.pid != killed


async def test_the_child_dies_with_the_daemon(cache: Path, sockets: Path) -> None:
    command = [sys.executable, "-m", "tests.whisper.parent", str(cache)]
    environ = os.environ | {"TMPDIR": str(sockets)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as parent:  # noqa: ASYNC220 - it returns at once
        assert parent.stdout is not None
        while not (line := await asyncio.to_thread(parent.stdout.readline)).startswith(b"child "):
            assert line, "the parent failed"
        child = psutil.Process(int(line.split()[1]))
        parent.kill()
    await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_only_this_user_can_reach_the_socket_and_memory_is_capped(cache: Path, sockets: Path) -> None:
    async with embedded(cache) as (transport, client):
        await client.get("http://embedded/v1/models")
        (folder,) = sockets.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert transport.pid is not None
        limit = psutil.Process(transport.pid).rlimit(psutil.RLIMIT_AS)
        assert limit == (running.MEMORY, running.MEMORY)


async def test_a_child_that_gets_nowhere_is_killed(cache: Path, demo: bytes) -> None:
    async with embedded(cache, look_every=0.02, patience=0.05) as (_transport, client):
        with capture_logs() as logged, pytest.raises(httpx.TransportError):
            # One window of 30 s takes longer than these 50 ms, which is as good as being stuck.
            await translate(client, demo)
        assert "whisper.stuck" in [event["event"] for event in logged]
        await until(lambda: not alive())


async def test_a_child_that_does_not_answer_at_all_is_killed(
    cache: Path, demo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PROGRESS_SECONDS", 0.2)
    async with embedded(cache, look_every=0.1) as (transport, client):
        await client.get("http://embedded/v1/models")
        assert transport.pid is not None
        os.kill(transport.pid, signal.SIGSTOP)
        with pytest.raises(httpx.TransportError):
            await translate(client, demo)
        await until(lambda: not alive())


async def test_closing_ends_a_child_at_work_and_one_that_is_starting(
    cache: Path, demo: bytes, sockets: Path
) -> None:
    async with embedded(cache) as (transport, client):
        work = await busy(client, transport, long_speech(demo))
        at_work = transport.pid
        await transport.aclose()
        with pytest.raises(httpx.TransportError):
            await work
        assert gone(at_work)

        early = asyncio.create_task(client.get("http://embedded/v1/models"))
        await until(lambda: bool(alive()))
        (child,) = alive()
        await transport.aclose()
        with pytest.raises(httpx.ConnectError):
            await early
        await until(lambda: gone(child))
    assert not os.listdir(sockets)


async def test_a_request_that_is_given_up_leaves_the_start_to_the_others(cache: Path) -> None:
    async with embedded(cache) as (transport, client):
        first = asyncio.create_task(client.get("http://embedded/v1/models"))
        await until(lambda: bool(alive()))
        second = asyncio.create_task(client.get("http://embedded/v1/models"))
        first.cancel()
        assert (await second).status_code == 200
        assert first.cancelled()
        assert alive() == [transport.pid]


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        (Embedded(model="/dev"), "model_not_loaded", "/dev"),
        (Embedded(model="colossal"), "model_not_loaded", "colossal"),
        (Embedded(device="cuda"), "model_not_loaded", "cuda"),
    ],
    ids=["a folder of something else", "no such size", "no graphics processor"],
)
async def test_a_model_that_cannot_be_loaded_is_the_endpoints_fault_with_a_hint(
    cache: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch, settings: Embedded, code: str, words: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    async with embedded(cache, settings) as (transport, client):
        for _ in range(2):
            with pytest.raises(FaultError) as caught:
                await client.get("http://embedded/v1/models")
        fault = caught.value.fault
        assert (fault.scope, fault.code, fault.remedy) == (Scope.ENDPOINT, code, Remedy.CONFIGURE)
        assert words in fault.message
        assert "under embedded" in fault.hint
        assert transport.pid is None
    assert not os.listdir(sockets)


async def test_missing_packages_are_the_endpoints_fault_and_say_how_to_install_them(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hider = tmp_path / "hider"
    hider.mkdir()
    (hider / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'faster_whisper' else find(name, *more)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(hider))
    async with embedded(cache) as (_, client):
        with pytest.raises(FaultError) as caught:
            await client.get("http://embedded/v1/models")
    fault = caught.value.fault
    assert (fault.code, fault.remedy) == ("packages_missing", Remedy.CONFIGURE)
    assert "pip install 'watcherd[local]'" in fault.hint


async def test_a_child_that_dies_while_it_starts_is_a_fault_that_quotes_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MEMORY", 300 << 20)
    async with embedded(cache) as (_, client):
        with pytest.raises(FaultError) as caught:
            await client.get("http://embedded/v1/models")
    fault = caught.value.fault
    assert fault.scope is Scope.ENDPOINT
    assert fault.remedy is Remedy.CONFIGURE


def test_the_daemon_never_loads_what_only_the_child_needs() -> None:
    program = (
        "import sys, watcherd.whisper.transport, watcherd.whisper.weights;"
        "heavy = {'fastapi', 'starlette', 'uvicorn', 'faster_whisper', 'ctranslate2', 'numpy', 'av'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
