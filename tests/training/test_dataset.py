"""A ChestX-ray14 download: read as NIH ships it, described, and refused where it contradicts."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from nih_layout import SAMPLE_HEADER, Layout, cohort, film, name, row
from PIL import Image

from verification import verifies

pytest.importorskip("pandas", reason="pandas is not installed")

from cxr_device.cli import main
from cxr_device.errors import DatasetError
from cxr_device.training.dataset import read_dataset, years
from cxr_device.training.describe import describe_tables
from cxr_device.training.describe_pixels import NEEDS_IMAGES, describe_pixels


def layout(folder: Path, *rows: str) -> Path:
    """A download of these rows."""
    Layout(folder, list(rows)).table()
    return folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [("58", 58.0), ("058Y", 58.0), ("414", 414.0), ("012M", 1.0), ("001D", 1 / 365.25)],
)
def test_ages_of_the_table_and_of_the_sample_are_years(text: str, expected: float) -> None:
    assert years(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "old", "-3", "58.5", "1000"])
def test_what_is_no_age_is_nan(text: str) -> None:
    assert np.isnan(years(text))


@verifies("SRS-265@4da27776", level="integration")
def test_the_report_counts_what_the_table_says(tmp_path: Path) -> None:
    folder = layout(
        tmp_path,
        row(1, 0, labels="Pneumonia|Infiltration", age=40, sex="M", view="AP"),
        row(1, 1, age=38, sex="M"),
        row(2, 0, labels="Pneumonia", age=414),
        row(3, 0, labels="Effusion|Infiltration", age=17, sex="M", view="AP"),
        row(3, 2, labels="Effusion", age="x"),
    )
    report = describe_tables(read_dataset(folder))
    assert (report["images"], report["patients"]) == (5, 3)
    assert report["demographics"]["sex"]["M"] == {
        "images": 3, "patients": 2, "share": 0.6, "pneumonia": 1, "pneumonia_share": 0.333333,
    }  # fmt: skip
    assert report["demographics"]["age_years"]["n"] == 3  # 414 and `x` are no ages
    assert report["views"]["AP"]["images"] == 2
    assert report["findings"]["Pneumonia"]["alone"] == 1
    assert report["findings"]["No Finding"]["images"] == 1
    assert report["findings"]["Effusion"] == {
        "images": 2, "share": 0.4, "patients": 1, "alone": 1, "by_view": {"AP": 1, "PA": 1},
    }  # fmt: skip
    assert report["pneumonia"]["with"]["images"] == 2
    assert report["pneumonia"]["patients_with_and_without"] == 1
    both = report["comorbidity"]["images_with_both"]
    assert both["Pneumonia"]["Infiltration"] == both["Infiltration"]["Pneumonia"] == 1
    assert report["comorbidity"]["beside_pneumonia"]["Infiltration"] == {
        "with_pneumonia": 0.5, "without_pneumonia": 0.333333,
    }  # fmt: skip
    assert report["findings_per_image"] == {"0": 1, "1": 2, "2": 2}
    assert report["findings_per_patient"] == {"1": 1, "2": 2}
    assert report["images_per_patient"]["patients_by_images"]["2"] == 2
    assert report["follow_ups"]["patients_with_follow_up"] == 2
    assert report["follow_ups"]["patients_whose_numbers_skip"] == 1
    errors = {kind: entry["examples"] for kind, entry in report["ages"].items()}
    assert errors == {
        "unreadable": [name(3, 2)], "over_120_years": [name(2)], "under_1_year": [],
        "under_18_years": [name(3)], "younger_than_at_an_earlier_film": [name(1, 1)],
    }  # fmt: skip


@verifies("SRS-265@4da27776", level="integration")
def test_the_report_names_duplicates_and_contradictions(tmp_path: Path) -> None:
    folder = layout(
        tmp_path, row(1), row(1), row(2, sex="F"), row(2, 1, sex="M"),
        row(9, 0).replace(",9,", ",8,"),
    )  # fmt: skip
    Layout(folder).lists(train_val=[name(1), name(2)], test=[name(2, 1), name(77)])
    Layout(folder).images({name(1): film(1)}, part=1).images({name(1): film(1)}, part=2)
    report = describe_tables(read_dataset(folder))
    assert report["duplicates"]["rows_of_an_image_already_named"]["examples"] == [name(1)]
    assert report["duplicates"]["image_files_of_one_name"]["examples"] == [name(1)]
    assert report["consistency"]["patients_of_two_sexes"]["examples"] == ["nih-00002"]
    assert report["consistency"]["name_of_another_patient"]["examples"] == [name(9)]
    assert report["lists"]["patients_in_both_official_lists"]["examples"] == ["nih-00002"]
    assert report["lists"]["in_no_official_list"]["examples"] == [name(9)]
    assert report["lists"]["test"]["not_in_the_table"] == 1


@verifies("SRS-265@4da27776", level="integration")
def test_the_samples_table_reads_like_the_full_one(tmp_path: Path) -> None:
    lines = [
        SAMPLE_HEADER,
        row(13, 5, labels="Emphysema", age="060Y").replace(",13,", ",00000013,"),
    ]
    (tmp_path / "sample_labels.csv").write_text("\n".join(lines) + "\n")
    (film_row,) = read_dataset(tmp_path).table.to_dict("records")
    assert film_row["patient_id"] == "nih-00013"
    assert film_row["age"] == pytest.approx(60)
    assert film_row["orig_w"] == 2500


@verifies("SRS-265@4da27776", level="integration")
def test_pixel_statistics_are_those_of_the_levels(tmp_path: Path) -> None:
    half = np.zeros((64, 64), dtype=np.uint8)
    half[:, 32:] = 200
    whole = np.full((64, 64), 255, dtype=np.uint8)
    folder = layout(tmp_path, row(1, view="PA"), row(2, view="AP"), row(3, view="AP"))
    Layout(folder).images({name(1): half, name(2): whole, name(3): whole})
    Image.fromarray(half).convert("RGBA").save(folder / "images_001/images" / name(1))
    pixels = describe_pixels(read_dataset(folder), sample=0)
    first, rest = pixels["by_view"]["PA"], pixels["by_view"]["AP"]
    assert (first["mean"], first["sd"], first["black_share"]) == (100.0, 100.0, 0.5)
    assert (rest["mean"], rest["sd"], rest["white_share"]) == (255.0, 0.0, 1.0)
    assert first["histogram"][0] == first["histogram"][200 // 8] == 0.5
    assert pixels["modes"] == {"L": 2, "RGBA": 1}
    assert pixels["equal_content"] == [[name(2), name(3)]]


@verifies("SRS-266@08c98ef9", level="integration")
def test_a_label_table_alone_is_described_and_the_rest_named(tmp_path: Path) -> None:
    folder, out = layout(tmp_path / "nih", row(1), row(2, labels="Pneumonia")), tmp_path / "out"
    result = CliRunner().invoke(main, ["dataset", "describe", str(folder), "--out", str(out)])
    assert result.exit_code == 0
    report = json.loads((out / "report.json").read_text())
    assert report["pixels"] is None
    assert report["needs_images"] == list(NEEDS_IMAGES)
    page = (out / "report.html").read_text()
    assert all(part in page for part in NEEDS_IMAGES)
    assert "<svg" in page
    assert "http" not in page.replace("https://", "http").split("<footer>")[0]


@verifies("SRS-266@08c98ef9", level="integration")
def test_the_full_table_gives_the_known_numbers(shared_data: Path) -> None:
    report = describe_tables(read_dataset(shared_data / "nih/tables"))
    assert (report["images"], report["patients"]) == (112_120, 30_805)
    assert report["pneumonia"]["with"]["images"] == 1_431
    assert report["pneumonia"]["with"]["patients"] == 1_008
    assert report["findings"]["Pneumonia"]["alone"] == 322
    assert report["lists"]["train_val"]["images"] == 86_524
    assert report["lists"]["test"]["images"] == 25_596
    assert report["lists"]["patients_in_both_official_lists"]["n"] == 0
    assert report["boxes"]["by_finding"]["Pneumonia"]["boxes"] == 120


GOOD = row(1)


@verifies("SRS-267@885e8169", "RC-266@9a857f35", level="integration")
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((row(1, labels="Covid"),), ("row 2", name(1), "'Covid' is unknown")),
        ((GOOD, row(2, labels="No Finding|Mass")), ("row 3", "contradicts")),
        ((GOOD.replace(",1,", ",one,"),), ("row 2", "Patient ID", "'one'", "no number")),
        ((GOOD.replace(",2500,", ",,"),), ("OriginalImage[Width", "''", "no number")),
        ((), ("no rows",)),
    ],
)
def test_a_wrong_row_is_named(
    tmp_path: Path, rows: tuple[str, ...], words: tuple[str, ...]
) -> None:
    with pytest.raises(DatasetError) as caught:
        read_dataset(layout(tmp_path, *rows))
    assert all(word in str(caught.value) for word in ("Data_Entry_2017_v2020.csv", *words))


@verifies("SRS-267@885e8169", level="integration")
def test_a_missing_folder_table_or_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is no folder"):
        read_dataset(tmp_path / "absent")
    with pytest.raises(DatasetError, match="Data_Entry_2017"):
        read_dataset(tmp_path)
    (tmp_path / "Data_Entry_2017.csv").write_text("Image Index,Patient ID\nx,1\n")
    with pytest.raises(DatasetError, match="no column 'Finding Labels'"):
        read_dataset(tmp_path)
    layout(tmp_path, row(1))
    with pytest.raises(DatasetError, match="more than one label table"):
        read_dataset(tmp_path)


@verifies("SRS-267@885e8169", level="integration")
def test_a_cut_gzip_is_named_and_exits_2(tmp_path: Path) -> None:
    blob = gzip.compress((row(1) + "\n").encode() * 100)
    (tmp_path / "Data_Entry_2017.csv.gz").write_bytes(blob[:-9])
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["dataset", "describe", str(tmp_path), "--out", str(out)])
    assert result.exit_code == 2
    assert "Data_Entry_2017.csv.gz: cannot be read" in result.output
    assert not out.exists()


@verifies("SRS-265@4da27776", level="integration")
def test_every_number_of_the_page_stands_in_the_record(tmp_path: Path) -> None:
    folder, out = tmp_path / "nih", tmp_path / "out"
    cohort(folder, patients=12, side=64)
    result = CliRunner().invoke(main, ["dataset", "describe", str(folder), "--out", str(out)])
    assert result.exit_code == 0, result.output
    report = json.loads((out / "report.json").read_text())
    assert report["pixels"]["read"] == report["images"] == 24
    assert sum(report["pixels"]["by_finding"]["Effusion"]["histogram"]) == pytest.approx(
        1, abs=1e-4
    )
    page = (out / "report.html").read_text()
    assert page.count("<svg") == page.count("</svg>") > 8
    assert "<script" not in page
