"""The backlog: how many open jobs there are, by inbox and folder, so that few questions reach the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from watcherd.job import Job


class Backlog:
    """Counts of open jobs; what it counts is the caller's to tell."""

    def __init__(self) -> None:
        self._inboxes: Counter[str] = Counter()
        self._folders: Counter[tuple[str, bytes]] = Counter()

    def recall(self, folders: Iterable[tuple[str, bytes]]) -> None:
        """Begin anew with these: inbox and folder of each open job."""
        self._folders = Counter(folders)
        self._inboxes = Counter()
        for (inbox, _), jobs in self._folders.items():
            self._inboxes[inbox] += jobs

    def add(self, job: Job) -> None:
        """Count a new job."""
        self._inboxes[job.inbox] += 1
        self._folders[job.inbox, _folder_of(job)] += 1

    def remove(self, job: Job) -> None:
        """Count one no more that is over."""
        place = job.inbox, _folder_of(job)
        self._inboxes[job.inbox] -= 1
        self._folders[place] -= 1
        if not self._folders[place]:
            del self._folders[place]  # folders come and go over the months

    @property
    def total(self) -> int:
        """How many there are."""
        return self._inboxes.total()

    def of(self, inbox: str) -> int:
        """How many an inbox has."""
        return self._inboxes[inbox]

    def within(self, inbox: str, folder: bytes) -> int:
        """How many have their file directly in a folder of an inbox."""
        return self._folders[inbox, folder]

    def folders(self, inbox: str) -> Collection[bytes]:
        """The folders of an inbox in which files with open jobs lie."""
        return [folder for name, folder in self._folders if name == inbox]


def _folder_of(job: Job) -> bytes:
    return job.path.rpartition(b"/")[0]
