"""Unusable: the fault of an embedded endpoint that cannot serve as it is configured or installed. No I/O."""

from __future__ import annotations

from watcherd.faults import Fault, FaultError, Remedy, Scope

INSTALL = "Install what it needs: pip install 'watcherd[local]'"


def unusable(code: str, message: str, hint: str, *, said: str = "") -> FaultError:
    """Make the error: it costs no file anything, and is tried again now and then."""
    return FaultError(
        Fault(
            scope=Scope.ENDPOINT,
            code=code,
            message=message,
            hint=hint,
            remedy=Remedy.CONFIGURE,
            said=said,
        )
    )
