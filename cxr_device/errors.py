"""The error tree: one class for each reason, and the class writes its message.

::

    CxrDeviceError
    ├── IntegrityError        the installation is damaged: reinstall (exit 5)
    │   └── NoReleaseError    a named folder holds no release (exit 5)
    ├── CudaError             CUDA was named and is not there (exit 2)
    ├── ReleaseError          another release than the installed one outside research (exit 2)
    ├── SigningError          a release that cannot be signed as it was asked to (exit 2)
    ├── NodeError             the node cannot start as it was asked to: see what it names (exit 2)
    ├── ProbabilityError      a number that is no probability reached the decision (a defect)
    ├── OperatingPointError   a threshold outside (0, 1): the release is wrong
    ├── ClaimError            an activation map under the triage claim (a defect)
    ├── ArchiveError          an archive or its run that cannot be scored as asked (exit 2)
    ├── EngineError           a worker of an archive's run ended: the run can go on (exit 70)
    ├── AuditError            an audit file is broken or cannot be written (exit 5)
    ├── OutputError           a result could not be written: check the folder (exit 6)
    ├── DatasetError          research data that is not what it should be: mend it (exit 2)
    └── TrainingError         a training run that cannot go on (exit 70)

Bad input raises nothing: it ends in a `Rejected` or `Failed` result with coded checks.
"""

from pathlib import Path

__all__ = [
    "ArchiveError",
    "AuditError",
    "ClaimError",
    "CudaError",
    "CxrDeviceError",
    "DatasetError",
    "EngineError",
    "IntegrityError",
    "NoReleaseError",
    "NodeError",
    "OperatingPointError",
    "OutputError",
    "ProbabilityError",
    "ReleaseError",
    "SigningError",
    "TrainingError",
    "words_of",
]


def words_of(error: OSError) -> str:
    """Say what a system refused: its own words, else the error's, else the error's name."""
    return error.strerror or str(error) or type(error).__name__


class CxrDeviceError(Exception):
    """Base of every error that this package raises on purpose."""


class IntegrityError(CxrDeviceError):
    """A file of the installation is not the one that was locked; the device does not start."""

    def __init__(self, what: str, *, found: str, locked: str) -> None:
        super().__init__(
            f"SELF: {what} is {found}, the release locks {locked}; reinstall cxr-device"
        )


class NoReleaseError(IntegrityError):
    """A folder that was named as a release holds none."""

    def __init__(self, folder: Path) -> None:
        CxrDeviceError.__init__(
            self,
            f"FOLDER {folder}: holds no release (no release.toml); "
            "choose one that `cxr-device lock` wrote",
        )


class CudaError(CxrDeviceError, RuntimeError):
    """The network was to run on CUDA, which this machine or installation has not."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"CUDA: {reason}; choose --device cpu or auto")


class ReleaseError(CxrDeviceError, ValueError):
    """Another release than the installed one was asked for, and the profile is not research."""

    def __init__(self, folder: Path, profile: str) -> None:
        super().__init__(
            f"RELEASE {folder}: profile {profile} reads with the installed release alone; "
            "read another one under the research profile"
        )


class SigningError(CxrDeviceError, ValueError):
    """A key that cannot sign a release, or a release that may not stay unsigned."""

    def __init__(self, path: Path, reason: str, action: str) -> None:
        super().__init__(f"SIGNING {path}: {reason}; {action}")


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


class ArchiveError(CxrDeviceError, ValueError):
    """An archive, or a run over one, that cannot be scored as it was asked for."""

    def __init__(self, path: Path | str, reason: str, action: str) -> None:
        super().__init__(f"ARCHIVE {path}: {reason}; {action}")


class EngineError(CxrDeviceError, RuntimeError):
    """What scores an archive ended before the archive did; finished blocks are kept."""

    def __init__(self, reason: str, action: str) -> None:
        super().__init__(f"ENGINE {reason}; {action}, then go on by --resume")


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


class DatasetError(CxrDeviceError, ValueError):
    """Research data (a table, a list, a folder, a configuration) that cannot be used as it is."""

    def __init__(self, path: Path, reason: str, action: str) -> None:
        super().__init__(f"DATASET {path}: {reason}; {action}")


class TrainingError(CxrDeviceError, RuntimeError):
    """A preparation or training run that cannot go on; its folder keeps what was done."""

    def __init__(self, run: Path, reason: str, action: str) -> None:
        super().__init__(f"TRAINING {run}: {reason}; {action}")
