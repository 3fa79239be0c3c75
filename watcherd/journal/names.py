"""Names: plans of open deliveries in, the names that they have chosen out. In memory: nobody waits."""

from __future__ import annotations

from watcherd.job import FINAL, Job, Plan


class Names:
    """Which names in which folder belong to deliveries that are not over, of whatever inbox."""

    def __init__(self) -> None:
        self._plans: dict[int, Plan] = {}  # by job
        self._takers: dict[bytes, dict[bytes, int]] = {}  # jobs by folder and name

    def within(self, folder: bytes) -> frozenset[bytes]:
        """The names that open deliveries have chosen in `folder` of done or failed."""
        return frozenset(self._takers.get(folder, ()))

    def take(self, job_id: int, plan: Plan) -> bool:
        """Let a plan's names be the job's, in the place of those it had; False if another job has one."""
        takers = self._takers.get(plan.folder, {})
        wanted = _names(plan)
        if any(takers.get(name, job_id) != job_id for name in wanted):
            return False
        self.free(job_id)
        self._plans[job_id] = plan
        self._takers.setdefault(plan.folder, {}).update(dict.fromkeys(wanted, job_id))
        return True

    def follow(self, job: Job) -> None:
        """Take a job as it is on record: nothing is reserved for one that is over."""
        if job.state in FINAL:
            self.free(job.id)
        elif job.plan is not None and self._plans.get(job.id) != job.plan:
            self.take(job.id, job.plan)

    def free(self, job_id: int) -> None:
        """Forget the names of a job; it need not have any."""
        plan = self._plans.pop(job_id, None)
        if plan is None:
            return
        takers = self._takers[plan.folder]
        for name in _names(plan):
            takers.pop(name, None)
        if not takers:
            del self._takers[plan.folder]


def _names(plan: Plan) -> tuple[bytes, ...]:
    return (plan.original, *(sidecar.name for sidecar in plan.sidecars))
