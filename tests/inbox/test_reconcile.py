from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.inbox.test_settle import identity
from watcherd.inbox.reconcile import (
    Arrived,
    Changed,
    Found,
    Gone,
    Listing,
    asks_for_kept,
    idle,
    reconcile,
)
from watcherd.job import FINAL, Job, Outcome, Plan, State

OPEN = [state for state in State if state not in FINAL]
PLAN = Plan(outcome=Outcome.DONE, folder=b"", original=b"a", sidecars=())


def job(
    path: bytes = b"a", *, state: State = State.QUEUED, version: int = 1, plan: Plan | None = None
) -> Job:
    return Job(
        id=hash(path) % 1000,
        inbox="inbox",
        path=path,
        identity=identity(version),
        settled_at=0,
        state=state,
        plan=plan,
    )


def listing(*files: Found, error: str = "") -> Listing:
    return Listing(folder=b"", files=files, error=error)


def test_a_file_without_a_job_has_arrived() -> None:
    found = Found(b"a", identity())
    assert reconcile(listing(found), [], {}) == [Arrived(found)]


def test_a_file_with_its_job_needs_nothing() -> None:
    assert reconcile(listing(Found(b"a", identity())), [job()], {}) == []


@pytest.mark.parametrize("state", OPEN)
def test_only_an_idle_job_is_changed_or_gone(state: State) -> None:
    row, found = job(state=state), Found(b"a", identity(2))
    waits = state in {State.QUEUED, State.WAITING}
    assert reconcile(listing(found), [row], {}) == ([Changed(row, found)] if waits else [])
    assert reconcile(listing(), [row], {}) == ([Gone(row)] if waits else [])


def test_a_delivery_that_waits_moves_the_file_itself() -> None:
    row = job(state=State.WAITING, plan=PLAN)
    assert not idle(row)
    assert reconcile(listing(), [row], {}) == []


def test_a_folder_that_could_not_be_read_whole_has_lost_nothing() -> None:
    assert reconcile(listing(error="Permission denied"), [job()], {}) == []


@given(
    present=st.dictionaries(st.sampled_from([b"a", b"b", b"c", b"d"]), st.integers(0, 1)),
    rows=st.dictionaries(
        st.sampled_from([b"a", b"b", b"c", b"d"]), st.tuples(st.integers(0, 1), st.sampled_from(OPEN))
    ),
)
def test_every_path_gets_at_most_one_action_and_the_right_one(
    present: dict[bytes, int], rows: dict[bytes, tuple[int, State]]
) -> None:
    files = [Found(path, identity(version)) for path, version in present.items()]
    jobs = [job(path, version=version, state=state) for path, (version, state) in rows.items()]
    actions = reconcile(listing(*files), jobs, {})
    assert {action.found.path for action in actions if isinstance(action, Arrived)} == present.keys() - rows
    gone = {action.job.path for action in actions if isinstance(action, Gone)}
    assert gone == {row.path for row in jobs if idle(row)} - present.keys()
    changed = {action.job.path for action in actions if isinstance(action, Changed)}
    assert changed == {
        row.path
        for row in jobs
        if idle(row) and present.get(row.path, rows[row.path][0]) != rows[row.path][0]
    }
    assert len(actions) == len(present.keys() - rows) + len(gone) + len(changed)


def test_a_held_file_is_listed_as_held() -> None:
    found = Found(b"a", identity(), held=True)
    assert reconcile(listing(found), [], {}) == [Arrived(found)]
    assert replace(found, held=False) != found


def test_a_kept_file_is_left_alone_until_it_is_another_one() -> None:
    found = Found(b"a", identity())
    size, mtime = found.identity.size, found.identity.mtime_ns
    moved = Found(b"a", replace(found.identity, dev=9, ino=9, ctime_ns=9))
    assert reconcile(listing(moved), [], {b"a": (size, mtime)}) == []
    for other in ((size + 1, mtime), (size, mtime + 1)):
        assert reconcile(listing(found), [], {b"a": other}) == [Arrived(found)]
    assert reconcile(listing(found), [], {b"b": (size, mtime)}) == [Arrived(found)]


def test_an_open_job_counts_for_more_than_that_its_file_was_kept_once() -> None:
    found, row = Found(b"a", identity(2)), job()
    kept = {b"a": (found.identity.size, found.identity.mtime_ns)}
    assert reconcile(listing(found), [row], kept) == [Changed(row, found)]
    assert reconcile(listing(), [row], kept) == [Gone(row)]


@given(files=st.sets(st.sampled_from([b"a", b"b", b"c"])), rows=st.sets(st.sampled_from([b"a", b"b", b"c"])))
def test_kept_files_are_asked_for_just_where_they_can_matter(files: set[bytes], rows: set[bytes]) -> None:
    found = listing(*(Found(path, identity()) for path in files))
    jobs = [job(path) for path in rows]
    mark = (identity().size, identity().mtime_ns)
    everything = dict.fromkeys(files, mark)
    matters = reconcile(found, jobs, {}) != reconcile(found, jobs, everything)
    assert asks_for_kept(found, jobs) == matters
