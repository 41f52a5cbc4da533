"""Closed sets and errors: the words of the contract, and one message form for each error."""

from enum import StrEnum
from pathlib import Path

import pytest

from cxr_device import checks, conformance, errors, vocabulary
from cxr_device.release import Release
from cxr_device.vocabulary import FAILURES, CheckCode
from verification import verifies

REJECTED = (
    "SOP_CLASS MODALITY INTENT IMAGE_TYPE BODY_PART VIEW AGE PHOTOMETRIC PRESENTATION_LUT BITS "
    "ROWS_COLUMNS FRAMES BURNED_IN LATERALITY RESCALE_LUT PIXEL_RANGE PIXEL_GATE PIXEL_SPACING "
    "IDENTITY TRANSFER_SYNTAX UID_FORM DUPLICATE_UID"
)
FAILED = "FILE_READ FILE_SIZE FILE_PREAMBLE FILE_PART10 PARSE LENGTH DECODE"
"""Check codes as the contract publishes them."""


@verifies("SRS-183@ce65f977", level="unit")
def test_the_codes_are_those_of_the_contract() -> None:
    assert {*CheckCode} == {*REJECTED.split(), *FAILED.split()}
    assert set(FAILURES) == {*FAILED.split()}


@verifies("SRS-183@ce65f977", level="unit")
@pytest.mark.parametrize(
    "closed",
    [getattr(vocabulary, name) for name in vocabulary.__all__ if not name.isupper()],
)
def test_a_closed_set_refuses_every_other_word(closed: type[StrEnum]) -> None:
    for word in closed:
        assert closed(str(word)) is word
        for other in (str(word) + " ", str(word).swapcase(), ""):
            with pytest.raises(ValueError, match="is not a valid"):
                closed(other)


@verifies("SRS-182@1cf56f19", level="unit")
def test_each_error_has_one_code_and_says_what_to_do() -> None:
    raised: dict[type[Exception], str] = {
        errors.IntegrityError: str(errors.IntegrityError("weights", found="a", locked="b")),
        errors.ProbabilityError: str(errors.ProbabilityError(2.0)),
        errors.OperatingPointError: str(errors.OperatingPointError("OP-1", 2.0)),
        errors.OutputError: str(errors.OutputError(Path("out"), "disk full")),
        errors.NodeError: str(errors.NodeError("--bind here; accepted: HOST:PORT")),
        errors.AuditError: str(errors.AuditError(Path("audit.jsonl"), "line 3 was changed")),
        errors.ClaimError: str(errors.ClaimError("triage")),
        errors.ArchiveError: str(errors.ArchiveError("films.csv", "no rows", "add films")),
        errors.EngineError: str(errors.EngineError("a worker was killed", "lower --workers")),
        errors.NoReleaseError: str(errors.NoReleaseError(Path("run/release"))),
        errors.CudaError: str(errors.CudaError("no CUDA device was found")),
        errors.ReleaseError: str(errors.ReleaseError(Path("run/release"), "triage")),
        errors.SigningError: str(errors.SigningError(Path("key.pem"), "mode 644", "keep 600")),
        errors.DatasetError: str(errors.DatasetError(Path("nih"), "no table", "add it")),
        errors.TrainingError: str(errors.TrainingError(Path("run"), "loss is nan", "lower it")),
    }
    public = {getattr(errors, name) for name in errors.__all__}
    assert set(raised) == public - {errors.CxrDeviceError, errors.words_of}
    codes = [message.split(":")[0].split(" ")[0] for message in raised.values()]
    assert len(set(codes)) == len(codes)
    assert all(code.isupper() for code in codes)
    for message in raised.values():
        action = message.rpartition(";")[2].strip()
        assert action.startswith(
            ("reinstall", "accepted: ", "choose ", "keep ", "add ", "lower ", "read ")
        )


@verifies("SRS-182@1cf56f19", level="unit")
def test_each_check_says_what_was_found_and_what_is_accepted(release: Release) -> None:
    verdict = checks.Verdict(outcome=vocabulary.Outcome.REJECT, value="found this", message="why")
    for code, description in checks.DESCRIPTIONS.items():
        check = description.check(code, verdict, description.accepted_by(release.label))
        assert (check.code, check.value, check.message) == (code, "found this", "why")
        assert check.accepted == description.accepted_by(release.label)
        assert "{" not in check.accepted
        assert description.action.strip()


@verifies("SRS-181@63e776af", level="system")
def test_the_conformance_statement_follows_its_tables(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = conformance.statement(release)
    for code, description in checks.DESCRIPTIONS.items():
        assert f"| {code} | {description.tag} |" in before
    for syntax in conformance.LOSSLESS | conformance.LOSSY:  # type: ignore[attr-defined]
        assert syntax in before
    fewer = {k: v for k, v in checks.DESCRIPTIONS.items() if k != CheckCode.VIEW}
    monkeypatch.setattr(conformance, "DESCRIPTIONS", fewer)
    monkeypatch.setattr(conformance, "LOSSLESS", frozenset({"1.2.840.10008.1.2.1"}))
    after = conformance.statement(release)
    assert "| VIEW |" in before
    assert "| VIEW |" not in after
    assert "1.2.840.10008.1.2.4.90" in before
    assert "1.2.840.10008.1.2.4.90" not in after
