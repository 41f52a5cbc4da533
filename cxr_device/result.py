"""The result: Analyzed, Rejected or Failed, and what each of them carries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from cxr_device.checks import Check
from cxr_device.decision import Decision
from cxr_device.radiograph import AcceptedRadiograph
from cxr_device.vocabulary import View

__all__ = [
    "Analyzed",
    "Checked",
    "DeviceIdentity",
    "ExitCode",
    "Failed",
    "Rejected",
    "ResolvedView",
    "Result",
    "Source",
]


class ExitCode(IntEnum):
    """What a command returns; a batch returns the highest."""

    ANALYZED = 0
    USAGE = 2
    REJECTED = 3
    FAILED = 4
    INTEGRITY = 5
    OUTPUT = 6
    INTERNAL = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Which bytes were read. No patient name, id or date."""

    path: str | None
    sha256: str | None
    sop_instance_uid: str | None
    study_instance_uid: str | None
    transfer_syntax_uid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIdentity:
    """Which device read them."""

    name: str
    version: str
    claim: str
    profile: str
    weights_sha256: str
    config_sha256: str
    preprocessing_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedView:
    """The projection, and the tag that said so."""

    value: View
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What every result carries."""

    source: Source
    device: DeviceIdentity
    checks: tuple[Check, ...]
    """Every check of the device in its order, those that were not run included."""
    timing_ms: Mapping[str, float]
    view: ResolvedView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyzed(_Read):
    """The film was within the intended use and was read."""

    decision: Decision
    film: AcceptedRadiograph = field(repr=False)
    """The frame that was read, for the report's picture."""

    @property
    def exit_code(self) -> ExitCode:
        """Analysed, positive or not."""
        return ExitCode.ANALYZED


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(_Read):
    """The film is outside the intended use, and was not read."""

    @property
    def exit_code(self) -> ExitCode:
        """Outside the intended use."""
        return ExitCode.REJECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(_Read):
    """The file is unreadable or hostile, and was not read."""

    @property
    def exit_code(self) -> ExitCode:
        """Unreadable or hostile."""
        return ExitCode.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked(_Read):
    """The film is within the intended use as far as header and pixel range say; not read."""

    @property
    def exit_code(self) -> ExitCode:
        """Within the intended use."""
        return ExitCode.ANALYZED


Result = Analyzed | Rejected | Failed
"""What `Device.read` returns."""
