"""When to scan, and what a scan has found: requests and listings in, the time of the next out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from watcherd.inbox.reconcile import Found, Listing

LAG = 0.1  # seconds by which the time that a file system notes may lie behind the clock
SILENT = 30.0  # seconds for one step that no working storage takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """A whole scan: `seconds` it took, media `files` and `folders` seen, `unread` folders with the reason.

    `marked` are the folders that hold a marker: what lies below them was not looked at. `began` is in seconds
    since the epoch.
    """

    seconds: float = 0.0
    files: int = 0
    folders: int = 0
    unread: tuple[tuple[bytes, str], ...] = ()
    marked: frozenset[bytes] = frozenset()
    began: float = 0.0


class Rounds:
    """The scans of one inbox, one after the other; times are monotonic seconds but for `began`."""

    def __init__(self, now: float) -> None:
        self.due = now
        self.by_timer = False
        """Whether the coming (or present) scan has no other reason than that time has passed."""
        self.under_way = False
        self.last: Scanned | None = None
        self._again: float | None = None
        self._began = 0.0
        self._seconds = 0.0
        self._files = 0
        self._folders = 0
        self._unread: list[tuple[bytes, str]] = []
        self._marked: set[bytes] = set()
        self._unvisited: set[bytes] = set()

    def request(self, when: float) -> None:
        """Ask for a scan at `when` or soon after. One under way, or due before, may have passed by then."""
        if self.under_way or when > self.due:
            self._again = when if self._again is None else min(self._again, when)
        else:
            self.due, self.by_timer = when, False

    def begin(self, known: Iterable[bytes], began: float) -> None:
        """Start a scan; `known` are the folders that must not be forgotten if the walk never meets them."""
        self.under_way, self._began = True, began
        self._seconds, self._files, self._folders = 0.0, 0, 0
        self._unread, self._marked, self._unvisited = [], set(), set(known)

    def visit(self, listing: Listing) -> None:
        """Count one folder's listing."""
        self._files += len(listing.files)
        self._folders += 1
        self._unvisited.discard(listing.folder)
        if listing.error:
            self._unread.append((listing.folder, listing.error))
        if listing.marked:
            self._marked.add(listing.folder)

    def spend(self, seconds: float) -> None:
        """Count one step's time, which sets the pace of the scans; storage that was silent did not work."""
        self._seconds += seconds if seconds < SILENT else 0.0

    @property
    def vanished(self) -> frozenset[bytes]:
        """Known folders that the walk did not meet; none where it could not look everywhere."""
        return frozenset() if self._unread else frozenset(self._unvisited)

    def tells_first_of(self, found: Found) -> bool:
        """Whether an event should have told of a file that the present scan came upon.

        Nothing tells that a marker or a sidecar goes: what was there at the last scan, and is only found now,
        was not missed.
        """
        last = self.last
        return self.by_timer and last is not None and found.identity.ctime_ns / 1e9 >= last.began - LAG

    def finish(self) -> Scanned:
        """End a scan; `plan` the next one then."""
        self.under_way = False
        self.last = Scanned(
            seconds=self._seconds,
            files=self._files,
            folders=self._folders,
            unread=tuple(self._unread),
            marked=frozenset(self._marked),
            began=self._began,
        )
        return self.last

    def plan(self, due: float) -> None:
        """The next scan is due by the timer, unless somebody asked for one meanwhile."""
        self.due, self.by_timer = due, True
        if self._again is not None:
            again, self._again = self._again, None
            self.request(again)

    def interrupt(self, due: float) -> None:
        """The scan under way came to nothing; it starts over."""
        self.under_way = False
        self.due, self.by_timer = due, False


def below(folder: bytes, others: Collection[bytes]) -> bool:
    """Whether a folder lies below one of others, at any depth; b"" is the inbox itself."""
    while others and folder:
        folder = folder.rpartition(b"/")[0]
        if folder in others:
            return True
    return False
