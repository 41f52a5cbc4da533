"""The statement: what a result says, in the words that every DICOM output prints.

Plain sentences in printable ASCII, so that no character set, no font and no markup changes them.
"""

from dataclasses import dataclass
from typing import Final

from cxr_device.checks import Check
from cxr_device.release import Release
from cxr_device.result import Analyzed, Checked, Failed, Rejected
from cxr_device.vocabulary import Flag, Outcome, Profile

__all__ = ["NOT_THE_DEVICE", "Statement", "printable", "state"]

NOT_THE_DEVICE: Final = "Research profile: not the device, not for clinical use"
_NOT_PRIMARY: Final = "AI result, not for primary diagnosis"
_READ_ANYWAY: Final = (
    "The film is to be read by a radiologist beside history, demographics, cultures and prior "
    "films, which this device does not see."
)
_NO_EXCLUSION: Final = (
    "Pneumonia is not excluded, and the film keeps its place in the normal reading order."
)
_SILENCE: Final = "The film was not analysed: no answer is not a negative answer."


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One result in words."""

    banner: str
    """What stands over everything: not for primary diagnosis, or not the device."""
    headline: str
    """The answer in a few words."""
    sentences: tuple[str, ...]
    """What the answer means, and what it does not."""
    reasons: tuple[str, ...]
    """`CODE: message (value)` for each check that stopped the reading; empty where none did."""
    warnings: tuple[str, ...]
    """The same for each check that let the film through with a warning."""


def state(result: Analyzed | Rejected | Failed | Checked, release: Release) -> Statement:
    """Say a result in words."""
    if isinstance(result, Analyzed):
        found = result.decision
        at = found.operating_point
        side = "at or above" if found.flag is Flag.SUSPECTED else "below"
        headline = (
            "Pneumonia suspected" if found.flag is Flag.SUSPECTED else "Pneumonia not suspected"
        )
        measured = (
            f"Calibrated probability {found.probability:.3f}, {side} the threshold "
            f"{at.threshold:.3f} ({at.identifier}: {release.operating_point_rule})."
        )
        sentences = [measured, _READ_ANYWAY]
        if found.flag is not Flag.SUSPECTED:
            sentences.append(_NO_EXCLUSION)
    else:
        headline = "Not readable" if isinstance(result, Failed) else "Not analysed"
        sentences = [_SILENCE, _NO_EXCLUSION]
    research = result.device.profile == Profile.RESEARCH
    return Statement(
        banner=NOT_THE_DEVICE if research else _NOT_PRIMARY,
        headline=headline,
        sentences=tuple(map(printable, sentences)),
        reasons=_told(result.checks, Outcome.REJECT),
        warnings=_told(result.checks, Outcome.WARN),
    )


def printable(text: str) -> str:
    """Return `text` in printable ASCII; anything else is shown as its escape, nothing is lost."""
    escaped = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in escaped)


def _told(checks: tuple[Check, ...], outcome: Outcome) -> tuple[str, ...]:
    return tuple(
        printable(f"{check.code}: {check.message} ({check.value})")
        for check in checks
        if check.outcome is outcome
    )
