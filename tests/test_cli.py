"""The command line in this process: what is told, on which stream, and with which exit code."""

import io
import json
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from builders import dx, pixels, to_bytes
from click.testing import CliRunner, Result

from cxr_device import Device, cli
from cxr_device.audit import AuditEvent, AuditTrail
from cxr_device.checks import DESCRIPTIONS
from cxr_device.decision import OperatingPoint
from cxr_device.release import PACKAGE, Release
from cxr_device.runtimes import on_cpu
from cxr_device.vocabulary import CheckCode
from verification import verifies

PHANTOM = PACKAGE / "examples/phantom_opacity.dcm"
SMALL = pixels(side=600)
"""Analysed with a warning: the shorter side has fewer than 1,024 pixels."""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.main, list(map(str, arguments)))


def put(path: Path, **changes: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_bytes(dx(SMALL, **changes)))  # type: ignore[arg-type]
    return path


def paths_of(done: Result) -> list[str]:
    return [json.loads(line)["source"]["path"] for line in done.stdout.splitlines()]


@verifies("SRS-170@6e5a15ee")
def test_folders_are_walked_in_sorted_order_and_an_empty_one_is_told(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a/b/c.txt"):
        (tmp_path / "films" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "films" / name).write_text("no film")
    (tmp_path / "empty").mkdir()
    done = run("check", tmp_path / "films", tmp_path / "empty", tmp_path / "absent.dcm", "--json")
    names = [Path(path).relative_to(tmp_path).as_posix() for path in paths_of(done)]
    assert names == ["films/a/b/c.txt", "films/a/z.txt", "films/b.txt", "empty", "absent.dcm"]
    assert done.exit_code == 4
    assert "index.html" not in done.stderr  # no folder of results was named


@verifies("SRS-361@bf3f99c3", "SRS-170@6e5a15ee")
def test_a_folder_that_cannot_be_opened_has_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "films/a/film.dcm")
    closed = tmp_path / "films/closed"
    put(closed / "hidden.dcm")
    look = os.scandir

    def scan(folder: str) -> object:
        if Path(folder) == closed:
            raise PermissionError(13, "Permission denied", folder)
        return look(folder)

    monkeypatch.setattr(os, "scandir", scan)
    done = run("check", tmp_path / "films", "--json")
    assert [Path(path).name for path in paths_of(done)] == ["film.dcm", "closed"]
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["status"] == "failed"
    assert "FILE_READ" in {c["code"] for c in last["checks"] if c["outcome"] == "reject"}
    assert done.exit_code == 4


@verifies("SRS-361@bf3f99c3", "SRS-170@6e5a15ee")
def test_a_linked_folder_is_not_followed_and_told(tmp_path: Path) -> None:
    film = put(tmp_path / "films/film.dcm")
    put(tmp_path / "archive/other.dcm")
    (tmp_path / "films/archive").symlink_to(tmp_path / "archive")
    (tmp_path / "films/loop").symlink_to(tmp_path / "films")
    done = run("check", tmp_path / "films", "--json")
    assert paths_of(done) == [str(film)]
    told = [line.split(":")[0] for line in done.stderr.splitlines() if "not followed" in line]
    assert sorted(told) == [str(tmp_path / "films/archive"), str(tmp_path / "films/loop")]
    assert done.exit_code == 0


@verifies("SRS-361@bf3f99c3")
def test_results_below_the_folder_are_not_read_as_films(tmp_path: Path) -> None:
    film = put(tmp_path / "films/film.dcm", ViewPosition="LL")
    for _ in range(2):
        done = run("read", film.parent, "--out", film.parent / "results", "--json")
        assert paths_of(done) == [str(film)]
    beside = run("read", film.parent, "--out", film.parent, "--json")  # results and films in one
    assert str(film) in paths_of(beside)
    assert run("check", "").exit_code == 2
    assert "empty PATH" in run("check", "").stderr


@verifies("SRS-362@212f3857", "SRS-170@6e5a15ee")
def test_copies_of_a_film_have_a_folder_each(tmp_path: Path) -> None:
    for place in ("a", "b", "c"):
        put(tmp_path / f"films/{place}/film.dcm", ViewPosition="LL")
    put(tmp_path / "films/other.dcm", ViewPosition="LL")
    for _ in range(2):
        done = run("read", tmp_path / "films", "--out", tmp_path / "out", "--json")
        records = [json.loads(line) for line in done.stdout.splitlines()]
        found = {output["path"]: output["sha256"] for r in records for output in r["outputs"]}
        assert len(found) == 8
        for path, digest in found.items():
            assert sha256(Path(path).read_bytes()).hexdigest() == digest
        kept = [json.loads(p.read_text()) for p in (tmp_path / "out").rglob("result.json")]
        assert sorted(r["source"]["path"] for r in kept) == sorted(paths_of(done))
        assert len(list((tmp_path / "out").iterdir())) == 5  # and the page of all


@verifies("SRS-363@f36c08e5")
def test_help_shows_its_examples_a_line_each() -> None:
    lines = [line.strip() for line in run("--help").stdout.splitlines()]
    assert "cxr-device explain VIEW                what a check means and what to do" in lines


@verifies("SRS-363@f36c08e5")
def test_an_interrupt_is_130_and_leaves_the_page_of_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        put(tmp_path / f"films/{name}.dcm", ViewPosition="LL")
    asked: list[str] = []
    one = cli._one  # noqa: SLF001

    def interrupted(device: Device, judge: Any, path: Path, **given: Any) -> Any:
        asked.append(path.name)
        if path.name == "b.dcm":
            raise KeyboardInterrupt
        return one(device, judge, path, **given)

    monkeypatch.setattr(cli, "_one", interrupted)
    done = run("read", tmp_path / "films", "--out", tmp_path / "out")
    assert done.exit_code == 130
    assert "interrupted" in done.stderr
    assert asked == ["a.dcm", "b.dcm"]
    page = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert "a.dcm" in page
    assert "b.dcm" not in page


@verifies("SRS-150@17d39870", "SRS-168@a6e43416", "RC-168@57330627", "SRS-151@b722b509")
def test_a_batch_returns_the_highest_code_wherever_it_stands(tmp_path: Path) -> None:
    good = put(tmp_path / "good.dcm")
    lateral = put(tmp_path / "lateral.dcm", ViewPosition="LL")
    (tmp_path / "text.dcm").write_text("no film")
    for order in ((good, lateral), (lateral, good)):
        assert run("check", *order).exit_code == 3
    assert run("check", lateral, tmp_path / "text.dcm", good).exit_code == 4
    assert run("check", good).exit_code == 0


@verifies("SRS-150@17d39870")
def test_a_record_is_told_in_lines_that_a_person_reads(tmp_path: Path) -> None:
    refused = put(tmp_path / "film.dcm", ViewPosition="LL", BodyPartExamined="THORAX")
    lines = run("check", refused).stdout.splitlines()
    assert lines[0] == f"{refused}: NOT ANALYSED"
    assert [line[:4] for line in lines[1:]].count("  ! ") == 1
    assert any(line.startswith("  ! VIEW: ") for line in lines)
    assert any(line.startswith("  ~ BODY_PART: ") and "THORAX" in line for line in lines)
    assert not any("MODALITY" in line for line in lines)  # what passed is not told
    (tmp_path / "text.dcm").write_text("no film")
    assert ": NOT READABLE" in run("check", tmp_path / "text.dcm").stdout
    assert run("check", PHANTOM).stdout.startswith(f"{PHANTOM}: checks passed\n")


@verifies("SRS-150@17d39870", "SRS-155@5e9e6fbd", "RC-155@66076a19")
@pytest.mark.parametrize(
    ("threshold", "words"), [(0.05, "PNEUMONIA SUSPECTED"), (0.95, "pneumonia not suspected")]
)
def test_an_answer_is_told_with_its_numbers(
    threshold: float, words: str, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = replace(release, operating_point=OperatingPoint(identifier="OP-T", threshold=threshold))
    loaded = Device(moved, infer=on_cpu(release.graph, threads=0))
    monkeypatch.setattr(cli, "load_device", lambda **_: loaded)
    finding = json.loads(run("read", PHANTOM, "--json").stdout)["finding"]
    told = run("read", PHANTOM)
    assert told.stdout.splitlines()[0] == (
        f"{PHANTOM}: {words} (probability {finding['probability']:.3f}, "
        f"threshold {threshold:.3f} OP-T)"
    )
    assert told.stderr == ""


@verifies("SRS-155@5e9e6fbd", "RC-155@66076a19")
def test_research_says_on_both_streams_that_it_is_not_the_device() -> None:
    research = run("read", PHANTOM, "--profile", "research")
    assert research.stdout.splitlines()[0].endswith(" [not the device: research profile]")
    assert research.stderr == "Research profile: not the device. Not for clinical use.\n"


@verifies("SRS-234@d5f006d9", "RC-234@945cce00", "SRS-156@56474560")
def test_a_folder_or_several_files_have_a_page_of_all_and_one_file_has_none(
    tmp_path: Path,
) -> None:
    film = put(tmp_path / "films/film.dcm", ViewPosition="LL")
    other = put(tmp_path / "other.dcm", Modality="CT", SOPInstanceUID="1.2.3")
    done = run("read", film, "--out", tmp_path / "one")
    assert not (tmp_path / "one/index.html").exists()
    assert len(list((tmp_path / "one").rglob("report.html"))) == 1
    written = [line for line in done.stdout.splitlines() if line.startswith("  > ")]
    assert [Path(line[4:]).name for line in written] == ["report.html", "result.json"]
    for name, arguments in (("folder", [film.parent]), ("two", [film, other])):
        done = run("read", *arguments, "--out", tmp_path / name)
        assert done.exit_code == 3
        assert done.stderr == f"all films: {tmp_path / name / 'index.html'}\n"
        page = (tmp_path / name / "index.html").read_text(encoding="utf-8")
        assert page.count('<li class="rejected">') == len(list((tmp_path / name).iterdir())) - 1
        assert "not the device" not in page
    run("read", film.parent, "--out", tmp_path / "research", "--profile", "research")
    page = (tmp_path / "research/index.html").read_text(encoding="utf-8")
    assert "not the device" in page


@verifies("SRS-150@17d39870", "SRS-167@c6062141", "RC-167@5ee3caae")
def test_what_cannot_be_written_is_exit_6_and_its_film_has_its_record(tmp_path: Path) -> None:
    film = put(tmp_path / "films/film.dcm", ViewPosition="LL")
    (tmp_path / "file").write_text("in the way")
    done = run("read", film, "--out", tmp_path / "file/out", "--json")
    assert done.exit_code == 6
    assert json.loads(done.stdout)["status"] == "rejected"
    assert json.loads(done.stdout)["outputs"] == []
    assert "OUTPUT" in done.stderr
    (tmp_path / "out/index.html").mkdir(parents=True)
    done = run("read", film.parent, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 6
    assert len(json.loads(done.stdout)["outputs"]) == 2
    assert "OUTPUT" in done.stderr
    assert "all films" not in done.stderr


@verifies("SRS-240@13ccd97d", "SRS-247@fac297aa")
def test_a_film_that_has_no_dicom_answer_is_told(tmp_path: Path) -> None:
    film = put(tmp_path / "film.dcm", ViewPosition="LL")
    (tmp_path / "text.dcm").write_text("no film")
    done = run("read", film, tmp_path / "text.dcm", "--out", tmp_path / "out", "--dicom")
    told = [line for line in done.stderr.splitlines() if "no DICOM answer" in line]
    assert told == [f"{tmp_path / 'text.dcm'}: no DICOM answer: its header names no study"]
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2
    assert "no DICOM answer" not in run("read", film, "--out", tmp_path / "plain").stderr


@verifies("SRS-247@fac297aa")
def test_dicom_needs_a_folder_and_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("read", PHANTOM, "--dicom")
    assert done.exit_code == 2
    assert "--out DIR" in done.stderr
    for missing in ("highdicom", "reportlab"):
        monkeypatch.setattr(cli, "find_spec", lambda name, gone=missing: name != gone or None)
        done = run("read", PHANTOM, "--dicom", "--out", tmp_path / "out")
        assert done.exit_code == 2
        assert f"--dicom needs {missing}: pip install 'cxr-device[node]'" in done.stderr
    assert not (tmp_path / "out").exists()


class Terminal(io.StringIO):
    """A standard error that a person looks at."""

    def isatty(self) -> bool:  # type: ignore[explicit-override]
        """Say that it is one."""
        return True


@verifies("SRS-156@56474560")
@pytest.mark.parametrize(
    ("films", "errors", "shown"),
    [(2, Terminal(), True), (1, Terminal(), False), (2, io.StringIO(), False)],
)
def test_progress_is_shown_for_several_files_on_a_terminal_alone(
    films: int,
    errors: io.StringIO,
    shown: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setattr(sys, "stdout", printed := io.StringIO())
    with pytest.raises(SystemExit):
        cli.main.main(["check", "--json", *["absent.dcm"] * films])
    assert ("reading" in errors.getvalue()) == shown
    assert len([json.loads(line) for line in printed.getvalue().splitlines()]) == films


@verifies("SRS-150@17d39870", "SRS-168@a6e43416", "RC-168@57330627")
def test_a_defect_ends_its_film_alone_and_says_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxr_device import guards  # noqa: PLC0415

    judge = guards.judge_header

    def fail(film: object, label: object) -> object:
        if getattr(film, "modality", "") == "CR":
            raise RuntimeError("Planted^Name")
        return judge(film, label)  # type: ignore[arg-type]

    line = fail.__code__.co_firstlineno + 2
    monkeypatch.setattr(guards, "judge_header", fail)
    bad, good = put(tmp_path / "1.dcm", Modality="CR"), put(tmp_path / "2.dcm")
    done = run("read", bad, good, "--json", "--out", tmp_path / "out")
    assert done.exit_code == 70
    assert [json.loads(entry)["status"] for entry in done.stdout.splitlines()] == [
        "failed", "analyzed",
    ]  # fmt: skip
    assert done.stderr.splitlines()[0] == (
        f"{bad}: internal error RuntimeError at test_cli.py:{line}; "
        "please report it with the version"
    )
    assert "Planted" not in done.output
    page = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert page.count('<li class="failed">') == 1


@verifies("SRS-176@7ee54576", "RC-176@80508525")
def test_another_film_with_a_uid_of_the_batch_is_told(tmp_path: Path) -> None:
    first = put(tmp_path / "1.dcm")
    copy = put(tmp_path / "2.dcm")
    other = put(tmp_path / "3.dcm", PatientID="ANOTHER")
    apart = put(tmp_path / "4.dcm", SOPInstanceUID="1.2.3.4")
    unread = [tmp_path / "5.dcm", tmp_path / "6.dcm"]  # of no UID, which is no common one
    for path in unread:
        path.write_text(f"no film {path.name}")
    done = run("check", first, copy, other, apart, *unread, tmp_path / "absent.dcm")
    assert done.stderr.splitlines() == [
        f"{other}: warning: same SOP Instance UID as {first}, other bytes; each has its own record"
    ]


@verifies("SRS-158@177269cb", "RC-158@8ae17440")
def test_info_tells_every_value_in_words(release: Release) -> None:
    told = dict(line.split(": ", 1) for line in run("info").stdout.splitlines())
    point = release.operating_point
    assert told["operating point"] == (
        f"identifier {point.identifier}, threshold {point.threshold}, "
        f"rule {release.operating_point_rule}"
    )
    assert told["limitations"] == "; ".join(release.label.limitations)
    assert told["weights sha256"] == release.weights_sha256
    assert told["version"] == release.version


@verifies("SRS-157@74eb2bf2", "RC-157@dc06e628")
def test_a_code_and_the_code_of_integrity_are_explained(release: Release) -> None:
    told = run("explain", "view").stdout
    found = DESCRIPTIONS[CheckCode.VIEW]
    assert told.splitlines() == [
        f"VIEW  {found.tag}", f"Accepted: {found.accepted_by(release.label)}.",
        f"Otherwise: {found.otherwise}.", f"Hazard: {found.hazard}.",
        f"What to do: {found.action}",
    ]  # fmt: skip
    told = run("explain", "SELF").stdout
    assert told.startswith("SELF: ")
    assert "exit 5" in told
    other = run("explain", "HAND")
    assert other.exit_code == 2
    assert "'HAND' is no check code; accepted: FILE_READ, " in " ".join(other.stderr.split())
    words = " ".join(run("explain", "--help").stdout.split())
    assert "explain [OPTIONS] CODE" in words
    assert "Codes: FILE_READ, " in words


@verifies("SRS-150@17d39870", "SRS-172@1c39d8ae")
def test_a_release_that_is_not_whole_is_exit_5_on_standard_error(tmp_path: Path) -> None:
    done = run("selftest", "--release", tmp_path)
    assert done.exit_code == 5
    assert done.stdout == ""
    assert "release.toml" in done.stderr


@verifies("SRS-359@3a2d6280")
def test_a_folder_without_a_release_is_named_by_each_verb(tmp_path: Path) -> None:
    said = (
        f"FOLDER {tmp_path}: holds no release (no release.toml); "
        "choose one that `cxr-device lock` wrote\n"
    )
    for verb in (("selftest",), ("read", PHANTOM, "--json", "--profile", "research")):
        done = run(*verb, "--release", tmp_path)
        assert (done.exit_code, done.stdout, done.stderr) == (5, "", said)


@verifies("SRS-248@fba2de1f", "RC-244@89d87afd")
def test_an_audit_file_is_whole_broken_or_unreadable(tmp_path: Path) -> None:
    path, now = tmp_path / "audit.jsonl", datetime(2026, 1, 1, tzinfo=UTC)
    with AuditTrail(path, at=now) as trail:
        trail.append(AuditEvent.STARTED, at=now)
        head = trail.head
    done = run("audit", "verify", path)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{path}: whole, ")
    assert done.stdout.rstrip().endswith(head)
    path.write_bytes(path.read_bytes().replace(b"2026", b"2025"))
    done = run("audit", "verify", path)
    assert (done.exit_code, done.stdout) == (5, "")
    assert "line 1" in done.stderr
    done = run("audit", "verify", tmp_path / "absent")
    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr == f"{tmp_path / 'absent'}: No such file or directory\n"


@verifies("SRS-150@17d39870")
def test_a_node_that_ends_by_itself_is_exit_70_and_wrong_options_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = pytest.importorskip(
        "cxr_device.node.service", reason="the extra node is not installed"
    )

    def end(*_: object) -> None:
        raise RuntimeError("the worker ended")

    monkeypatch.setattr(service, "run", end)
    options = ["node", "--ae", "CXR", "--bind", "127.0.0.1:0", "--data", str(tmp_path)]
    done = run(*options, "--return", "PACS@127.0.0.1:104")
    assert (done.exit_code, done.stdout) == (70, "")
    assert done.stderr == "the worker ended\n"
    done = run(*options, "--return", "PACS")
    assert done.exit_code == 2
    assert "AE@HOST:PORT" in done.stderr
