"""Results made by code, without a network: what the outputs are asked to say."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from itertools import count
from typing import Any, Final

import numpy as np
from builders import UID_ROOT, dx, to_bytes

from cxr_device.checks import DESCRIPTIONS, Check, Verdict, accepted_by
from cxr_device.decision import OperatingPoint, decide
from cxr_device.outputs.composite_instance import Making
from cxr_device.outputs.source_study import SourceStudy, find_study
from cxr_device.radiograph import AcceptedRadiograph
from cxr_device.release import Release
from cxr_device.result import (
    Analyzed,
    Checked,
    DeviceIdentity,
    Failed,
    Rejected,
    ResolvedView,
    Source,
)
from cxr_device.vocabulary import CheckCode, Outcome, Profile, View

POINT: Final = OperatingPoint(identifier="OP-T", threshold=0.25)
MADE_AT: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FILM: Final = np.zeros((8, 8), dtype=np.uint16)

PASSED: Final = (CheckCode.MODALITY, Outcome.PASS, "DX", "within the intended use")
WARNED: Final = (CheckCode.AGE, Outcome.WARN, "none", "no age is stated")
LATERAL: Final = (CheckCode.VIEW, Outcome.REJECT, "LL", "the film is lateral")
CHILD: Final = (CheckCode.AGE, Outcome.REJECT, "12 years", "the patient is too young")
CUT: Final = (CheckCode.LENGTH, Outcome.REJECT, "2 bytes", "the pixel data are cut")

Told = tuple[CheckCode, Outcome, str, str]


@cache
def release() -> Release:
    """The locked release."""
    return Release.load()


@cache
def film() -> bytes:
    """A small film, as a file."""
    return to_bytes(dx(FILM))


def checks(*told: Told) -> tuple[Check, ...]:
    """Checks with these outcomes, values and messages."""
    accepted = accepted_by(release().label)
    return tuple(
        DESCRIPTIONS[code].check(
            code, Verdict(outcome=outcome, value=value, message=message), accepted[code]
        )
        for code, outcome, value, message in told
    )


def source_of(data: bytes, path: str | None = "films/chest.dcm") -> Source:
    """The source of `film()`, or of other bytes with its UIDs."""
    return Source(
        path=path, sha256=sha256(data).hexdigest(), sop_instance_uid=f"{UID_ROOT}.3",
        study_instance_uid=f"{UID_ROOT}.1", transfer_syntax_uid="1.2.840.10008.1.2.1",
    )  # fmt: skip


def _common(profile: Profile, told: tuple[Told, ...]) -> dict[str, Any]:
    locked = release()
    return {
        "source": source_of(film()),
        "device": DeviceIdentity(
            name=locked.name, version=locked.version, claim=str(locked.label.claim),
            profile=str(profile), weights_sha256=locked.weights_sha256,
            config_sha256=locked.config_sha256, preprocessing_sha256=locked.preprocessing_sha256,
        ),
        "checks": checks(*told),
        "timing_ms": {"total": 12.4},
        "view": ResolvedView(value=View.PA, source="ViewPosition"),
    }  # fmt: skip


def analyzed(probability: float = 0.8, *told: Told, profile: Profile = Profile.TRIAGE) -> Analyzed:
    """A film that was read, flagged at `POINT`."""
    return Analyzed(
        **_common(profile, told or (PASSED,)),
        decision=decide(probability, POINT),
        film=AcceptedRadiograph(stored=FILM, maximum=4095, inverted=False),
    )


def rejected(*told: Told, profile: Profile = Profile.TRIAGE) -> Rejected:
    """A film outside the intended use."""
    return Rejected(**_common(profile, told or (LATERAL,)))


def failed(*told: Told, profile: Profile = Profile.TRIAGE) -> Failed:
    """A file that could not be read; its view was never established."""
    return replace(Failed(**_common(profile, told or (CUT,))), view=None)


def checked(*told: Told) -> Checked:
    """A film that was checked and not read."""
    return Checked(**_common(Profile.TRIAGE, told or (PASSED,)))


def making(result: Analyzed | Rejected | Failed) -> Making:
    """Device, time, and UIDs that count up from 1.2.9.1."""
    numbers = count(1)
    return Making(
        release=release(), device=result.device, made_at=MADE_AT,
        new_uid=lambda: f"1.2.9.{next(numbers)}",
    )  # fmt: skip


def study() -> SourceStudy:
    """The study of `film()`."""
    found = find_study(film(), source_of(film()))
    assert found is not None
    return found
