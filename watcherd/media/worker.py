"""Worker: the media child. Questions with descriptors in, findings or a refusal out, until the daemon leaves.

{"do": "probe"} with [input]             -> {"found": Probe}
{"do": "to_flac"} with [input, output]   -> {"found": Encoded}
or, where there is nothing to be found   -> {"refused": Refusal, "said": …}
or, where the disk is at fault           -> {"errno": …, "side": "input" | "output"}
Each says in "spent" whether the worker has been near its memory cap, and is better replaced.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from dataclasses import asdict

from av.error import FFmpegError

from watcherd import children
from watcherd.children import Message
from watcherd.media.findings import Refusal
from watcherd.media.opening import Sink, Source, open_media
from watcherd.media.prepare import RefusedError, to_flac
from watcherd.media.probe import describe, duration_of
from watcherd.media.sniff import is_encrypted

_END = 1 << 20
_WHOLE = 0.99
_NEAR = 0.85


def answer(message: Message, fds: Sequence[int]) -> Message:
    """One question's answer. The files' own troubles are answers; anything else is a bug, and ends us."""
    return _outcome(message, fds) | {"spent": _near_memory_cap()}


def _outcome(message: Message, fds: Sequence[int]) -> Message:
    source = Source(fds[0])
    sink = Sink(fds[1]) if message["do"] == "to_flac" else None
    try:
        _check_protection(source)
        found = _flac(source, sink) if sink else _probe(source)
    except RefusedError as error:
        found = {"refused": error.refusal, "said": error.said}
    except MemoryError:
        found = {"refused": Refusal.OUT_OF_MEMORY, "said": ""}
    except (FFmpegError, ValueError) as error:
        said = error.strerror if isinstance(error, FFmpegError) else str(error)
        found = {"refused": Refusal.UNDECODABLE, "said": said}
    if source.error:
        return {"errno": source.error.errno, "side": "input"}
    if sink and sink.error:
        return {"errno": sink.error.errno, "side": "output"}
    return found


def _check_protection(source: Source) -> None:
    """Look at both ends, since a movie's description may stand at either: decoding it would give noise."""
    front = source.read(_END)
    source.seek(-_END, os.SEEK_END)
    protected = is_encrypted(front) or is_encrypted(source.read(_END))
    source.seek(0)
    if protected:
        raise RefusedError(Refusal.ENCRYPTED)


def _probe(source: Source) -> Message:
    with open_media(source) as container:
        return {"found": describe(container).write()}


def _flac(source: Source, sink: Sink) -> Message:
    with open_media(source) as container:
        encoded = to_flac(container, source, sink)
        promised = duration_of(container)
    # Without the memory for a whole index FFmpeg goes on with half of it: never pass that off as the file.
    if promised and encoded.duration < _WHOLE * promised and _near_memory_cap():
        raise RefusedError(Refusal.OUT_OF_MEMORY)
    return {"found": asdict(encoded)}


def _near_memory_cap() -> bool:
    cap, _ = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        peak = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmPeak:"))
    return cap != resource.RLIM_INFINITY and peak > _NEAR * cap


if __name__ == "__main__":
    children.serve(children.enter(), answer)
