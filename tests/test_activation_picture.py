"""The activation map as a picture: which cells are drawn, how densely, and the words on it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cxr_device.explanation import ActivationMap
from cxr_device.outputs.activation_picture import draw_map, legend
from verification import verifies

REFERENCE = Path(__file__).parent / "references" / "activation_map.png"


def map_of(cells: list[list[float]]) -> ActivationMap:
    return ActivationMap(cells=np.array(cells, dtype=np.float64), offset=0.0)


def drawn(cells: list[list[float]], *, columns: int = 300, rows: int = 300) -> NDArray[np.int16]:
    picture = draw_map(map_of(cells), columns=columns, rows=rows)
    assert picture.mode == "RGBA"
    return np.asarray(picture).astype(np.int16)


@verifies("SRS-236@b66621e7", "RC-178@72e47793")
def test_cells_above_the_mean_are_orange_and_cells_below_it_blue() -> None:
    picture = drawn([[3.0, 1.0], [1.0, -1.0]])  # their mean is 1
    red, green, blue, alpha = picture[10, 10]
    assert red > green > blue
    assert alpha == 255
    red, green, blue, alpha = picture[240, 290]
    assert blue > green > red
    assert alpha == 255
    assert picture[10, 290, 3] == picture[240, 10, 3] == 0  # a mean cell


@verifies("SRS-236@b66621e7")
def test_a_cell_is_the_denser_the_farther_it_lies_from_the_mean() -> None:
    picture = drawn([[4.0, 2.0, -2.0, -4.0]], columns=400, rows=100)
    dense = [picture[10, column, 3] for column in (20, 150, 250, 380)]
    assert dense == pytest.approx([255, 127, 127, 255], abs=1)


@verifies("SRS-236@b66621e7")
@pytest.mark.parametrize("value", [0.0, 5.0, 1e-12])
def test_a_flat_map_is_empty_but_for_its_words(value: float) -> None:
    cells = [[value, 0.0], [0.0, 0.0]] if value < 1 else [[value, value], [value, value]]
    assert drawn(cells)[:-16, :, 3].max() <= 1


@verifies("SRS-236@b66621e7")
@pytest.mark.parametrize(
    ("columns", "rows", "size"),
    [
        (300, 200, (300, 200)), (448, 448, (448, 448)),  # as the film
        (2240, 1120, (448, 224)), (1120, 2240, (224, 448)),  # smaller, in its form
        (4480, 1, (448, 1)), (1, 4480, (1, 448)),
    ],
)  # fmt: skip
def test_a_map_has_the_form_of_its_film(columns: int, rows: int, size: tuple[int, int]) -> None:
    assert draw_map(map_of([[1.0, -1.0]]), columns=columns, rows=rows).size == size


@verifies("SRS-178@5aa37ec3", "RC-178@72e47793", "SRS-155@5e9e6fbd")
def test_the_words_stand_white_on_black_at_the_foot() -> None:
    foot = drawn([[1.0, 1.0], [1.0, 0.0]], columns=448, rows=448)[-16:]
    box = np.nonzero((foot[..., 3] == 255).all(axis=0) & (foot[0, :, :3].sum(axis=-1) == 0))[0]
    assert box.min() == 0
    assert (foot[:, box, 3] == 255).all()  # nothing of the map is seen through it
    inside = foot[:, box, :3]
    white = np.nonzero((inside > 200).all(axis=-1))
    assert white[0].size > 100
    assert white[1].min() >= 4
    assert white[1].max() <= box.max() - 4
    assert 1 <= white[0].min() < white[0].max() <= 14


@verifies("SRS-236@b66621e7", "RC-178@72e47793")
def test_the_map_is_drawn_as_it_was_reviewed(tmp_path: Path) -> None:
    """Another drawing is looked at before it replaces the reference."""
    cells = np.add.outer(np.linspace(-1, 2, 7), np.linspace(0, 1, 5) ** 2)
    picture = draw_map(ActivationMap(cells=cells, offset=0.0), columns=250, rows=350)
    picture.save(tmp_path / REFERENCE.name)
    with Image.open(REFERENCE) as reference:
        same = np.array_equal(np.asarray(picture), np.asarray(reference))
    assert same, f"look at {tmp_path / REFERENCE.name}; if it is right, it replaces {REFERENCE}"


@verifies("SRS-236@b66621e7", "SRS-155@5e9e6fbd")
def test_the_legend_says_what_colours_and_cells_are() -> None:
    told = legend(map_of([[3.0, 1.0, 1.0], [1.0, 1.0, -1.0]]))
    assert "not the device" in told
    assert "2 x 3 cells" in told
    assert "orange add more" in told
    assert "up to +2.000 logits" in told
    assert "down to -2.000" in told
    assert "outlines no finding" in told
