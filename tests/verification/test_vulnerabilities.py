"""Known vulnerabilities: both ends of a range, and every way in which the check must not pass."""

import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from verification import verifies, vulnerabilities
from verification.cli import main
from verification.findings import ProjectError

TODAY = datetime(2026, 11, 24, tzinfo=UTC)
LOCK = (
    "pydicom==3.0.1 \\\n    --hash=sha256:{d}\nPillow==12.0.0 \\\n    --hash=sha256:{d}\n".format(
        d="a" * 64
    )
)


def record(name: str = "pillow", **changed: Any) -> dict[str, Any]:
    """A record of one package, affected from 11 until 12.1."""
    affected = {
        "package": {"ecosystem": "PyPI", "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "11"}, {"fixed": "12.1"}]}],
    }
    return {
        "id": "PYSEC-2026-1", "aliases": ["CVE-2026-0001"], "summary": "a heap overflow",
        "modified": "2026-11-20T00:00:00Z", "affected": [affected], **changed,
    }  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one lock."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/base.txt").write_text(LOCK)
    (tmp_path / "risk").mkdir()
    return tmp_path


def findings(root: Path, *records: dict[str, Any], today: datetime = TODAY) -> list[str]:
    return vulnerabilities.check(root, list(records), today=today)[0]


@verifies("SRS-331@5572e198", level="integration")
def test_a_locked_version_inside_a_range_is_a_finding_with_its_mend(root: Path) -> None:
    (line,) = findings(root, record())
    assert line == ("pillow 12.0.0: PYSEC-2026-1, CVE-2026-0001: a heap overflow (mended in 12.1)")
    assert findings(root, record(name="another")) == []
    assert findings(root, record(withdrawn="2026-11-21T00:00:00Z"), record("another")) == []


@verifies("SRS-331@5572e198", level="unit")
@pytest.mark.parametrize(
    ("events", "hit"),
    [
        ([{"introduced": "0"}], True),
        ([{"introduced": "0"}, {"fixed": "12.0.0"}], False),
        ([{"introduced": "0"}, {"fixed": "12.0.1"}], True),
        ([{"introduced": "12.0"}], True),
        ([{"introduced": "12.0.1"}], False),
        ([{"introduced": "1"}, {"last_affected": "12.0.0"}], True),
        ([{"introduced": "1"}, {"last_affected": "11.9"}], False),
        ([{"fixed": "12.1"}, {"introduced": "11"}, {"introduced": "1"}, {"fixed": "2"}], True),
        ([{"introduced": "1"}, {"fixed": "2"}, {"introduced": "12.1"}], False),
    ],
)
def test_both_ends_of_a_range(root: Path, events: list[dict[str, str]], *, hit: bool) -> None:
    affected = {
        "package": {"ecosystem": "PyPI", "name": "pillow"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    assert bool(findings(root, record(affected=[affected]))) is hit


@verifies("SRS-331@5572e198", level="unit")
@given(st.lists(st.integers(0, 40), min_size=3, max_size=3, unique=True))
def test_a_range_holds_what_lies_between_its_ends(numbers: list[int]) -> None:
    low, high = sorted(numbers[:2])
    events = [{"introduced": f"1.{low}"}, {"fixed": f"1.{high}"}]
    own = f"1.{numbers[2]}"
    affected = {"ranges": [{"type": "ECOSYSTEM", "events": events}]}
    inside = Version(f"1.{low}") <= Version(own) < Version(f"1.{high}")
    assert vulnerabilities._is_affected(own, affected) is inside  # noqa: SLF001


@verifies("SRS-331@5572e198", level="integration")
def test_a_listed_version_is_affected_without_a_range(root: Path) -> None:
    listed = {"package": {"ecosystem": "PyPI", "name": "PyDicom"}, "versions": ["3.0.1"]}
    (line,) = findings(root, record(affected=[listed]))
    assert line.endswith("(no mended version is known)")


@verifies("SRS-331@5572e198", level="integration")
def test_what_cannot_be_judged_does_not_pass(root: Path) -> None:
    assert (
        "more than 14 days ago" in findings(root, record("x"), today=TODAY + timedelta(days=11))[0]
    )
    assert findings(root, record("x"), today=TODAY + timedelta(days=10)) == []
    foreign = record(affected=[{"package": {"ecosystem": "npm", "name": "pillow"}}])
    assert findings(root, foreign) == [
        "the database has no record of PyPI: it is of something else"
    ]
    odd = record()
    odd["affected"][0]["ranges"][0]["events"] = [{"introduced": "no version"}]
    assert "PYSEC-2026-1 cannot be compared" in findings(root, odd)[0]


@verifies("SRS-331@5572e198", level="integration")
def test_an_acceptance_needs_a_reason_and_something_to_accept(root: Path) -> None:
    file = root / "risk/vulnerabilities.toml"
    entry = (
        '[[accepted]]\nid = "{}"\npackage = "Pillow"\njustification = "{}"\nreason = "{}"\n'
    ).format
    judged = "vulnerable_code_not_in_execute_path"
    file.write_text(entry("CVE-2026-0001", judged, "no such format is opened"))
    found, accepted = vulnerabilities.check(root, [record()], today=TODAY)
    assert found == []
    assert accepted[0].endswith(f"{judged}: no such format is opened")
    file.write_text(entry("CVE-1999-0001", judged, "x"))
    assert "CVE-1999-0001 of pillow accepts nothing: take it out" in findings(root, record())[1]
    for text in (
        entry("CVE-2026-0001", "because", "x"),
        entry("CVE-2026-0001", judged, " "),
        "a =",
    ):
        file.write_text(text)
        with pytest.raises(ProjectError, match=r"vulnerabilities\.toml"):
            findings(root, record())


def asked(root: Path, database: Path) -> Result:
    return CliRunner().invoke(main, ["--root", str(root), "vulnerabilities", str(database)])


@verifies("SRS-331@5572e198", level="integration")
def test_the_command_says_what_it_found_or_why_it_could_not_look(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    export = tmp_path / "all.zip"
    assert asked(root, export).exit_code == 2
    assert "cannot be read" in asked(root, export).output
    for text, said in (
        ("no zip", "cannot be read"), ("{}", "is no OSV record"), ("[]", "is no OSV record"),
    ):  # fmt: skip
        if text == "no zip":
            export.write_text(text)
        else:
            with zipfile.ZipFile(export, "w") as made:
                made.writestr("A-1.json", text)
        refused = asked(root, export)
        assert refused.exit_code == 2
        assert said in refused.output
    (tmp_path / "empty").mkdir()
    assert "holds no OSV record" in asked(root, tmp_path / "empty").output
    now = datetime.now(UTC).isoformat()
    for name, code in (("a-package-that-is-not-locked", 0), ("numpy", 1)):
        every = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": [
            {"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}  # fmt: skip
        with zipfile.ZipFile(export, "w") as made:
            made.writestr("A-1.json", json.dumps(record(modified=now, affected=[every])))
        told = asked(root, export)
        assert told.exit_code == code, told.output
        assert f"1 records: {code} findings, 0 accepted" in told.output


def test_a_version_listed_in_another_form_is_the_same_version(root: Path) -> None:
    told = record()
    told["affected"][0].update(ranges=[], versions=["not a version", "12.0"])
    assert len(findings(root, told)) == 1


def test_a_record_that_is_withdrawn_by_null_is_not_withdrawn(root: Path) -> None:
    assert len(findings(root, record(withdrawn=None))) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"affected": None},
        {"affected": "pillow"},
        {"affected": ["pillow"]},
        {"affected": [{"package": "pillow"}]},
        {"aliases": 3},
        {"modified": "2026-11-20"},
    ],
)
def test_a_record_of_another_form_is_named_and_no_traceback(
    root: Path, tmp_path: Path, changed: dict[str, Any]
) -> None:
    (root / "pyproject.toml").touch()
    (root / "design_history_file").mkdir()
    folder = tmp_path / "database"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(record(**changed)), "utf-8")
    (folder / "b.json").write_text(json.dumps(record("another")), "utf-8")
    done = CliRunner().invoke(main, ["--root", str(root), "vulnerabilities", str(folder)])
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code in {1, 2}


def test_a_range_whose_events_say_two_things_cannot_be_compared(root: Path) -> None:
    told = record()
    told["affected"][0]["ranges"][0]["events"] = [{"introduced": "1", "fixed": "2"}]
    assert any("cannot be compared" in line for line in findings(root, told))


def test_a_zip_that_cannot_be_unpacked_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as export:
        export.writestr("a.json", json.dumps(record()) * 50)
    raw = bytearray(path.read_bytes())
    raw[40:60] = b"\xff" * 20
    path.write_bytes(bytes(raw))
    with pytest.raises(ProjectError):
        vulnerabilities.read_database(path)
    raw = bytearray(path.read_bytes())
    for head in (b"PK\x03\x04", b"PK\x01\x02"):
        at = raw.index(head) + (6 if head.endswith(b"\x04") else 8)
        raw[at] |= 1  # says that the entry is encrypted
    path.write_bytes(bytes(raw))
    with pytest.raises(ProjectError):
        vulnerabilities.read_database(path)
