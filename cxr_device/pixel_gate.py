"""The pixel gate: whether the pixels show an upright frontal chest, whatever the header says.

A small network of its own looks at what the main network would see. It refuses where an upright
frontal chest is less probable than the locked threshold, and names what it took the film for.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxr_device.checks import Verdict
from cxr_device.vocabulary import Outcome

__all__ = ["CONTENTS", "Content", "GateThreshold", "judge_content", "probabilities"]


class Content(StrEnum):
    """What the pixels show; in the order of the gate network's logits."""

    UPRIGHT = "upright frontal chest"
    TURNED = "turned frontal chest"
    MIRRORED = "mirrored frontal chest"
    INVERTED = "inverted frontal chest"
    OTHER = "no frontal chest"


CONTENTS: Final = tuple(Content)
"""One logit each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateThreshold:
    """The lowest probability of an upright frontal chest that is let through.

    `upright` is dimensionless, inside (0, 1); anything else, NaN included, raises ValueError.
    """

    upright: float

    def __post_init__(self) -> None:
        if not 0.0 < self.upright < 1.0:
            message = f"pixel gate: threshold {self.upright!r}; accepted: inside (0, 1)"
            raise ValueError(message)


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probability of each content, shape (len(CONTENTS),), from one film's logits."""
    grown = np.exp(logits.astype(np.float64) - logits.max())
    shares: NDArray[np.float64] = grown / grown.sum()
    return shares


def judge_content(logits: NDArray[np.float32], *, at: GateThreshold) -> Verdict:
    """Judge what the pixels of one film show.

    Parameters
    ----------
    logits : ndarray of float32, shape (len(CONTENTS),)
        What the gate's network says of what the main network would see.
    at : GateThreshold
        The locked threshold; a tie is let through.

    Returns
    -------
    Verdict
        PASS, or REJECT with what the film looks like. A logit that is no number rejects.
    """
    probability = probabilities(logits)
    upright = float(probability[CONTENTS.index(Content.UPRIGHT)])
    value = f"{Content.UPRIGHT} {upright:.3f}"
    if upright >= at.upright:
        return Verdict(outcome=Outcome.PASS, value=value, message="an upright frontal chest")
    likeliest = CONTENTS[1 + int(np.argmax(probability[1:]))]
    return Verdict(
        outcome=Outcome.REJECT,
        value=f"{likeliest} {float(probability[CONTENTS.index(likeliest)]):.3f}, {value}",
        message=f"the pixels look like: {likeliest}",
    )
