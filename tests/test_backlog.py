"""The backlog counts what it is told, and remembers no folder in which nothing is left."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from watcherd.backlog import Backlog
from watcherd.job import Identity, Job

PLACES = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([b"x", b"sub/x", b"sub/deep/x"]))


def job(place: tuple[str, bytes]) -> Job:
    return Job(id=1, inbox=place[0], path=place[1], identity=Identity(1, 2, 3, 4, 5), settled_at=0)


def folder(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


@given(known=st.lists(PLACES), new=st.lists(PLACES), over=st.integers(0, 20))
def test_it_is_the_sum_of_what_came_and_went(
    known: list[tuple[str, bytes]], new: list[tuple[str, bytes]], over: int
) -> None:
    backlog = Backlog()
    backlog.add(job(("a", b"forgotten")))
    backlog.recall((inbox, folder(path)) for inbox, path in known)
    for place in new:
        backlog.add(job(place))
    everything = known + new
    for place in everything[:over]:
        backlog.remove(job(place))
    left = Counter((inbox, folder(path)) for inbox, path in everything[over:])
    assert backlog.total == left.total()
    for inbox in ("a", "b"):
        assert backlog.of(inbox) == sum(count for (name, _), count in left.items() if name == inbox)
        assert sorted(backlog.folders(inbox)) == sorted(below for name, below in left if name == inbox)
    assert all(backlog.within(*place) == count for place, count in left.items())
