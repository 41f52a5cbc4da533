"""The operating point on its ROC: where it is drawn, what is said, and cards that hold none."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cxr_device.outputs.roc_figure import roc_figure
from verification import verifies

LEFT, TOP, SIDE = 34, 8, 200
"""The unit square of the drawing, in its units."""

POINT = {
    "endpoint": "three <findings>",
    "sensitivity": {"estimate": 0.75, "lower": 0.70, "upper": 0.80},
    "specificity": {"estimate": 0.75, "lower": 0.65, "upper": 0.85},
}
CURVE = {
    "split": "tune", "endpoint": "the tuning truth", "films": 964, "positives": 242,
    "false_positive_rate": [0.0, 0.25, 1.0], "sensitivity": [0.0, 0.75, 1.0],
    "operating_point": POINT,
}  # fmt: skip
OTHER = {
    "split": "test", "endpoint": "the test truth",
    "operating_point": {
        "sensitivity": {"estimate": 1.0, "lower": 0.9, "upper": 1.0},
        "specificity": {"estimate": 0.0, "lower": 0.0, "upper": 0.1},
    },
}  # fmt: skip


def drawn(folder: Path, **card: Any) -> str:
    path = folder / "card.json"
    path.write_text(json.dumps({"operating_point": POINT, **card}), encoding="utf-8")
    return roc_figure(path)


def svg_place(false_positive_rate: float, sensitivity: float) -> tuple[float, float]:
    return LEFT + SIDE * false_positive_rate, TOP + SIDE - SIDE * sensitivity


@verifies("SRS-232@939386d8")
def test_a_card_without_a_curve_shows_its_point_and_interval_alone(tmp_path: Path) -> None:
    figure = drawn(tmp_path)
    x, y = svg_place(0.25, 0.75)
    assert f'<circle class="c0" cx="{x:.1f}" cy="{y:.1f}"' in figure
    left, right = svg_place(0.15, 0)[0], svg_place(0.35, 0)[0]
    high, low = svg_place(0, 0.80)[1], svg_place(0, 0.70)[1]
    cross = f"M{left:.1f} {y:.1f}H{right:.1f}M{x:.1f} {high:.1f}V{low:.1f}"
    assert f'<path class="at c0" d="{cross}"/>' in figure
    assert "<polyline" not in figure
    assert "Tuning films, where the point was chosen: sensitivity 0.75 [0.70, 0.80], " in figure
    assert "specificity 0.75 [0.65, 0.85] against three &lt;findings&gt;." in figure


@verifies("SRS-232@939386d8")
def test_a_curve_is_drawn_through_its_points(tmp_path: Path) -> None:
    figure = drawn(tmp_path, roc=[CURVE])
    places = (svg_place(0, 0), svg_place(0.25, 0.75), svg_place(1, 1))
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    assert f'<polyline class="curve c0" points="{points}"/>' in figure
    assert "964 films, 242 positive: sensitivity" in figure
    assert "against the tuning truth." in figure


@verifies("SRS-232@939386d8")
def test_two_curves_stand_beside_each_other_and_no_third(tmp_path: Path) -> None:
    figure = drawn(tmp_path, roc=[CURVE, OTHER, {**OTHER, "endpoint": "a third"}])
    assert re.findall(r'<circle class="(c\d)"', figure) == ["c0", "c1"]
    assert re.findall(r'<b class="(key\d)"', figure) == ["key0", "key1"]
    assert "Test films: sensitivity 1.00 [0.90, 1.00], specificity 0.00 [0.00, 0.10]" in figure
    assert "a third" not in figure
    x, y = svg_place(1, 1)  # a point of the square's corner lies on it
    assert f'cx="{x:.1f}" cy="{y:.1f}"' in figure


@verifies("SRS-232@939386d8")
def test_the_axes_run_from_0_to_1_and_the_line_of_chance_between_their_ends(
    tmp_path: Path,
) -> None:
    figure = drawn(tmp_path)
    assert f'class="axis" x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}"' in figure
    assert f'class="chance" x1="{LEFT}" y1="{TOP + SIDE}" x2="{LEFT + SIDE}" y2="{TOP}"' in figure
    ticks = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">([\d.]+)<', figure)
    below = {float(at): float(x) for x, _, anchor, at in ticks if anchor == "middle"}
    beside = {float(at): float(y) for _, y, anchor, at in ticks if anchor == "end"}
    assert below == {at: svg_place(at, 0)[0] for at in (0.0, 0.5, 1.0)}
    assert list(beside) == [0.0, 0.5, 1.0]
    for at, y in beside.items():
        assert y == pytest.approx(svg_place(0, at)[1], abs=4)  # the middle of a line of text
    assert ">false-positive rate</text>" in figure
    assert ">sensitivity</text>" in figure


@verifies("SRS-232@939386d8")
def test_all_that_is_written_lies_within_the_drawing(tmp_path: Path) -> None:
    figure = drawn(tmp_path)
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', figure)[0])
    assert width >= LEFT + SIDE + 4  # half of the last tick's figure
    for x, y in re.findall(r'<text x="([\d.]+)" y="([\d.]+)"', figure):
        assert 0 < float(x) < width
        assert 7 < float(y) <= height - 4  # of letters that go below the line
    ((x, y),) = re.findall(r"translate\(([\d.]+) ([\d.]+)\) rotate\(-90\)", figure)
    assert 8 < float(x) < LEFT
    assert float(y) == TOP + SIDE / 2
    centre = re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="middle">f', figure)
    assert [float(at) for at in centre] == [LEFT + SIDE / 2]


@verifies("SRS-232@939386d8")
@pytest.mark.parametrize(
    "damaged",
    [
        {"sensitivity": {"estimate": 1.01, "lower": 0.7, "upper": 1.0}},
        {"sensitivity": {"estimate": -0.01, "lower": 0.0, "upper": 0.1}},
        {"specificity": {"estimate": 1.01, "lower": 0.7, "upper": 1.0}},
        {"specificity": {"estimate": -0.01, "lower": 0.0, "upper": 0.1}},
        {"sensitivity": {"estimate": 0.75, "lower": 0.7}},
        {"sensitivity": None},
    ],
)
def test_a_point_off_the_square_is_not_drawn(damaged: dict[str, Any], tmp_path: Path) -> None:
    assert drawn(tmp_path, operating_point={**POINT, **damaged}) == ""


@verifies("SRS-232@939386d8")
def test_a_card_that_is_absent_or_damaged_gives_no_figure(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    assert roc_figure(path) == ""
    for damage in (b"", b"{", b"[]", b"{}", b'{"operating_point": {"endpoint": "e"}}'):
        path.write_bytes(damage)
        assert roc_figure(path) == ""
    uneven = {**CURVE, "sensitivity": [0.0, 1.0]}
    assert drawn(tmp_path, roc=[uneven]) == ""
