"""Withdrawn: why the journey of one file ends where it is, with nothing to deliver and nothing to report."""

from __future__ import annotations


class WithdrawnError(Exception):
    """The file is not the one that settled any more: `why` is `vanished` or `changed`.

    Or it stays where it is and needs nothing: `covered` or `unchanged`. `kept` is as in job.Withdrawn.
    """

    def __init__(self, why: str, *, kept: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.kept = kept
