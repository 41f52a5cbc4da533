"""Curves of training: drawn from the record of the weights, or refused."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

import cxr_device
from validation import training_curves
from validation.errors import ArgumentError
from verification import verifies

RECORD = Path(str(cxr_device.__file__)).parent / "weights" / "training_record.json"


def record(*losses: float) -> dict[str, Any]:
    """Return the record of one member with these losses by epoch."""
    curve = [
        {"epoch": n, "loss": x, "tune_within_view_auc": {"score": 1.0 - x}}
        for n, x in enumerate(losses, start=1)
    ]
    return {"members": [{"config": {"seed": 7}, "curve": curve}]}


@verifies("SRS-212@efa9ce50", level="unit")
def test_every_epoch_of_every_member_is_drawn() -> None:
    svg = training_curves.loss(record(0.5, 0.4, 0.3))
    assert svg.count("<circle") == 3
    heights = [float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', svg)]
    assert heights == sorted(heights)  # a falling loss falls on the page
    assert "member 1, seed 7" in svg


def test_the_committed_record_is_drawn_whole() -> None:
    content = json.loads(RECORD.read_text("utf-8"))
    epochs = sum(len(member["curve"]) for member in content["members"])
    for draw in (training_curves.loss, training_curves.tuning_auc):
        svg = draw(content)
        assert svg.count("<circle") == epochs
        assert svg.count("<polyline") == len(content["members"])


@verifies("SRS-212@efa9ce50", level="unit")
def test_a_missing_value_is_refused() -> None:
    whole = record(0.5, 0.4)
    without_loss = copy.deepcopy(whole)
    del without_loss["members"][0]["curve"][1]["loss"]
    text = copy.deepcopy(whole)
    text["members"][0]["curve"][0]["loss"] = "low"
    empty = copy.deepcopy(whole)
    empty["members"][0]["curve"] = []
    nothing: list[dict[str, Any]] = [{"members": []}, {}]
    for damaged in (without_loss, text, empty, *nothing):
        with pytest.raises(ArgumentError):
            training_curves.loss(damaged)


def curve(*aucs: float) -> dict[str, Any]:
    """Return a curve of data efficiency with these AUCs; the last is that of more films."""
    entries = [
        {"films": 1000 * 2**n, "auc": {"estimate": auc, "lower": auc - 0.02, "upper": auc + 0.02}}
        for n, auc in enumerate(aucs)
    ]
    fit = {"plateau": 0.8, "factor": 1.0, "exponent": 0.2}
    return {"points": entries[:-1], "all_of_nih": entries[-1], "fit": fit}


@verifies("SRS-212@efa9ce50", level="unit")
def test_every_point_of_data_efficiency_is_drawn_with_its_interval() -> None:
    svg = training_curves.data_efficiency(curve(0.56, 0.58, 0.6, 0.63))
    heights = [float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', svg)]
    assert len(heights) == 4
    assert heights == sorted(heights, reverse=True)  # a rising AUC rises on the page
    assert svg.count('stroke-width="1.5"') == 4
    assert svg.count('fill="var(--paper)" stroke=') == 1  # what was not measured is hollow


@verifies("SRS-212@efa9ce50", level="unit")
def test_data_efficiency_without_a_value_is_refused() -> None:
    whole = curve(0.56, 0.58, 0.6)
    for path in (("points", 0, "films"), ("points", 1, "auc", "lower"), ("fit", "factor")):
        damaged: Any = copy.deepcopy(whole)
        part = damaged
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = "many"
        with pytest.raises(ArgumentError):
            training_curves.data_efficiency(damaged)
        del part[path[-1]]
        with pytest.raises(ArgumentError):
            training_curves.data_efficiency(damaged)


def _filled(svg: str) -> list[int]:
    """Return the places of the filled marks among all marks."""
    marks = re.findall(r"<circle [^>]*>", svg)
    return [n for n, mark in enumerate(marks) if 'fill="var(--paper)"' not in mark]


@verifies("SRS-212@efa9ce50", level="unit")
def test_the_epoch_that_was_kept_is_filled() -> None:
    best = record(0.5, 0.3, 0.4)
    member = best["members"][0]
    member["config"]["choose"] = "best"
    member["chosen"] = {"epoch": 2, "rule": "best"}
    assert _filled(training_curves.tuning_auc(best)) == [1]
    assert _filled(training_curves.loss(record(0.5, 0.3, 0.4))) == [2]  # an older record: the last


@verifies("SRS-212@efa9ce50", level="unit")
def test_a_kept_epoch_off_the_curve_is_refused() -> None:
    for chosen in ({"epoch": 4}, {"epoch": "2"}, {}, "last"):
        damaged = record(0.5, 0.3, 0.4)
        damaged["members"][0]["chosen"] = chosen
        with pytest.raises(ArgumentError):
            training_curves.loss(damaged)
