"""Scoring a manifest: what is no film of 8 bits is left out by name, what is missing is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from builders import dx, pixels, to_bytes
from PIL import Image

from cxr_device import Device
from cxr_device.training.score import score_manifest
from verification import verifies


def manifest(folder: Path, **columns: list[object]) -> Path:
    """A manifest beside its images."""
    path = folder / "manifest.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@verifies("SRS-357@61059176", level="unit")
def test_what_is_no_film_of_8_bits_has_no_score_and_is_named(
    tmp_path: Path, device: Device
) -> None:
    grey = pixels(side=512) >> 4
    Image.fromarray(grey.astype(np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    colours = np.stack([grey, grey, 255 - grey], axis=-1).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "colours.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "grey.png").read_bytes()[:-40])
    Image.fromarray(grey[:31, :40].astype(np.uint8)).save(tmp_path / "small.png")
    names: list[Any] = ["grey.png", "deep.png", "colours.png", "cut.png", "none.png", "small.png"]
    found = score_manifest(manifest(tmp_path, file=names), device)
    assert found.table["file"].tolist() == ["grey.png"]
    assert [line.split(":")[0] for line in found.left_out] == names[1:]
    assert "8-bit" in found.left_out[0]
    assert "colour" in found.left_out[1]
    assert found.left_out[4] == "small.png: 40 x 31 pixels; accepted: 32 a side"


@verifies("SRS-357@61059176", level="unit")
def test_a_dicom_film_is_one_whatever_the_case_of_its_suffix(
    tmp_path: Path, device: Device
) -> None:
    (tmp_path / "FILM.DCM").write_bytes(to_bytes(dx(pixels())))
    found = score_manifest(manifest(tmp_path, file=["FILM.DCM"]), device)
    assert found.table["guards"].tolist() == ["exercised"]


@verifies("SRS-357@61059176", level="unit")
@pytest.mark.parametrize("missing", ["file", "split", "age", "view"])
def test_a_column_that_is_missing_is_named(tmp_path: Path, device: Device, missing: str) -> None:
    columns: dict[str, list[object]] = {"file": ["a.png"], "split": ["test"], "age": [40]}
    columns["view"] = ["PA"]
    del columns[missing]
    with pytest.raises(ValueError, match=f"no column `{missing}`"):
        score_manifest(manifest(tmp_path, **columns), device, split="test", within_label=True)
