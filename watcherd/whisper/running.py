"""Running: the embedded endpoint's child as the daemon sees it. Settings in, a transport to it out.

The child serves HTTP on a Unix socket in a folder that only this user may enter. Listening begins before
the child is there, so that nobody can take its place, and the child gets the descriptor, not the path.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx

from watcherd import children
from watcherd.children import Child, ChildDiedError, ChildTimeoutError
from watcherd.config.model import Embedded
from watcherd.whisper.unusable import unusable
from watcherd.whisper.weights import PACKAGED

GIB = 1 << 30
MEMORY = 4 * GIB  # address space; the packaged model takes 1.9 GiB of it, and 0.4 GiB of memory
MEMORY_ANY = 16 * GIB  # for the user's own choice: the largest model's weights alone are 3 GiB
LOAD_SECONDS = 300.0
DOWNLOAD_SECONDS = 3600.0  # a model that is known only by name comes over the network first
PROGRESS_SECONDS = 60.0
STOP_GRACE = 2.0
BACKLOG = 16
_LAST_WORDS = 400
_GPU = "/dev/nvidiactl"  # there where NVIDIA's driver is loaded

# What a download from the model hub goes by; the packaged model needs none of it.
_HUB_VARIABLES = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_ENDPOINT",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
)


@dataclass(frozen=True, slots=True)
class Progress:
    """Whether a file is being translated, and a number that grows while that gets on."""

    working: bool
    steps: int


class Running:
    """A child with its model loaded. `stop` it, also when it has died: its socket's folder goes then."""

    def __init__(self, child: Child, den: _Den) -> None:
        self._child = child
        self._den = den
        self.http = httpx.AsyncHTTPTransport(
            verify=False,  # a Unix socket: nothing is encrypted, no authority is needed
            uds=den.socket,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._child.alive

    @property
    def last_words(self) -> str:
        """The end of what it printed."""
        return self._child.last_words

    async def progress(self) -> Progress:
        """Ask how far it is; one that does not answer is killed. Raises ChildDiedError, ChildTimeoutError."""
        answer = await self._child.ask({}, deadline=PROGRESS_SECONDS)
        return Progress(answer["working"], answer["steps"])

    async def stop(self) -> None:
        """End it and free what it holds; whatever waits for its answer gets a transport error."""
        await self._child.stop(grace=STOP_GRACE)
        await self.http.aclose()
        self._den.remove()


class _Den:
    """A folder that only this user may enter, for one socket.

    `socket` leads there through a descriptor, since a socket's path may have 107 bytes and TMPDIR any.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="watcherd-")  # mode 0700
        self._fd = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.socket = f"/proc/self/fd/{self._fd}/whisper.sock"

    def listener(self) -> socket.socket:
        """Bind the socket and listen on it."""
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(self.socket)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
        return listener

    def remove(self) -> None:
        """Remove the folder and the socket in it."""
        os.close(self._fd)
        shutil.rmtree(self._folder, ignore_errors=True)


async def start(embedded: Embedded, *, cache: Path) -> Running:
    """Start a child and wait until its model is loaded. Raises FaultError where that cannot be."""
    try:
        den = _Den()
        try:
            return await _started(embedded, cache, den)
        except BaseException:
            den.remove()
            raise
    except OSError as error:
        raise unusable(
            "engine_not_started",
            f"the embedded Whisper could not be started: {error.strerror or error}",
            "Look at the machine's limits of processes, open files and memory, and at its TMPDIR.",
        ) from error


async def _started(embedded: Embedded, cache: Path, den: _Den) -> Running:
    child = await children.start(
        "watcherd.whisper.server", memory=_memory(embedded), environ=_environ(embedded)
    )
    settings = {
        "model": embedded.model,
        "device": embedded.device,
        "compute_type": embedded.compute_type,
        "cache": str(cache),
    }
    seconds = LOAD_SECONDS if embedded.model == PACKAGED else DOWNLOAD_SECONDS
    try:
        with den.listener() as listener:
            problem = await child.ask(settings, fds=[listener.fileno()], deadline=seconds)
    except (ChildDiedError, ChildTimeoutError) as error:
        raise unusable(
            "engine_not_started",
            f"the embedded Whisper could not be started: {error}",
            "If the machine is short of memory, take a smaller model or end something else.",
            said=_end_of(error.last_words),
        ) from error
    except BaseException:
        await child.stop(grace=0)
        raise
    if problem:
        await child.stop(grace=STOP_GRACE)
        raise unusable(problem["code"], problem["message"], problem["hint"])
    return Running(child, den)


def _memory(embedded: Embedded) -> int | None:
    """Cap the child's address space, except where a GPU's driver maps far more than there is."""
    if embedded.device == "cuda" or (embedded.device == "auto" and os.path.exists(_GPU)):
        return None
    return MEMORY if embedded.model == PACKAGED else MEMORY_ANY


def _environ(embedded: Embedded) -> dict[str, str]:
    """Return what the child needs beside every child's few variables."""
    environ = {"OPENBLAS_NUM_THREADS": "1"}  # it would reserve memory for every core of the machine
    wanted = ("CUDA_VISIBLE_DEVICES", *(() if embedded.model == PACKAGED else _HUB_VARIABLES))
    return environ | {name: os.environ[name] for name in wanted if name in os.environ}


def _end_of(last_words: str) -> str:
    return " ".join(last_words.split())[-_LAST_WORDS:]
