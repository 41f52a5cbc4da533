"""Qualification of the checker: a folder of faults, each of which must be found.

One file a fault in `seeded_faults/`: what is changed in the sample project, and the finding that
must follow. The clean project must give none.
"""

# fixtures of conftest.py; fixed commands

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from verification.findings import RULES

FOLDER = Path(__file__).parent / "seeded_faults"
FAULTS = {
    path.stem: tomllib.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.toml"))
}


def test_every_rule_has_a_seeded_fault() -> None:
    assert {fault["rule"] for fault in FAULTS.values()} == set(RULES)


def test_the_clean_project_has_no_finding(clean: Any) -> None:
    checked = clean.verify("check")
    assert checked.exit_code == 0, checked.output
    assert "clean" in checked.output


def _apply(project: Any, edit: dict[str, str]) -> None:
    path = project.path(edit["file"])
    path.parent.mkdir(parents=True, exist_ok=True)
    if "append" in edit:
        known = path.read_text("utf-8") if path.exists() else ""
        path.write_text(known + edit["append"], "utf-8")
    elif "cut_from" in edit:
        text = path.read_text("utf-8")
        path.write_text(text[: text.index(edit["cut_from"])], "utf-8")
    elif "latin_1" in edit:
        path.write_bytes(path.read_bytes() + edit["latin_1"].encode("latin-1"))
    elif "deep" in edit:
        path.write_text("[" * 200_000, "utf-8")
    elif "replace_all" in edit:
        path.write_text(edit["replace_all"], "utf-8")
    else:
        project.edit(edit["file"], edit["find"], edit["replace"])


@pytest.mark.parametrize("name", FAULTS)
def test_a_seeded_fault_is_found(project: Any, name: str) -> None:
    fault = FAULTS[name]
    for edit in fault["edit"]:
        _apply(project, edit)
    if fault["commit"]:
        project.commit()
    if fault["rerun"]:
        project.pytest()
    release = ["--release"] if fault.get("release") else []
    checked = project.verify("check", "--json", *release)
    assert checked.exit_code == 1, checked.output
    found = [
        finding
        for finding in json.loads(checked.stdout)["findings"]
        if finding["rule"] == fault["rule"] and finding["item"] == fault["expect"]["item"]
    ]
    assert fault["expect"]["file"] in {finding["file"] for finding in found}, checked.output
    assert all(finding["line"] >= 1 for finding in found)
