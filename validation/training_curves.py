"""Curves of training: by epoch, from the record that ships with the weights, and by films."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from validation.errors import ArgumentError
from validation.figures import Chart, Mark

__all__ = ["data_efficiency", "loss", "tuning_auc"]

COLOURS: Final = ("a", "b", "c", "d")
DASHES: Final = ("", "6 3", "2 3")
_MARGIN: Final = 0.01
"""AUC; room above and below the intervals."""


def loss(training_record: Mapping[str, Any]) -> str:
    """Return the training loss by epoch, one line a member, as SVG.

    Parameters
    ----------
    training_record : mapping
        `members`, each with `config.seed` and `curve`: one entry an epoch with `epoch`, `loss` and
        `tune_within_view_auc`. The epoch that was kept is `chosen.epoch`; a record from before that
        key kept the last.

    Raises
    ------
    ArgumentError
        If a member has no curve, a value of it is missing or no number, or the epoch that was kept
        is none of the curve.
    """
    return _drawn(training_record, "Training loss", "Loss", lambda entry: entry["loss"])


def tuning_auc(training_record: Mapping[str, Any]) -> str:
    """Return the AUC of the score on the tuning films, within a view, by epoch; see `loss`."""
    return _drawn(
        training_record,
        "Tuning films: AUC of the score within a view",
        "AUC",
        lambda entry: entry["tune_within_view_auc"]["score"],
    )


def data_efficiency(curve: Mapping[str, Any]) -> str:
    """Return the AUC by the number of films trained on, and what its fit says of more, as SVG.

    Parameters
    ----------
    curve : mapping
        `points`, each with `films` and `auc`; `all_of_nih`, the same for films that were not at
        hand; `fit`: `plateau`, `factor` and `exponent` of plateau - factor * films ** -exponent.
        Each `auc` has `estimate`, `lower` and `upper`.

    Raises
    ------
    ArgumentError
        If a value is missing or no number.
    """
    try:
        entries = [*curve["points"], curve["all_of_nih"]]
        places = [math.log2(_number(entry["films"])) for entry in entries]
        aucs = [
            tuple(_number(entry["auc"][key]) for key in ("estimate", "lower", "upper"))
            for entry in entries
        ]
        plateau, factor, exponent = (
            _number(curve["fit"][key]) for key in ("plateau", "factor", "exponent")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArgumentError(
            argument="curve", found=f"no {error}", accepted="points, all_of_nih and fit"
        ) from error
    at_hand = places[-2]
    low, high = (
        min(lower for _, lower, _ in aucs) - _MARGIN,
        max(upper for _, _, upper in aucs) + _MARGIN,
    )
    chart = Chart(
        title="AUC by the number of films trained on",
        x_label="Doublings of the films, 0: all that are at hand",
        y_label="AUC",
        x_range=(places[0] - at_hand - 0.3, places[-1] - at_hand + 0.3),
        y_range=(low, high),
        height=340.0,
    )
    steps = [places[0] + (places[-1] - places[0]) * step / 60 for step in range(61)]
    chart.line(
        [step - at_hand for step in steps],
        [plateau - factor * 2 ** (-exponent * step) for step in steps],
        dash="6 3",
        label="fitted power law",
    )
    for place, (value, lower, upper) in zip(places, aucs, strict=True):
        chart.mark(
            Mark(x=place - at_hand, y=value, y_interval=(lower, upper), hollow=place > at_hand)
        )
    return chart.note("hollow: all of NIH, by the fit").svg()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One member's values by epoch, and the epoch whose weights were kept."""

    label: str
    epochs: list[float]
    values: list[float]
    kept: float


def _drawn(
    training_record: Mapping[str, Any],
    title: str,
    y_label: str,
    take: Callable[[Mapping[str, Any]], object],
) -> str:
    lines = _lines(training_record, take)
    ys = [y for line in lines for y in line.values]
    last = max(line.epochs[-1] for line in lines)
    pad = max((max(ys) - min(ys)) * 0.12, 0.005)
    chart = Chart(
        title=title,
        x_label="Epoch",
        y_label=y_label,
        x_range=(0.5, max(last, 2.0) + 0.5),
        y_range=(min(ys) - pad, max(ys) + 2.0 * pad),
        height=340.0,
    )
    for index, line in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        chart.line(
            line.epochs,
            line.values,
            colour=colour,
            label=line.label,
            dash=DASHES[index // len(COLOURS) % len(DASHES)],
        )
        for x, y in zip(line.epochs, line.values, strict=True):
            chart.mark(Mark(x=x, y=y, colour=colour, hollow=x != line.kept, size=3.5))
    return chart.note("filled: the epoch that was kept").svg(
        legend="top-right" if y_label == "Loss" else "bottom-right"
    )


def _lines(
    training_record: Mapping[str, Any], take: Callable[[Mapping[str, Any]], object]
) -> list[_Line]:
    members = training_record.get("members")
    if not isinstance(members, list) or not members:
        raise ArgumentError(argument="members", found=members, accepted="at least one member")
    lines = []
    for number, member in enumerate(members, start=1):
        try:
            curve = member["curve"]
            xs = [_number(entry["epoch"]) for entry in curve]
            ys = [_number(take(entry)) for entry in curve]
            seed = member["config"]["seed"]
            chosen = member.get("chosen")
            kept = xs[-1:] if chosen is None else [_number(chosen["epoch"])]
        except (KeyError, TypeError) as error:
            raise ArgumentError(
                argument=f"member {number}", found=f"no {error}", accepted="a curve by epoch"
            ) from error
        if not xs:
            raise ArgumentError(
                argument=f"member {number}", found="an empty curve", accepted="a curve by epoch"
            )
        if kept[0] not in xs:
            raise ArgumentError(
                argument=f"member {number}",
                found=f"epoch {kept[0]:g} kept",
                accepted="an epoch of its curve",
            )
        label = f"member {number}, seed {seed}"
        lines.append(_Line(label=label, epochs=xs, values=ys, kept=kept[0]))
    return lines


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ArgumentError(argument="curve", found=value, accepted="a finite number")
    return float(value)
