"""The error tree: one class for each reason, and the class writes its message.

::

    CxrDeviceError
    ├── IntegrityError        the installation is damaged: reinstall (exit 5)
    ├── NodeError             the node cannot start as it was asked to: see what it names (exit 2)
    ├── ProbabilityError      a number that is no probability reached the decision (a defect)
    ├── OperatingPointError   a threshold outside (0, 1): the release is wrong
    ├── AuditError            an audit file is broken or cannot be written (exit 5)
    ├── ClaimError            an activation map under the triage claim (a defect)
    └── OutputError           a result could not be written: check the folder (exit 6)

Bad input raises nothing: it ends in a `Rejected` or `Failed` result with coded checks.
"""

from pathlib import Path

__all__ = [
    "AuditError",
    "ClaimError",
    "CxrDeviceError",
    "IntegrityError",
    "NodeError",
    "OperatingPointError",
    "OutputError",
    "ProbabilityError",
]


class CxrDeviceError(Exception):
    """Base of every error that this package raises on purpose."""


class IntegrityError(CxrDeviceError):
    """A file of the installation is not the one that was locked; the device does not start."""

    def __init__(self, what: str, *, found: str, locked: str) -> None:
        super().__init__(
            f"SELF: {what} is {found}, the release locks {locked}; reinstall cxr-device"
        )


class NodeError(CxrDeviceError):
    """The node cannot start: a folder in use, an address taken, a certificate missing."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"NODE {reason}")


class ProbabilityError(CxrDeviceError, ValueError):
    """A value handed to the decision is no probability in float64."""

    def __init__(self, found: object) -> None:
        super().__init__(f"PROBABILITY: {found!r}; accepted: float64 in [0, 1]")


class OperatingPointError(CxrDeviceError, ValueError):
    """A threshold outside the open interval (0, 1)."""

    def __init__(self, identifier: str, threshold: float) -> None:
        super().__init__(f"OPERATING_POINT {identifier}: {threshold!r}; accepted: inside (0, 1)")


class AuditError(CxrDeviceError):
    """An audit file whose chain is broken, or that cannot be appended to."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"AUDIT {path}: {reason}; keep the file as it is and compare it with its copies"
        )


class ClaimError(CxrDeviceError, ValueError):
    """An activation map was handed to an output whose profile may not show one."""

    def __init__(self, profile: str) -> None:
        super().__init__(f"CLAIM: an activation map under profile {profile}; accepted: research")


class OutputError(CxrDeviceError, OSError):
    """A result could not be written."""

    def __init__(
        self,
        path: Path | str,
        reason: str,
        *,
        action: str = "choose a folder that can be written",
    ) -> None:
        super().__init__(f"OUTPUT {path}: {reason}; {action}")
