"""When to scan, and what a scan has found: requests and listings in, the time of the next out. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from watcherd.inbox.reconcile import Listing

SILENT = 30.0  # seconds for one step that no working storage takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """A whole scan: `seconds` it took, media `files` and `folders` seen, `unread` folders with the reason."""

    seconds: float = 0.0
    files: int = 0
    folders: int = 0
    unread: tuple[tuple[bytes, str], ...] = ()


class Rounds:
    """The scans of one inbox, one after the other; times are monotonic seconds."""

    def __init__(self, now: float) -> None:
        self.due = now
        self.by_timer = False
        """Whether the coming (or present) scan has no other reason than that time has passed."""
        self.under_way = False
        self.last: Scanned | None = None
        self._again: float | None = None
        self._seconds = 0.0
        self._files = 0
        self._folders = 0
        self._unread: list[tuple[bytes, str]] = []
        self._unvisited: set[bytes] = set()

    def request(self, when: float) -> None:
        """Ask for a scan at `when` or soon after. One under way, or due before, may have passed by then."""
        if self.under_way or when > self.due:
            self._again = when if self._again is None else min(self._again, when)
        else:
            self.due, self.by_timer = when, False

    def begin(self, known: Iterable[bytes]) -> None:
        """Start a scan; `known` are the folders that must not be forgotten if the walk never meets them."""
        self.under_way = True
        self._seconds, self._files, self._folders = 0.0, 0, 0
        self._unread, self._unvisited = [], set(known)

    def visit(self, listing: Listing) -> None:
        """Count one folder's listing."""
        self._files += len(listing.files)
        self._folders += 1
        self._unvisited.discard(listing.folder)
        if listing.error:
            self._unread.append((listing.folder, listing.error))

    def spend(self, seconds: float) -> None:
        """Count one step's time, which sets the pace of the scans; storage that was silent did not work."""
        self._seconds += seconds if seconds < SILENT else 0.0

    @property
    def vanished(self) -> frozenset[bytes]:
        """Known folders that the walk did not meet; none where it could not look everywhere."""
        return frozenset() if self._unread else frozenset(self._unvisited)

    def finish(self) -> Scanned:
        """End a scan; `plan` the next one then."""
        self.under_way = False
        self.last = Scanned(
            seconds=self._seconds, files=self._files, folders=self._folders, unread=tuple(self._unread)
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
