"""The statement: the answer in words, what it means, and what it does not."""

import pytest
from answers import (
    CHILD,
    CUT,
    LATERAL,
    PASSED,
    WARNED,
    analyzed,
    checked,
    failed,
    rejected,
    release,
)

from cxr_device.outputs.statement import Statement, printable, state
from cxr_device.result import Analyzed, Checked, Failed, Rejected
from cxr_device.vocabulary import CheckCode, Outcome, Profile
from verification import verifies


def said(result: Analyzed | Rejected | Failed | Checked) -> Statement:
    return state(result, release())


@verifies("SRS-246@2e3578d8", "RC-243@8470e730")
@pytest.mark.parametrize(
    ("probability", "headline", "measured"),
    [
        (0.25, "Pneumonia suspected", "probability 0.250, at or above the threshold 0.250 (OP-T:"),
        (0.2, "Pneumonia not suspected", "probability 0.200, below the threshold 0.250 (OP-T:"),
    ],
)
def test_an_answer_gives_its_numbers_and_their_side(
    probability: float, headline: str, measured: str
) -> None:
    statement = said(analyzed(probability))
    assert statement.headline == headline
    assert measured in statement.sentences[0]
    assert release().operating_point_rule in statement.sentences[0]
    assert "read by a radiologist" in statement.sentences[1]


@verifies("SRS-246@2e3578d8", "RC-243@8470e730")
def test_whatever_is_not_flagged_excludes_no_pneumonia() -> None:
    for result in (analyzed(0.2), rejected(), failed(), checked()):
        assert "Pneumonia is not excluded" in said(result).sentences[-1]
    assert "not excluded" not in " ".join(said(analyzed(0.9)).sentences)


@verifies("SRS-246@2e3578d8", "RC-243@8470e730")
def test_no_answer_is_not_called_a_negative_one() -> None:
    assert said(rejected()).headline == "Not analysed"
    assert said(failed()).headline == "Not readable"
    for result in (rejected(), failed()):
        assert "no answer is not a negative answer" in said(result).sentences[0]


@verifies("SRS-246@2e3578d8", "RC-243@8470e730", "SRS-155@5e9e6fbd", "RC-155@66076a19")
def test_the_banner_names_the_profile() -> None:
    for result in (analyzed(), rejected(), failed()):
        assert "not for primary diagnosis" in said(result).banner
    research = Profile.RESEARCH
    for result in (
        analyzed(profile=research),
        rejected(profile=research),
        failed(profile=research),
    ):
        assert "not the device" in said(result).banner


@verifies("SRS-242@ee6c0226", "RC-240@89b270a1")
def test_each_stopping_check_is_a_reason_and_each_warning_a_warning() -> None:
    statement = said(rejected(PASSED, LATERAL, CHILD, CUT))
    assert [reason.split(":")[0] for reason in statement.reasons] == ["VIEW", "AGE", "LENGTH"]
    assert statement.reasons[0] == "VIEW: the film is lateral (LL)"
    assert statement.warnings == ()
    statement = said(analyzed(0.8, PASSED, WARNED))
    assert statement.reasons == ()
    assert statement.warnings == ("AGE: no age is stated (none)",)


@verifies("SRS-246@2e3578d8")
def test_what_a_file_says_is_told_in_printable_ascii_and_not_lost() -> None:
    assert printable("Thorax ä\x1b[2J\n") == r"Thorax \xe4\x1b[2J\x0a"
    odd = (CheckCode.BODY_PART, Outcome.REJECT, "TÊTE", "no chest")
    assert said(rejected(odd)).reasons == (r"BODY_PART: no chest (T\xcaTE)",)
