"""The view as votes: what each tag says of the projection, and what they say together.

Tables match exactly. Text of the study (StudyDescription) never votes: 22,043 AP films of
MIMIC-CXR stand under "CHEST (PA and LAT)".
"""

import re
from dataclasses import dataclass
from typing import Final

from cxr_device.radiograph import Code, Radiograph
from cxr_device.vocabulary import View

__all__ = ["Vote", "votes"]

VIEW_CODES: Final = {
    Code(value="399348003", scheme="SCT"): View.AP,
    Code(value="R-10206", scheme="SRT"): View.AP,
    Code(value="R-10206", scheme="SNM3"): View.AP,
    Code(value="272479007", scheme="SCT"): View.PA,
    Code(value="R-10214", scheme="SRT"): View.PA,
    Code(value="R-10214", scheme="SNM3"): View.PA,
}
"""Frontal projections among the view codes (PS3.16 CID 4010); any other code is not frontal."""

_TOKENS: Final = {
    "PA": View.PA,
    "AP": View.AP,
    "LAT": None,
    "LATERAL": None,
    "LL": None,
    "RL": None,
}
"""Words of a series description that name a projection; None: not frontal."""

_POSITIONS: Final = {
    **_TOKENS,
    "LLO": None,
    "RLO": None,
    "LLD": None,
    "RLD": None,
}
"""PatientPosition is defined for the table, not the projection, but some senders write the
projection there: only these words count, HFS and its like are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One tag's word on the projection."""

    source: str
    """DICOM keyword of the tag."""
    said: str
    view: View | None
    """None: not frontal, or unknown."""
    is_primary: bool
    """False for a fallback: the tag is not made for the projection."""


def votes(radiograph: Radiograph) -> tuple[Vote, ...]:
    """Collect the votes, those of the projection's own tags first."""
    found = []
    if radiograph.view_position:
        said = radiograph.view_position
        view = {"PA": View.PA, "AP": View.AP}.get(said)
        found.append(Vote(source="ViewPosition", said=said, view=view, is_primary=True))
    for code in radiograph.view_codes:
        said = f"{code.value} {code.scheme}"
        view = VIEW_CODES.get(code)
        found.append(Vote(source="ViewCodeSequence", said=said, view=view, is_primary=True))
    position = radiograph.patient_position
    if position in _POSITIONS:
        view = _POSITIONS[position]
        found.append(Vote(source="PatientPosition", said=position, view=view, is_primary=False))
    for source, text in (
        ("SeriesDescription", radiograph.series_description),
        ("ProtocolName", radiograph.protocol_name),
    ):
        for token in re.split(r"[^A-Z0-9]+", (text or "").upper()):
            if token in _TOKENS:
                vote = Vote(source=source, said=token, view=_TOKENS[token], is_primary=False)
                found.append(vote)
    return tuple(found)
