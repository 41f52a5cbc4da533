"""Numbers of the documents: each is read from a file, or names the value that it equals."""

import json
from pathlib import Path

import pytest

from verification import verifies
from verification.typed_numbers import documents, typed_numbers

ROOT = Path(__file__).resolve().parents[2]


@verifies("SRS-214@1f21e573", "RC-203@a9bc1b37", level="integration")
def test_no_document_carries_a_number_that_no_file_answers_for() -> None:
    """README, instructions for use, model card, submission and the standalone protocol."""
    paths = documents(ROOT)
    names = {path.name for path in paths}
    assert {"README.md", "model_card.rst", "performance.rst", "summary_510k.rst"} <= names
    assert [one.describe() for path in paths for one in typed_numbers(path, ROOT)] == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "protocol.toml").write_text("[statistics]\nlevel = 0.95\n")
    content = {"auc": {"estimate": 0.8077, "lower": 0.76}, "n": 1422, "share": 0.31}
    (tmp_path / "r.json").write_text(json.dumps(content), "utf-8")
    return tmp_path


def faults(project: Path, name: str, text: str) -> list[str]:
    """Return the numbers found in one document."""
    (project / name).write_text(text, "utf-8")
    return [one.text for one in typed_numbers(project / name, project)]


@verifies("SRS-214@1f21e573", level="unit")
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The AUC is 0.81.", ["0.81"]),
        ("The AUC is .81 on the whole.", [".81"]),
        ("Sensitivity 80 % and 81.5%.", ["80 %", "81.5%"]),
        ("The interval is [0.76, 0.85].", ["[0.76, 0.85]"]),
        ("The interval is (0.76 to 0.85).", ["(0.76 to 0.85)"]),
        ("On 1,422 films of 621 other patients.", ["1,422", "621"]),
        ("A 90 % interval.", ["90 %"]),
        ("A 95 % interval, Python 3.11, version 0.1.0, 510(k), 22 years, 21 CFR 892.2080.", []),
        ("The AUC is :metric:`r.json#/auc/estimate .2f` of ``0.81``.", []),
        (".. metric-table:: r.json#/0.81\n   :formats: 0.81\n", []),
    ],
)
def test_typed_numbers_of_a_page_are_found(project: Path, text: str, found: list[str]) -> None:
    assert faults(project, "page.rst", text + "\n") == found


@verifies("SRS-214@1f21e573", level="unit")
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("AUC 0.81 <!-- r.json#/auc/estimate .2f -->.", []),
        ("AUC 0.82 <!-- r.json#/auc/estimate .2f -->.", ["0.82"]),
        ("AUC 0.81 <!-- r.json#/auc/none .2f -->.", ["0.81"]),
        ("AUC 0.81.", ["0.81"]),
        ("31 % <!-- r.json#/share .0% --> of 1,422 <!-- r.json#/n --> films.", []),
        ("31 % <!-- r.json#/share .0% --> of 1,423 <!-- r.json#/n --> films.", ["1,423"]),
        ("```\nAUC 0.81\n```\n`0.81` [x](0.81)", []),
    ],
)
def test_a_number_of_the_readme_equals_the_value_it_names(
    project: Path, text: str, found: list[str]
) -> None:
    assert faults(project, "README.md", text + "\n") == found
