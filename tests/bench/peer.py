"""The peer: the script that a user writes in ten minutes, which the benches compare the daemon with.

`python -m tests.bench.peer INBOX DONE BASE_URL` translates each new file by the `openai` package, whose
client retries as it does by default: a request for each format, one after the other, in watchdog's own
thread, then `shutil.move`. It says `watching` on standard output when it is, and runs until it is ended. It
makes nothing durable, waits for no quiet and remembers nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Literal

from openai import OpenAI, OpenAIError
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.inotify import InotifyObserver

FORMATS: tuple[tuple[Literal["srt", "vtt", "text"], str], ...] = (
    ("srt", ".srt"),
    ("vtt", ".vtt"),
    ("text", ".txt"),
)


class Translator(FileSystemEventHandler):
    """Translates a file that was moved in, or written to its end."""

    def __init__(self, client: OpenAI, done: Path) -> None:
        self._client = client
        self._done = done

    def on_moved(self, event: FileSystemEvent) -> None:
        if event.dest_path:
            self._translate(Path(os.fsdecode(event.dest_path)))

    def on_closed(self, event: FileSystemEvent) -> None:
        self._translate(Path(os.fsdecode(event.src_path)))

    def _translate(self, file: Path) -> None:
        try:
            for response_format, suffix in FORMATS:
                with file.open("rb") as audio:
                    text = self._client.audio.translations.create(
                        model="whisper-1", file=audio, response_format=response_format
                    )
                (self._done / file.with_suffix(suffix).name).write_text(text, encoding="utf-8")
            shutil.move(file, self._done / file.name)
        except (OpenAIError, OSError) as error:
            print(f"{file}: {error}", file=sys.stderr)


def main(inbox: str, done: str, base_url: str) -> None:
    """Watch until ended."""
    client = OpenAI(base_url=base_url, api_key=os.environ.get("OPENAI_API_KEY", "sk-none"))
    observer = InotifyObserver(generate_full_events=True)  # so that what is moved in counts as moved
    observer.schedule(Translator(client, Path(done)), inbox)
    observer.start()
    print("watching", flush=True)
    observer.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
