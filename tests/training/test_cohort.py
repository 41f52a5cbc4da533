"""Cohort and splits: rules with their counts, and no patient in two splits."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nih_layout import Layout, cohort, film, name, row

from verification import verifies

pytest.importorskip("pandas", reason="pandas is not installed")

from cxr_device.errors import DatasetError
from cxr_device.training.cohort import Cohort, select
from cxr_device.training.dataset import Dataset, read_dataset
from cxr_device.training.splits import Rule, overlap, split


def selected(folder: Path) -> tuple[Dataset, Cohort]:
    """The download and its cohort of 22 to 120 years."""
    dataset = read_dataset(folder)
    return dataset, select(dataset, min_age_years=22, max_age_years=120)


@verifies("SRS-268@980e084f", "RC-266@9a857f35", level="integration")
def test_each_rule_leaves_out_its_own_films_and_the_flow_counts_them(tmp_path: Path) -> None:
    rows = [
        row(1), row(2), row(2), row(3, age="?"), row(4, age=21), row(5, age=22), row(6, age=121),
        row(7, view="LL"), row(8), row(9, labels="Pneumonia"), row(10), row(11),
    ]  # fmt: skip
    layout = Layout(tmp_path, rows).table()
    layout.images({name(n): film(n, side=32) for n in range(1, 11)})
    for kind, patient in (("non_PA_AP_view", 8), ("rotated_images", 9)):
        (tmp_path / f"blacklist_{kind}.csv").write_text(name(patient) + "\n")
    _, found = selected(tmp_path)
    assert found.table["nih_name"].tolist() == [name(1), name(5), name(10)]
    assert [(s.left_out, s.images, s.patients, s.pneumonia) for s in found.steps] == [
        (0, 12, 11, 1), (2, 10, 10, 1), (1, 9, 9, 1), (2, 7, 7, 1), (1, 6, 6, 1), (1, 5, 5, 1),
        (1, 4, 4, 0), (1, 3, 3, 0),
    ]  # fmt: skip
    rules = [step.rule for step in found.steps]
    assert rules[3] == "age 22 to 120 years"
    assert rules[5:7] == [
        "not on NIH's list of images: not frontal", "not on NIH's list of images: rotated",
    ]  # fmt: skip


@verifies("SRS-268@980e084f", level="integration")
def test_the_cohort_is_the_same_whatever_the_findings(tmp_path: Path) -> None:
    rows = [row(n, labels=("Pneumonia", "No Finding")[n % 2], age=15 + n) for n in range(1, 21)]
    films = {name(n): film(n, side=32) for n in range(1, 21)}
    Layout(tmp_path / "a", rows).table().images(films)
    other = [line.replace("Pneumonia", "Mass") for line in rows]
    Layout(tmp_path / "b", other).table().images(films)
    (_, a), (_, b) = selected(tmp_path / "a"), selected(tmp_path / "b")
    assert a.table["nih_name"].tolist() == b.table["nih_name"].tolist()


@verifies("SRS-269@1433a914", "RC-265@cb00d5d2", level="integration")
@pytest.mark.parametrize("rule", ["official", "hash"])
def test_the_splits_share_no_patient(tmp_path: Path, rule: Rule) -> None:
    cohort(tmp_path, patients=80, side=32)
    dataset, found = selected(tmp_path)
    done = split(found.table, dataset, rule=rule, key="k")
    patients = done.table.groupby("split")["patient_id"].agg(set)
    assert set(patients.index) == {"train", "tune", "test"}
    assert sum(map(len, patients)) == len(set().union(*patients)) == 80
    assert done.record["patients_in_two_splits"] == 0
    again = split(found.table.sample(frac=1, random_state=1), dataset, rule=rule, key="k").table
    left = done.table.set_index("nih_name")["split"].sort_index()
    assert left.equals(again.set_index("nih_name")["split"].sort_index())
    other = split(found.table, dataset, rule=rule, key="another").table
    assert not left.equals(other.set_index("nih_name")["split"].sort_index())


@verifies("SRS-269@1433a914", level="integration")
def test_official_test_films_stay_test_and_unlisted_ones_are_counted(tmp_path: Path) -> None:
    cohort(tmp_path, patients=8, side=32)
    names = [name(n, f) for n in range(1, 9) for f in (0, 1)]
    Layout(tmp_path).lists(train_val=names[:8], test=names[8:14])
    dataset, found = selected(tmp_path)
    done = split(found.table, dataset, rule="official", key="k")
    assert done.table.loc[done.table["split"] == "test", "nih_name"].tolist() == names[8:14]
    assert done.record["images_in_no_list"] == {"n": 2, "examples": names[14:]}
    assert done.record["name"].startswith("NIH official lists")


@verifies("SRS-269@1433a914", level="integration")
def test_prevalence_and_shares_of_the_hash_are_those_of_the_whole() -> None:
    n = 20_000
    table = pd.DataFrame({
        "patient_id": [f"nih-{i // 2:05d}" for i in range(n)],
        "nih_name": [f"{i}.png" for i in range(n)],
        "label_pneumonia": [int(i % 77 == 0) for i in range(n)],
    })  # fmt: skip
    record = split(table, None, rule="hash", key="k").record  # type: ignore[arg-type]
    shares = [record["counts"][s]["patients"] / (n / 2) for s in ("train", "tune", "test")]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.015)
    rates = [record["counts"][s]["prevalence"] for s in ("train", "tune", "test")]
    assert rates == pytest.approx([1 / 77] * 3, abs=0.006)


@verifies("SRS-269@1433a914", level="integration")
def test_lists_in_the_form_of_chexnet_reproductions_are_named_for_what_they_are(
    tmp_path: Path,
) -> None:
    cohort(tmp_path / "nih", patients=6, side=32)
    for file, patients in (("train", (1, 2, 3)), ("val", (4,)), ("test", (5,))):
        lines = [f"{name(n, f)} 0 1 0" for n in patients for f in (0, 1)]
        (tmp_path / f"{file}_list.txt").write_text("\n".join(lines) + "\n")
    dataset, found = selected(tmp_path / "nih")
    done = split(found.table, dataset, rule="lists", key="", lists=tmp_path)
    assert done.table["split"].value_counts().to_dict() == {"train": 6, "tune": 2, "test": 2}
    assert "neither NIH's official lists" in done.record["name"]
    assert done.record["images_in_no_list"]["n"] == 2


@verifies("SRS-269@1433a914", "RC-265@cb00d5d2", level="integration")
def test_lists_that_divide_a_patient_or_name_an_image_twice_are_refused(tmp_path: Path) -> None:
    cohort(tmp_path, patients=8, side=32)
    names = [name(n, f) for n in range(1, 9) for f in (0, 1)]
    Layout(tmp_path).lists(train_val=names[:7], test=names[7:])
    dataset, found = selected(tmp_path)
    with pytest.raises(DatasetError, match=r"1 patients are in more than one split \(nih-00004\)"):
        split(found.table, dataset, rule="official", key="k")
    Layout(tmp_path).lists(train_val=names[:9], test=names[8:])
    with pytest.raises(DatasetError, match=f"train_val and test \\({name(5)}"):
        split(found.table, read_dataset(tmp_path), rule="official", key="k")
    (tmp_path / "test_list.txt").unlink()
    with pytest.raises(DatasetError, match=r"holds no test_list\.txt"):
        split(found.table, read_dataset(tmp_path), rule="official", key="k")


@verifies("SRS-269@1433a914", "RC-265@cb00d5d2", level="integration")
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["train", "tune"])), min_size=1))
def test_overlap_names_exactly_the_patients_in_two_splits(films: list[tuple[int, str]]) -> None:
    table = pd.DataFrame(films, columns=["patient_id", "split"])
    seen: dict[int, set[str]] = {}
    for patient, place in films:
        seen.setdefault(patient, set()).add(place)
    assert overlap(table) == {str(patient) for patient, places in seen.items() if len(places) > 1}
