"""Every check code: a control, a requirement, a test, an explanation, a line of conformance."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from cxr_device.checks import DESCRIPTIONS
from cxr_device.cli import main
from cxr_device.conformance import statement
from cxr_device.release import Release
from cxr_device.vocabulary import CheckCode
from verification import verifies

ROOT = Path(__file__).resolve().parents[2]
FIELD = re.compile(r"^   :(\w+): (.+)$", re.MULTILINE)


def items(path: str) -> list[dict[str, str]]:
    """The fields of each item of a document."""
    blocks = re.split(r"^\.\. ", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [fields for block in blocks if (fields := dict(FIELD.findall(block)))]


CONTROLS = {item["code"]: item for item in items("risk/controls.rst") if "code" in item}
REQUIREMENTS = items("design_history_file/software_requirements.rst")
TESTED = {
    word
    for path in (ROOT / "tests").rglob("test_*.py")
    for word in re.findall(r'"((?:SRS|RC)-\d+)', path.read_text(encoding="utf-8"))
}


def test_the_controls_name_every_code_and_no_other() -> None:
    assert set(CONTROLS) == set(CheckCode)


@verifies("SRS-157@74eb2bf2", "SRS-181@63e776af", "SRS-182@1cf56f19", level="system")
@pytest.mark.parametrize("code", CheckCode)
def test_a_code_has_an_item_a_test_an_explanation_and_a_line(code: CheckCode) -> None:
    control = CONTROLS[code]
    found = [
        item for item in REQUIREMENTS if control["id"] in item.get("implements", "").split(", ")
    ]
    assert found
    assert code in (ROOT / "design_history_file/software_requirements.rst").read_text("utf-8")
    for item in found:
        assert item["status"] == "planned" or item["id"] in TESTED

    label, described = Release.load().label, DESCRIPTIONS[code]
    told = CliRunner().invoke(main, ["explain", code]).output
    for text in (described.tag, described.accepted_by(label), described.hazard, described.action):
        assert text in told
    (line,) = [line for line in statement(Release.load()).splitlines() if f"| {code} |" in line]
    for text in (described.tag, described.accepted_by(label), described.otherwise):
        assert text in line
