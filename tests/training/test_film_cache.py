"""Decoded films: kept only as long as they are those films, and named where they are none."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from cxr_device.errors import DatasetError
from cxr_device.training import films
from cxr_device.training.films import squares
from verification import verifies

SIDE = 16


def film(path: Path, level: int) -> Path:
    """A flat film."""
    Image.fromarray(np.full((32, 32), level, dtype=np.uint8)).save(path)
    return path


def table(*paths: Path) -> pd.DataFrame:
    """Films by their paths."""
    return pd.DataFrame({"path": [str(path) for path in paths]})


@verifies("SRS-355@dc08938a", level="unit")
def test_a_film_that_was_replaced_is_decoded_anew(tmp_path: Path) -> None:
    both = table(film(tmp_path / "a.png", 100), film(tmp_path / "b.png", 100))
    first = squares(both, size=SIDE, cache=tmp_path)
    again = squares(both, size=SIDE, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 1
    np.testing.assert_array_equal(first, again)
    film(tmp_path / "b.png", 200)
    after = squares(both, size=SIDE, cache=tmp_path)
    assert (after[0] == 100 * 257).all()
    assert (after[1] == 200 * 257).all()


@verifies("SRS-355@dc08938a", level="unit")
def test_another_preprocessing_is_another_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = table(film(tmp_path / "a.png", 100))
    squares(one, size=SIDE, cache=tmp_path)
    (tmp_path / "preprocessing.py").write_text("# another resize\n", encoding="utf-8")
    monkeypatch.setattr(films, "PACKAGE", tmp_path)
    squares(one, size=SIDE, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 2


@verifies("SRS-355@dc08938a", level="unit")
def test_two_at_once_both_get_every_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = table(film(tmp_path / "a.png", 100), film(tmp_path / "b.png", 50))
    decode: Callable[[str, int], NDArray[np.uint16]] = films._square  # noqa: SLF001
    begun, found = threading.Event(), []
    beside = threading.Thread(
        target=lambda: found.append(squares(both, size=SIDE, cache=tmp_path / "c"))
    )

    def late(path: str, size: int) -> NDArray[np.uint16]:
        if threading.current_thread() is not beside and not begun.is_set():
            begun.set()
            monkeypatch.setattr(films, "_square", decode)
            beside.start()  # another one, from its beginning to its end
            beside.join()
        return decode(path, size)

    monkeypatch.setattr(films, "_square", late)
    found.append(squares(both, size=SIDE, cache=tmp_path / "c"))
    assert len(found) == 2
    for pixels in found:
        assert (pixels[0] == 100 * 257).all()
        assert (pixels[1] == 50 * 257).all()
    assert len(list((tmp_path / "c").iterdir())) == 1


@verifies("SRS-355@dc08938a", level="unit")
@pytest.mark.parametrize("fault", ["missing", "16 bits", "cut"])
def test_what_is_no_film_is_named_and_leaves_no_cache(tmp_path: Path, fault: str) -> None:
    whole, other = film(tmp_path / "a.png", 100), tmp_path / "other.png"
    if fault == "16 bits":
        Image.fromarray(np.full((32, 32), 40_000, dtype=np.uint16)).save(other)
    elif fault == "cut":
        other.write_bytes(whole.read_bytes()[:-30])
    with pytest.raises(DatasetError, match=r"other\.png"):
        squares(table(whole, other), size=SIDE, cache=tmp_path / "c")
    assert not list((tmp_path / "c").glob("*"))
