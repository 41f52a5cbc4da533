"""Protocol and ledger: what is refused after unblinding, and the study run end to end."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import validation
from validation.errors import ProtocolError
from validation.protocol import append_look, check_unchanged, consequence, load_protocol, read_looks
from verification import verifies

PROTOCOL = Path(validation.__file__).parent / "protocol.toml"
LOOK: dict[str, Any] = {
    "on": date(2026, 1, 2),
    "by": "A. Statistician",
    "purpose": "test",
    "weights_sha256": "a" * 64,
    "cases_sha256": "b" * 64,
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    path = tmp_path / "protocol.toml"
    path.write_text(PROTOCOL.read_text("utf-8"), "utf-8")
    return path


def test_the_committed_protocol_is_complete() -> None:
    found = load_protocol(PROTOCOL)
    assert [h["name"] for h in found.hypotheses()] == ["auc", "one_reader", "two_readers"]
    assert found.section("population")["cluster"] == "patient_id"


def test_the_committed_ledger_is_unbroken() -> None:
    looks = read_looks(PROTOCOL.parent / "results" / "test_looks.jsonl")
    assert len(looks) >= 5
    assert "Bonferroni" in consequence(looks, level=0.95)


def test_a_changed_protocol_is_refused_after_a_look(copy: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "looks.jsonl"
    first = load_protocol(copy)
    append_look(ledger, protocol=first, **LOOK)
    append_look(ledger, protocol=first, **LOOK)  # unchanged: allowed
    text = copy.read_text("utf-8")
    changed = text.replace("margin = 0.05", "margin = 0.10")
    copy.write_text(changed, "utf-8")
    with pytest.raises(ProtocolError, match="changed after unblinding"):
        append_look(ledger, protocol=load_protocol(copy), **LOOK)
    assert len(read_looks(ledger)) == 2
    amendment = (
        '\n[[amendments]]\nname = "wider margin"\nreason = "asked by the reviewer"\n'
        f'by = "A. Statistician"\ndeparts_from = "{first.sha256}"\n'
    )
    copy.write_text(changed + amendment, "utf-8")
    assert len(append_look(ledger, protocol=load_protocol(copy), **LOOK)) == 3


def test_before_a_look_the_protocol_may_change(copy: Path) -> None:
    check_unchanged(load_protocol(copy), [])


def test_a_ledger_cannot_be_edited_or_shortened_unseen(tmp_path: Path) -> None:
    ledger = tmp_path / "looks.jsonl"
    for _ in range(3):
        append_look(ledger, protocol=None, **LOOK)
    lines = ledger.read_text("utf-8").splitlines()
    ledger.write_text("\n".join([lines[0], lines[1].replace("test", "best"), lines[2]]), "utf-8")
    with pytest.raises(ProtocolError, match="line 2"):
        read_looks(ledger)
    ledger.write_text("\n".join([lines[0], lines[2]]), "utf-8")
    with pytest.raises(ProtocolError, match="line 2"):
        read_looks(ledger)
    ledger.write_text("no json", "utf-8")
    with pytest.raises(ProtocolError, match="line 1 unreadable"):
        read_looks(ledger)


def test_an_incomplete_protocol_is_refused(copy: Path, tmp_path: Path) -> None:
    copy.write_text(copy.read_text("utf-8").replace("[missing]", "[other]"), "utf-8")
    with pytest.raises(ProtocolError, match="no 'missing'"):
        load_protocol(copy)
    with pytest.raises(ProtocolError, match="TOML"):
        load_protocol(tmp_path / "absent.toml")


def wide_reads(path: Path, votes: Any, names: list[str]) -> Path:
    rows = [
        {
            "Image ID": name,
            "Patient ID": index // 2,
            "Reader ID": f"r{reader}",
            "Pneumonia": "YES" if votes[index, reader] else "NO",
            "Consolidation": "NO",
            "Infiltration": "NO",
        }
        for index, name in enumerate(names)
        for reader in range(5)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture
def rehearsal(tmp_path: Path) -> tuple[object, ...]:
    """Return the arguments of a study on a made-up cohort of 200 films, 150 of them read."""
    rng = np.random.default_rng(7)
    n = 200
    truth = rng.random(n) < 0.35
    votes = np.where(rng.random((n, 5)) < 0.85, truth[:, None], ~truth[:, None])
    names = [f"{i:08d}_000.png" for i in range(n)]
    cases = tmp_path / "cases.parquet"
    pd.DataFrame(
        {
            "case_id": names,
            "patient_id": np.arange(n) // 2,
            "truth": (rng.random(n) < np.where(truth, 0.7, 0.1)).astype(int),
            "score": np.clip(rng.normal(0.3 + 0.35 * truth, 0.15), 0, 1),
            "view": rng.choice(["AP", "PA"], n),
            "sex": rng.choice(["F", "M"], n),
        }
    ).to_parquet(cases)
    reads = wide_reads(tmp_path / "reads.csv", votes, names[:150])
    ledger, out = tmp_path / "looks.jsonl", tmp_path / "study"
    arguments: tuple[object, ...] = (
        "study", cases, reads, "--threshold", 0.5, "--weights", "c" * 64, "--protocol", PROTOCOL,
        "--ledger", ledger, "--out", out,
    )  # fmt: skip
    return arguments


LOOKING = ("--by", "A. Statistician", "--purpose", "rehearsal", "--on", "2026-01-02")


@verifies("SRS-210@1f5e482c", level="integration")
def test_the_study_runs_in_one_command(
    validate: Callable[..., Any], rehearsal: tuple[object, ...], tmp_path: Path
) -> None:
    ledger, out, results = tmp_path / "looks.jsonl", tmp_path / "study", tmp_path / "results"
    result = validate(*rehearsal, *LOOKING, "--committed", results)
    assert result.exit_code == 0, result.output
    parts = {p.name for p in out.iterdir()}
    assert parts == {
        "mined_label",
        "reader_majority",
        "readers_panels",
        "readers_leave_one_out",
        "readers_majority",
        "shortcuts_mined_label",
        "shortcuts_reader_majority",
        "summary",
        "tables",
    }
    found = json.loads((out / "summary" / "results.json").read_text("utf-8"))
    assert found["looks"] == 1
    assert found["protocol"]["sha256"] == load_protocol(PROTOCOL).sha256
    assert [g["claim"] for g in found["hypotheses"]] == ["auc", "one_reader", "two_readers"]
    assert found["hypotheses"][0]["rejected"] is True
    assert found["reader_majority"]["n"] == 150
    assert len(read_looks(ledger)) == 1
    written = {p.relative_to(results).as_posix() for p in results.rglob("*") if p.is_file()}
    assert {
        "standalone_test.json",
        "subgroups.json",
        "prevalence.json",
        "shortcuts.json",
        "sample_size.json",
        "figures/reader_majority_histogram.svg",
    } <= written
    shown = {n: json.loads((results / f"{n}.json").read_text("utf-8")) for n in TABLES}
    assert {row["stratum"] for row in shown["subgroups"]["subgroups"]} == {"AP", "PA", "F", "M"}
    assert {shown[n]["input_sha256"] for n in ("subgroups", "prevalence", "shortcuts")} == {
        read_looks(ledger)[0].cases_sha256
    }
    assert [row["prevalence"] for row in shown["prevalence"]["rows"]][:3] == [0.01, 0.05, 0.15]
    assert shown["shortcuts"]["reader_majority"]["n"] == 150
    assert {c["bound"] for c in found["criteria"]["public"]} == {0.70, -0.05}


TABLES = ("subgroups", "prevalence", "shortcuts", "sample_size")


@verifies("SRS-211@0291ffdc", level="integration")
def test_computing_again_from_the_last_look_adds_no_line(
    validate: Callable[..., Any], rehearsal: tuple[object, ...], tmp_path: Path
) -> None:
    ledger, first, again = tmp_path / "looks.jsonl", tmp_path / "first", tmp_path / "again"
    assert validate(*rehearsal, "--again").exit_code == 2  # no look yet
    assert not ledger.exists()
    assert validate(*rehearsal, *LOOKING, "--committed", first).exit_code == 0
    before = ledger.read_bytes()
    result = validate(*rehearsal, "--again", "--committed", again)
    assert result.exit_code == 0, result.output
    assert ledger.read_bytes() == before
    names = {p.relative_to(first) for p in first.rglob("*") if p.is_file()}
    assert all((first / n).read_bytes() == (again / n).read_bytes() for n in names)
    other = ["d" * 64 if a == "c" * 64 else a for a in rehearsal]
    result = validate(*other, "--again", "--committed", tmp_path / "other")
    assert result.exit_code == 2
    assert "weights dddd" in result.output
    assert not (tmp_path / "other").exists()
    assert ledger.read_bytes() == before


def test_a_look_without_a_name_is_refused(
    validate: Callable[..., Any], rehearsal: tuple[object, ...]
) -> None:
    result = validate(*rehearsal, "--by", "x")
    assert result.exit_code == 2
    assert "--purpose" in result.output


def test_a_bad_table_is_no_look(validate: Callable[..., Any], tmp_path: Path) -> None:
    cases = tmp_path / "cases.csv"
    cases.write_text("case_id,truth,score,patient_id\na,0,0.1,p\nb,1,7,q\n")
    ledger = tmp_path / "looks.jsonl"
    result = validate(
        "study", cases, cases, "--threshold", 0.5, "--weights", "c", "--protocol", PROTOCOL,
        "--ledger", ledger, "--by", "x", "--purpose", "y", "--out", tmp_path / "o",
    )  # fmt: skip
    assert result.exit_code == 2
    assert not ledger.exists()
