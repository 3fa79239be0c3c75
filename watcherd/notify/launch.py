"""The launcher, run as a script: our process id and a command in; it becomes the command, tied to our life.

It uses nothing but the standard library's core and starts in a few milliseconds, with -I and -S.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
NO_PROGRAM, NO_EXECUTABLE = 127, 126  # as a shell's exit codes


def main(parent: int, command: list[str]) -> None:
    """Replace this process by the command. It is killed when the thread that started it ends."""
    # Neither survives where they were ignored: a program expects a closed pipe to end it.
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGIO):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel knew of our wish
        os._exit(0)
    try:
        os.execvp(command[0], command)  # noqa: S606 - without a shell is the point
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(NO_PROGRAM if isinstance(error, FileNotFoundError) else NO_EXECUTABLE)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
