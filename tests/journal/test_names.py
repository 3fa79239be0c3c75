from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from watcherd.job import Identity, Job, Outcome, Plan, Sidecar, State
from watcherd.journal.names import Names

FOLDERS, NAMES = st.sampled_from([b"", b"a"]), st.sampled_from([b"1", b"2", b"3"])
PLANS = st.builds(
    lambda folder, original, sidecar: Plan(
        outcome=Outcome.DONE, folder=folder, original=original, sidecars=(Sidecar(sidecar, "srt"),)
    ),
    FOLDERS,
    NAMES,
    NAMES,
)
JOBS = st.integers(1, 3)


def names_of(plan: Plan) -> set[bytes]:
    return {plan.original, *(sidecar.name for sidecar in plan.sidecars)}


@given(st.lists(st.tuples(JOBS, st.none() | PLANS)))
def test_no_two_jobs_have_one_name_and_nothing_stays_reserved(steps: list[tuple[int, Plan | None]]) -> None:
    names, plans = Names(), dict[int, Plan]()
    for job, plan in steps:
        others = {
            (one.folder, name) for other, one in plans.items() if other != job for name in names_of(one)
        }
        if plan is None:
            names.free(job)
            plans.pop(job, None)
        else:
            free = others.isdisjoint((plan.folder, name) for name in names_of(plan))
            assert names.take(job, plan) == free
            if free:
                plans[job] = plan
        for folder in (b"", b"a"):
            taken = [names_of(one) for one in plans.values() if one.folder == folder]
            assert names.within(folder) == set().union(*taken)


@given(PLANS)
def test_a_job_that_is_over_has_no_names(plan: Plan) -> None:
    identity = Identity(1, 2, 3, 4, 5)
    job = Job(id=1, inbox="in", path=b"1", identity=identity, settled_at=0.0, plan=plan)
    names = Names()
    names.follow(replace(job, plan=None))
    assert names.within(plan.folder) == set()
    names.follow(replace(job, state=State.WAITING))
    assert names.within(plan.folder) == names_of(plan)
    names.follow(replace(job, state=State.DONE))
    assert names.within(plan.folder) == set()
