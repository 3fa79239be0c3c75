"""Worker: the media child. Questions with descriptors in, findings or a refusal out, until the daemon leaves.

{"do": "probe"} with [input]                      -> {"found": Probe}
{"do": "listen", …} with [input, socket]          -> {"found": Heard}, its silences over the socket
{"do": "parts", …} with [input, socket, folder]   -> the same, and the parts, as outlet.py says
or, where there is nothing to be found            -> {"refused": Refusal, "said": …}
or, where the disk is at fault                    -> {"errno": …, "side": "input" | "output"}
Each says in "spent" whether the worker has been near its memory cap, and is better replaced.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence

from av.container import InputContainer
from av.error import FFmpegError

from watcherd import children
from watcherd.children import Message
from watcherd.media.codec import Codec
from watcherd.media.cut import Cutting, Planner, Stretch
from watcherd.media.decoding import Decoding, RefusedError
from watcherd.media.findings import Refusal, Warned
from watcherd.media.levels import RATE, Levels
from watcherd.media.making import Finished, Making
from watcherd.media.opening import Source, open_media
from watcherd.media.outlet import Outlet
from watcherd.media.probe import describe, duration_of
from watcherd.media.sniff import is_encrypted

_END = 1 << 20
_WHOLE = 0.99
_NEAR = 0.85
_AT_ONCE = 4 * RATE  # bytes, two seconds
_CLEARLY_SHORTER = 5.0  # seconds, and by a tenth


def answer(message: Message, fds: Sequence[int]) -> Message:
    """One question's answer. The files' own troubles are answers; anything else is a bug, and ends us."""
    return _outcome(message, fds) | {"spent": _near_memory_cap()}


def _outcome(message: Message, fds: Sequence[int]) -> Message:
    pass_ = None if message["do"] == "probe" else _Pass(message, fds)
    source = pass_.source if pass_ else Source(fds[0])
    try:
        _check_protection(source)
        with open_media(source) as container:
            found: Message = {"found": pass_.found(container) if pass_ else describe(container).write()}
    except RefusedError as error:
        found = {"refused": error.refusal, "said": error.said}
    except MemoryError:
        found = {"refused": Refusal.OUT_OF_MEMORY, "said": ""}
    except (FFmpegError, ValueError) as error:
        said = error.strerror if isinstance(error, FFmpegError) else str(error)
        found = {"refused": Refusal.UNDECODABLE, "said": said}
    finally:
        if pass_:
            pass_.close()
    if source.error:
        return {"errno": source.error.errno, "side": "input"}
    if pass_ and pass_.making and pass_.making.error:
        return {"errno": pass_.making.error.errno, "side": "output"}
    return found


def _check_protection(source: Source) -> None:
    """Look at both ends, since a movie's description may stand at either: decoding it would give noise."""
    front = source.read(_END)
    source.seek(-_END, os.SEEK_END)
    protected = is_encrypted(front) or is_encrypted(source.read(_END))
    source.seek(0)
    if protected:
        raise RefusedError(Refusal.ENCRYPTED)


class _Pass:
    """One pass through a file, with parts made or none."""

    def __init__(self, message: Message, fds: Sequence[int]) -> None:
        self._began = time.monotonic()
        self._message = message
        self._decoded = 0
        self._outlet = Outlet(fds[1], wanted=message["wanted"])
        self.making = self._making(fds[2]) if message["do"] == "parts" else None
        self._levels = self.making.levels if self.making else Levels()
        self.source = Source(fds[0], lambda: self._outlet.tell(self._levels))

    def found(self, container: InputContainer) -> Message:
        """What was heard. Raises RefusedError and av.FFmpegError; source and making keep their own errors."""
        decoding = Decoding(container, track=self._message["track"])
        whole = self._run(decoding)
        if not decoding.decoded:
            raise RefusedError(Refusal.UNDECODABLE, decoding.said)
        duration = self._decoded / RATE
        warnings = decoding.warnings
        if whole:
            self._compare(duration, duration_of(container))
            if decoding.promised and _clearly_shorter(duration, decoding.promised):
                warnings.append(Warned.SHORTER_THAN_SAID)
        self._outlet.conclude(self._levels)
        return {"duration": duration, "start": decoding.start, "warnings": warnings}

    def close(self) -> None:
        if self.making:
            self.making.drop()
        self._outlet.close()

    def _compare(self, duration: float, promised: float | None) -> None:
        """Without the memory for a whole index FFmpeg goes on with half of it: that is not the file."""
        if promised and duration < _WHOLE * promised and _near_memory_cap():
            raise RefusedError(Refusal.OUT_OF_MEMORY)

    def _making(self, folder_fd: int) -> Making:
        message, codec = self._message, Codec(self._message["codec"])
        cutting = Cutting(
            max_part=message["max_part"], max_bytes=message["max_bytes"], target=message["target"]
        )
        planner = Planner(
            cutting,
            rate=codec.rate,
            given=[Stretch(*times) for times in message["given"]],
            goes_on=message["goes_on"],
        )
        return Making(
            planner,
            codec=codec,
            most_bytes=cutting.max_bytes,
            answered=frozenset(message["answered"]),
            folder_fd=folder_fd,
            send=self._send,
        )

    def _send(self, finished: Finished) -> None:
        self._outlet.send(finished, self._levels)

    def _run(self, decoding: Decoding) -> bool:
        """Decode, two seconds at a time; whether that went on to the end."""
        block = bytearray()
        for samples in decoding.samples():
            block += samples
            if len(block) >= _AT_ONCE:
                self._take(bytes(block))
                block.clear()
                if self.source.error or (self.making and self.making.done):
                    return False
        self._take(bytes(block))
        if self.making and not self.source.error:
            self.making.finish()
        self._levels.finish()
        return True

    def _take(self, samples: bytes) -> None:
        self._decoded += len(samples) // 2
        if self.making:
            self._outlet.wait()
            self.making.feed(samples)
        else:
            self._levels.feed(samples)
        self._outlet.tell(self._levels)
        self._check_bounds()

    def _check_bounds(self) -> None:
        """A small file may hold days of audio: nobody asked for their subtitles."""
        message = self._message
        if self._decoded > message["most_seconds"] * RATE:
            raise RefusedError(Refusal.TOO_LONG, f"over {message['most_seconds'] / 3600:g} hours")
        if self.making and self.making.encoded_bytes > message["most_bytes"]:
            raise RefusedError(
                Refusal.TOO_LONG, f"over {message['most_bytes']:,} bytes as {message['codec']}"
            )
        worked = time.monotonic() - self._began - self._outlet.waited
        if worked > message["most_work"]:
            raise RefusedError(Refusal.TOO_SLOW, f"after {message['most_work']:g} s")


def _clearly_shorter(duration: float, promised: float) -> bool:
    return promised - duration > max(_CLEARLY_SHORTER, promised / 10)


def _near_memory_cap() -> bool:
    cap, _ = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        peak = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmPeak:"))
    return cap != resource.RLIM_INFINITY and peak > _NEAR * cap


if __name__ == "__main__":
    children.serve(children.enter(), answer)
