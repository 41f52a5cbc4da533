"""The verbs of `cxr-verify` on the sample project: exit codes, what they print and write."""

# ruff: noqa: S603  # fixtures of conftest.py; fixed commands

import csv
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest


def test_without_evidence_every_judging_verb_exits_3(project: Any) -> None:
    project.path("build/verification/results.json").unlink()
    assert project.verify("check").exit_code == 3
    assert project.verify("status").exit_code == 3


def test_wrong_usage_exits_2(project: Any) -> None:
    assert project.verify("sing").exit_code == 2
    assert project.verify("accept", "SRS-001").exit_code == 2
    assert project.verify("gaps", "--standard", "none").exit_code == 2
    unknown = project.verify("accept", "SRS-900", "--reviewer", "A", "--reason", "b")
    assert unknown.exit_code == 2
    assert "SRS-900" in unknown.output


def test_the_command_starts_on_the_base_installation(tmp_path: Path) -> None:
    script = "import sys; sys.modules['pytest'] = None; from verification.cli import main; main()"
    words = [sys.executable, "-c", script]
    helped = subprocess.run([*words, "--help"], capture_output=True, text=True, check=False)
    assert helped.returncode == 0, helped.stderr
    done = subprocess.run(
        [*words, "status"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no folder above holds pyproject.toml" in done.stderr


def test_status_fits_one_screen(project: Any) -> None:
    shown = project.verify("status")
    assert shown.exit_code == 0, shown.output
    assert len(shown.output.splitlines()) <= 24
    assert "no finding" in shown.output


def test_an_unknown_id_stops_the_collection(project: Any) -> None:
    project.edit("tests/test_guards.py", 'verifies("SRS-001@', 'verifies("SRS-777@')
    ran = project.pytest()
    assert ran.returncode == 4
    assert "SRS-777" in ran.stdout + ran.stderr


def test_accept_pins_the_new_text_and_writes_the_ledger(project: Any) -> None:
    project.edit(
        "design_history_file/requirements.rst", "is neither PA nor AP", "is not PA and not AP"
    )
    assert "suspect" in project.verify("check").output
    reviewed = ["--reviewer", "B. Reader", "--reason", "same meaning"]
    done = project.verify("accept", "SRS-001", *reviewed)
    assert done.exit_code == 0, done.output
    pin = re.search(r"SRS-001@([0-9a-f]{8})", done.output)
    assert pin
    assert project.path("tests/test_guards.py").read_text("utf-8").count(pin[0]) == 2
    assert "same meaning" in project.path("design_history_file/approvals.toml").read_text("utf-8")
    assert "nothing to accept" in project.verify("accept", "SRS-001", *reviewed).output
    project.commit()
    project.pytest()
    assert project.verify("check").exit_code == 0


def test_a_wrapped_paragraph_is_no_new_text(project: Any) -> None:
    project.edit(
        "design_history_file/requirements.rst",
        "is neither PA nor AP,\n   with check code VIEW.",
        "is\n   neither PA nor AP, with check\n   code VIEW.",
    )
    assert "suspect" not in project.verify("check").output


def test_matrix_holds_both_directions(project: Any, tmp_path: Path) -> None:
    for form in ("json", "csv", "html"):
        assert project.verify("matrix", "--format", form, "--out", str(tmp_path)).exit_code == 0
    data = json.loads((tmp_path / "matrix.json").read_text("utf-8"))
    by_id = {entry["id"]: entry for entry in data["items"]}
    assert by_id["SRS-001"]["links"]["implements"] == ["RC-001"]
    assert by_id["RC-001"]["links"]["implements_by"] == ["SRS-001"]
    assert by_id["RISK-001"]["verdict"] == "passed"
    assert {t["outcome"] for t in by_id["SRS-001"]["tests"]} == {"passed"}
    assert len(by_id["SRS-001"]["tests"]) == 6
    assert data["findings"] == []
    assert data["mutation"][0]["killed"] == data["mutation"][0]["tried"]
    rows = list(csv.DictReader((tmp_path / "matrix.csv").read_text("utf-8").splitlines()))
    row = next(r for r in rows if r["requirement"] == "SRS-002")
    assert (row["user_needs"], row["risk_controls"], row["risks"]) == (
        "UN-001",
        "RC-002",
        "RISK-002",
    )
    assert row["code"] == "cxr_device/guards.py"


def test_a_matrix_with_findings_is_written_and_exits_1(project: Any, tmp_path: Path) -> None:
    project.edit("cxr_device/guards.py", "def ", "# changed\ndef ")
    told = project.verify("matrix", "--format", "json", "--out", str(tmp_path))
    found = json.loads((tmp_path / "matrix.json").read_text("utf-8"))["findings"]
    assert found
    assert told.exit_code == 1
    assert f"{len(found)} finding" in told.output


@pytest.mark.system
def test_matrix_page_filters_and_follows_links(project: Any, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed")
    project.verify("matrix", "--format", "html", "--out", str(tmp_path))
    page = (tmp_path / "matrix.html").read_text("utf-8")
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    probe = """<script>const say=[];
    const shown=()=>rows.filter(r=>!r.hidden).map(r=>r.id).join(' ');
    q.value='lateral whose view';q.dispatchEvent(new Event('input'));
    q.value='view is neither';q.dispatchEvent(new Event('input'));say.push(shown());
    q.value='';v.value='pending-study';v.dispatchEvent(new Event('input'));say.push(shown());
    v.value='';t.value='control';t.dispatchEvent(new Event('input'));say.push(shown());
    document.querySelector('#RC-001 a[href="#SRS-001"]').click();
    setTimeout(()=>{say.push(location.hash+' '+document.getElementById('SRS-001').hidden);
    document.title=say.join('|')},50)</script>"""
    (tmp_path / "probe.html").write_text(page.replace("</body>", probe + "</body>"), "utf-8")
    shown = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000",
            f"--user-data-dir={tmp_path}/profile", "--dump-dom", f"file://{tmp_path}/probe.html",
        ],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", shown.stdout)
    assert title, shown.stderr[-800:]
    assert title[1].split("|") == ["SRS-001", "SRS-004", "RC-001 RC-002", "#SRS-001 false"]


def test_diff_names_what_a_rewording_touches(project: Any) -> None:
    project.git("tag", "before")
    project.edit("design_history_file/requirements.rst", "is neither PA nor AP", "is not PA or AP")
    project.commit()
    shown = project.verify("diff", "before", "HEAD", "--json")
    assert shown.exit_code == 0, shown.output
    (change,) = json.loads(shown.stdout)
    assert (change["item"], change["kind"]) == ("SRS-001", "reworded")
    assert {"RC-001", "RISK-001", "ARC-guards"} <= set(change["touches"])
    assert "tests/test_guards.py::test_frontal_views_are_accepted" in change["touches"]
    assert project.verify("diff", "nowhere").exit_code == 2


def test_gaps_lists_clauses_owners_and_placeholders(project: Any) -> None:
    text = ".. placeholder:: names of readers\n   :owner: clinical affairs\n"
    project.path("docs").mkdir(exist_ok=True)
    project.path("docs/plan.rst").write_text(
        ":clauses: 62304:5.1.1\n\nPlan\n====\n\n" + text, "utf-8"
    )
    shown = project.verify("gaps", "--standard", "iec62304-b", "--json")
    assert shown.exit_code == 1
    data = json.loads(shown.stdout)
    named = {c["number"]: c for c in data["standards"][0]["clauses"]}
    assert named["5.1.1"]["documents"] == ["docs/plan.rst"]
    assert "SRS-001" in named["5.2.2"]["items"]
    assert "5.1.4" not in named, "5.1.4 is asked of class C alone"
    assert data["pending"] == [
        {"id": "SRS-004", "owner": "clinical affairs", "title": "Reach the clinical endpoint"}
    ]
    assert data["placeholders"][0]["owner"] == "clinical affairs"


def test_export_gives_needs_json(project: Any) -> None:
    data = json.loads(project.verify("export", "--format", "needs-json").stdout)
    needs = data["versions"]["0.1.0"]["needs"]
    assert needs["SRS-002"]["implements"] == ["RC-002"]


def test_a_waived_finding_is_printed_and_does_not_fail(project: Any) -> None:
    project.edit("risk/results/controls.json", '"detected": 300}}', '"detected": 299}}')
    text = '[[waiver]]\nrule = "R8"\nitem = "RC-002"\nuntil = "0.2.0"\nreason = "known miss"\n'
    project.path("design_history_file/waivers.toml").write_text(text, "utf-8")
    project.commit()
    project.pytest()
    shown = project.verify("check")
    assert shown.exit_code == 0, shown.output
    assert "known miss" in shown.output


def test_evidence_survives_xdist(project: Any) -> None:
    pytest.importorskip("xdist")
    before = json.loads(project.path("build/verification/results.json").read_text("utf-8"))
    project.path("build/verification/results.json").unlink()
    environment_run = project.pytest("-p", "xdist", "-n", "2")
    assert environment_run.returncode == 0, environment_run.stdout + environment_run.stderr
    after = json.loads(project.path("build/verification/results.json").read_text("utf-8"))

    def essence(record: dict[str, Any]) -> list[tuple[str, Any, str]]:
        return [(row["nodeid"], row["links"], row["outcome"]) for row in record["tests"]]

    assert essence(after) == essence(before)


def test_a_part_of_the_suite_adds_to_evidence_of_the_same_state(project: Any) -> None:
    project.pytest("tests/test_guards.py::test_age_bounds")
    assert project.verify("check").exit_code == 0
    project.path("build/verification/results.json").unlink()
    project.pytest("tests/test_guards.py::test_age_bounds")
    assert "a part of the suite" in project.verify("check").output


def test_accept_keeps_the_ledger_readable_whatever_the_reviewer_is_called(project: Any) -> None:
    project.edit("design_history_file/requirements.rst", "neither PA nor AP", "no PA and no AP")
    name = "Zo\u00eb \U0001f600 \x7f \x1b"
    done = project.verify("accept", "SRS-001", "--reviewer", name, "--reason", 'say "so"\n')
    assert done.exit_code == 0, done.output
    text = project.path("design_history_file/approvals.toml").read_text("utf-8")
    last = tomllib.loads(text)["approval"][-1]
    assert (last["reviewer"], last["reason"]) == (name, 'say "so"\n')


def test_accept_refuses_a_name_that_is_no_text_and_changes_nothing(project: Any) -> None:
    project.edit("design_history_file/requirements.rst", "neither PA nor AP", "no PA and no AP")
    names = ("design_history_file/approvals.toml", "tests/test_guards.py")
    before = [project.path(name).read_bytes() for name in names]
    done = project.verify("accept", "SRS-001", "--reviewer", "Zo\udceb", "--reason", "x")
    assert done.exit_code == 2, done.output
    assert [project.path(name).read_bytes() for name in names] == before


def test_accept_pins_nothing_where_the_ledger_is_damaged(project: Any) -> None:
    project.edit("design_history_file/requirements.rst", "neither PA nor AP", "no PA and no AP")
    project.path("design_history_file/approvals.toml").write_text("[[[", "utf-8")
    before = project.path("tests/test_guards.py").read_bytes()
    done = project.verify("accept", "SRS-001", "--reviewer", "A", "--reason", "x")
    assert done.exit_code == 2, done.output
    assert project.path("tests/test_guards.py").read_bytes() == before


def test_a_damaged_pyproject_is_a_usage_error(project: Any) -> None:
    project.path("pyproject.toml").write_text("[[[", "utf-8")
    for verb in ("status", "check", "export"):
        done = project.verify(verb)
        assert (done.exit_code, done.exception.__class__) == (2, SystemExit), done.output
        assert "pyproject.toml" in done.output


def test_an_output_that_cannot_be_written_is_a_usage_error(project: Any) -> None:
    for words in (
        ("matrix", "--out", str(project.path("pyproject.toml/matrix"))),
        ("export", "--out", str(project.path("pyproject.toml/needs.json"))),
    ):
        done = project.verify(*words)
        assert (done.exit_code, done.exception.__class__) == (2, SystemExit), done.output
        assert "pyproject.toml" in done.output


def test_the_page_says_where_a_sample_of_the_mutants_was_tried(
    project: Any, tmp_path: Path
) -> None:
    project.edit("risk/results/mutation.json", '"generated": 9', '"generated": 20')
    project.commit()
    project.verify("matrix", "--format", "html", "--out", str(tmp_path))
    assert "of 9 died (a sample of 20)" in (tmp_path / "matrix.html").read_text("utf-8")


def test_diff_names_a_changed_attribute(project: Any) -> None:
    project.git("tag", "before")
    project.edit("risk/risks.rst", ":residual_p1: 1", ":residual_p1: 2")
    project.commit()
    shown = project.verify("diff", "before", "HEAD", "--json")
    (change,) = json.loads(shown.stdout)
    assert (change["item"], change["kind"]) == ("RISK-001", "changed: residual_p1")


def test_diff_names_a_rewording_beside_a_new_status(project: Any) -> None:
    project.git("tag", "before")
    project.edit("design_history_file/requirements.rst", "pending-study", "open")
    project.edit("design_history_file/requirements.rst", "of the pivotal study.", "of a study.")
    project.commit()
    shown = project.verify("diff", "before", "HEAD", "--json")
    (change,) = json.loads(shown.stdout)
    assert change["item"] == "SRS-004"
    assert "pending-study to open" in change["kind"]
    assert "reworded" in change["kind"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--deselect", "tests/test_guards.py::test_other_views_are_refused[pa]"),
        ("--ignore", "tests/test_more.py"),
        ("-x",),
    ],
)
def test_a_run_that_left_cases_out_is_a_part_of_the_suite(
    project: Any, arguments: tuple[str, ...]
) -> None:
    project.path("tests/test_more.py").write_text(
        "def test_more():\n    raise ValueError\n", "utf-8"
    )
    project.commit()
    project.pytest(*arguments)
    assert "a part of the suite" in project.verify("check").output


def test_a_retired_item_meets_no_clause(project: Any) -> None:
    project.edit(
        "design_history_file/requirements.rst",
        "   :reason: replaced by SRS-001\n",
        "   :reason: replaced by SRS-001\n   :clause: 62304:5.2.1\n",
    )
    shown = project.verify("gaps", "--standard", "iec62304-b", "--json")
    named = {c["number"]: c for c in json.loads(shown.stdout)["standards"][0]["clauses"]}
    assert named["5.2.1"]["items"] == []


def test_a_byte_order_mark_and_another_encoding_are_read_as_python_reads_them(
    project: Any,
) -> None:
    tests = project.path("tests/test_guards.py")
    tests.write_bytes(b"\xef\xbb\xbf" + tests.read_bytes())
    code = project.path("cxr_device/guards.py")
    code.write_bytes(b"# coding: latin-1\n# R\xf6ntgen\n" + code.read_bytes())
    project.commit()
    project.pytest()
    checked = project.verify("check")
    assert checked.exit_code == 0, (checked.output, checked.exception)


def test_without_evidence_nothing_is_called_clean(project: Any) -> None:
    project.path("build/verification/results.json").unlink()
    for verb in ("check", "status"):
        shown = project.verify(verb).stdout
        assert "clean" not in shown
        assert "no finding" not in shown
        assert "no test was judged" in shown


def test_diff_says_which_revision_cannot_be_read_whole(project: Any) -> None:
    project.git("tag", "good")
    document = project.path("risk/risks.rst")
    document.write_bytes(document.read_bytes() + b"\n\xff\n")
    project.commit()
    shown = project.verify("diff", "good", "HEAD")
    assert shown.exit_code == 1, shown.output
    assert "HEAD: risk/risks.rst:" in shown.stderr
    assert "is not UTF-8" in shown.stderr


def test_an_empty_name_is_no_standard(project: Any) -> None:
    assert project.verify("gaps", "--standard", "").exit_code == 2


def test_verbs_that_list_items_say_what_cannot_be_read(project: Any) -> None:
    document = project.path("risk/risks.rst")
    document.write_bytes(document.read_bytes() + b"\n\xff\n")
    for words in (("export",), ("gaps",)):
        shown = project.verify(*words)
        assert shown.exit_code == 1, shown.output
        assert "risk/risks.rst:" in shown.stderr
        assert "is not UTF-8" in shown.stderr


def test_an_attachment_that_does_not_exist_is_refused_before_anything_is_printed(
    project: Any,
) -> None:
    project.path("docs/submission").mkdir(parents=True)
    listed = '[[attachment]]\nfile = "a"\ntitle = "A"\ndocuments = ["risk/risks"]\n'
    project.path("docs/submission/attachments.toml").write_text(listed, "utf-8")
    done = project.verify("submission", "nope", "--out", str(project.path("build/submission")))
    assert done.exit_code == 2, (done.output, done.exception)
    assert "nope" in done.output
    assert not project.path("build/submission").exists()
