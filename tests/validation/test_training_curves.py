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
    for damaged in (without_loss, text, empty, {"members": []}, {}):
        with pytest.raises(ArgumentError):
            training_curves.loss(damaged)
