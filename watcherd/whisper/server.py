"""Server: the child's main. A listening socket in, the application served on it until the parent leaves.

As the daemon's child (see children): the first question carries the settings and the listening socket,
and is answered when the model is loaded, or with what is wrong; each later one is answered with how far
the work has come. With `--listen HOST:PORT` it serves TCP by itself, for any client of the API.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from watcherd import children
from watcherd.children import Message
from watcherd.faults import FaultError
from watcherd.whisper.unusable import INSTALL, unusable
from watcherd.whisper.weights import PACKAGED, locate

if TYPE_CHECKING:
    from fastapi import FastAPI

    from watcherd.whisper.engine import Engine

CONFIGURATION = 78  # EX_CONFIG
BACKLOG = 16
_PACKAGES = ("faster_whisper", "fastapi", "python_multipart", "uvicorn")


def _load(*, model: str, device: str, compute_type: str, cache: Path) -> Engine:
    """Load the model. Raises FaultError where that cannot be done here."""
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise unusable(
                "packages_missing",
                f"the embedded endpoint is not installed: there is no Python package {package}",
                INSTALL,
            )
    place = locate(model, cache)
    if model == PACKAGED:
        os.environ["HF_HUB_OFFLINE"] = "1"  # everything is here: no question leaves the machine
    from watcherd.whisper.engine import Engine  # noqa: PLC0415 - heavy, and may be missing

    try:
        return Engine(place, device=device, compute_type=compute_type)
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise unusable(
            "model_not_loaded",
            f"the speech model {model} could not be loaded ({device}, {compute_type}): {reason}",
            "Check model, device and compute_type under embedded; a model that is not a folder is "
            "downloaded at first, which takes a network.",
        ) from error


def _application(engine: Engine, model: str) -> FastAPI:
    from watcherd.whisper.app import application  # noqa: PLC0415 - heavy

    return application(engine, models=(os.path.basename(model), "whisper-1"))


def _serve(app: FastAPI, listener: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415 - heavy

    config = uvicorn.Config(
        app, http="h11", loop="asyncio", lifespan="off", log_config=None, access_log=False
    )
    uvicorn.Server(config).run(sockets=[listener])


def _serve_to_the_end(app: FastAPI, listener: socket.socket) -> None:
    """Serve in a thread; without it the child is of no use."""
    try:
        _serve(app, listener)
    finally:
        os._exit(1)


def _as_child(channel: children.Channel) -> None:
    request = channel.receive()
    if request is None:
        return
    settings = request.message
    try:
        engine = _load(
            model=settings["model"],
            device=settings["device"],
            compute_type=settings["compute_type"],
            cache=Path(settings["cache"]),
        )
        app = _application(engine, settings["model"])
    except FaultError as error:
        fault = error.fault
        channel.send({"code": fault.code, "message": fault.message, "hint": fault.hint})
        return
    listener = socket.socket(fileno=request.fds[0])
    # Not in the main thread: there uvicorn would take the signals that are the parent's.
    threading.Thread(target=_serve_to_the_end, args=(app, listener), daemon=True).start()
    channel.send({})

    def progress(_message: Message, _fds: Sequence[int]) -> Message:
        return {"working": engine.working, "steps": engine.steps}

    children.serve(channel, progress)
    os._exit(0)  # whatever is being translated, nobody waits for it


def _alone(arguments: argparse.Namespace) -> int:
    """Serve TCP until a signal; the address goes to the standard output when it can be used."""
    host, _, port = arguments.listen.rpartition(":")
    try:
        engine = _load(
            model=arguments.model,
            device=arguments.device,
            compute_type=arguments.compute_type,
            cache=arguments.cache,
        )
    except FaultError as error:
        sys.stderr.write(f"{error.fault.message}\n{error.fault.hint}\n")
        return CONFIGURATION
    with socket.create_server((host, int(port)), backlog=BACKLOG) as listener:
        sys.stdout.write(f"http://{host}:{listener.getsockname()[1]}/v1\n")
        sys.stdout.flush()
        _serve(_application(engine, arguments.model), listener)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m watcherd.whisper.server")
    parser.add_argument("--listen", metavar="HOST:PORT", help="serve TCP by itself; port 0 picks one")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/watcherd").expanduser())
    parser.add_argument("--model", default=PACKAGED)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compute-type", default="int8")
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    if given.listen:
        sys.exit(_alone(given))
    _as_child(children.enter())
