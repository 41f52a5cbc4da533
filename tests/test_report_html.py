"""The report of one film: what the page says and shows, and what it may load."""

import base64
import re
from dataclasses import replace
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest
from answers import (
    CHILD,
    CUT,
    LATERAL,
    PASSED,
    POINT,
    WARNED,
    analyzed,
    checked,
    failed,
    rejected,
    release,
)
from numpy.typing import NDArray
from PIL import Image

from cxr_device.errors import ClaimError
from cxr_device.explanation import ActivationMap
from cxr_device.outputs.report_html import report
from cxr_device.result import Analyzed, Checked, Failed, Rejected
from cxr_device.vocabulary import CheckCode, Outcome, Profile
from verification import verifies

GREY = np.tile(np.linspace(0, 255, 300).astype(np.uint8), (200, 1))
MAP = ActivationMap(cells=np.array([[1.0, -1.0]]), offset=0.0)

Result = Analyzed | Rejected | Failed | Checked


def page_of(
    result: Result,
    picture: NDArray[np.uint8] | None = None,
    activation: ActivationMap | None = None,
) -> str:
    return report(result, release(), picture=picture, activation=activation)


def part(page: str, begin: str, end: str) -> str:
    """What stands between two marks."""
    assert begin in page
    return page.partition(begin)[2].partition(end)[0]


def pictures(page: str) -> list[Image.Image]:
    data = re.findall(r'src="data:image/(\w+);base64,([^"]+)"', page)
    shown = [Image.open(BytesIO(base64.b64decode(each))) for _, each in data]
    assert [kind.upper() for kind, _ in data] == [each.format for each in shown]
    return shown  # type: ignore[return-value]


@verifies("SRS-152@749f56d9")
@pytest.mark.parametrize(
    ("result", "word"),
    [
        (analyzed(0.8), "Pneumonia suspected"), (analyzed(0.1), "Pneumonia not suspected"),
        (rejected(), "Not analysed"), (failed(), "Not readable"), (checked(), "Checks passed"),
    ],
)  # fmt: skip
def test_the_answer_stands_in_the_title_and_in_the_flag(result: Result, word: str) -> None:
    page = page_of(result)
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert f"<title>cxr_device: {word}</title>" in page
    assert part(page, '<div class="flag', "</div>").count(f"<b>{word}</b>") == 1


@verifies("SRS-152@749f56d9")
@pytest.mark.parametrize(("probability", "flag"), [(0.8, "suspected"), (0.1, "not_suspected")])
def test_an_answer_shows_probability_threshold_and_where_it_lies(
    probability: float, flag: str
) -> None:
    page = page_of(analyzed(probability))
    assert f'<div class="flag {flag}">' in page
    assert f"Calibrated probability {probability:.3f}" in page
    assert f"threshold 0.250 ({POINT.identifier})" in page
    assert f'<i style="width:{probability:.2%}">' in page
    assert '<u style="left:25.00%">' in page
    assert "read by a radiologist" in page


@verifies("SRS-242@ee6c0226", "SRS-152@749f56d9")
def test_a_refusal_lists_what_stopped_it_and_excludes_nothing() -> None:
    flag = part(page_of(rejected(PASSED, LATERAL, CHILD)), '<div class="flag rejected">', "</div>")
    assert "<li><code>VIEW</code>: the film is lateral (LL)</li>" in flag
    assert "<li><code>AGE</code>: the patient is too young (12 years)</li>" in flag
    assert "MODALITY" not in flag
    assert "No answer is not a negative answer" in flag
    assert '<div class="flag failed">' in page_of(failed(CUT))
    assert "negative answer" not in part(page_of(checked()), '<div class="flag ">', "</div>")


@verifies("SRS-152@749f56d9")
def test_every_check_has_a_row_and_a_mark_with_all_that_was_found() -> None:
    unread = (CheckCode.PIXEL_GATE, Outcome.NOT_RUN, "", "an earlier check ended it")
    result = rejected(PASSED, WARNED, LATERAL, unread)
    page = page_of(result)
    marks, rows = part(page, '<ul class="row">', "</ul>"), part(page, "<tbody>", "</tbody>")
    for check in result.checks:
        row = (
            f'<tr class="{check.outcome}"><td><code>{check.code}</code></td>'
            f'<td class="o">{check.outcome.replace("_", " ")}</td><td>{check.value}</td>'
            f"<td>{check.tag}</td><td>{check.accepted}</td><td>{check.message}</td></tr>"
        )
        assert row in rows
        hint = f"{check.tag}: {check.message}; accepted: {check.accepted}"
        assert f'<li class="{check.outcome}" title="{hint}">{check.code}' in marks


@verifies("SRS-152@749f56d9")
def test_what_a_file_says_cannot_become_markup() -> None:
    odd = (CheckCode.BODY_PART, Outcome.REJECT, "<b>&", 'not "<i>"')
    page = page_of(rejected(odd))
    assert "<b>&" not in page
    assert 'not "<i>"' not in page
    assert page.count("&lt;b&gt;&amp;") == 3  # flag, mark and row


@verifies("SRS-152@749f56d9")
def test_the_foot_names_film_device_and_limits() -> None:
    result = analyzed()
    foot = part(page_of(result), "<footer>", "</footer>")
    for name, value in (
        ("View", "PA (from ViewPosition)"),
        ("File SHA-256", result.source.sha256),
        ("SOP Instance UID", result.source.sop_instance_uid),
        ("Transfer syntax", result.source.transfer_syntax_uid),
        ("Device", f"cxr_device {release().version}, claim triage, profile triage"),
        ("Weights", result.device.weights_sha256),
        ("Configuration", result.device.config_sha256),
        ("Preprocessing", result.device.preprocessing_sha256),
        ("Time", "12 ms"),
    ):
        assert f"<dt>{name}</dt><dd><code>{value}</code></dd>" in foot
    assert all(limit in foot for limit in release().label.limitations)


@verifies("SRS-152@749f56d9")
def test_what_was_never_read_is_said_to_be_none() -> None:
    nothing = replace(failed().source, sha256=None, sop_instance_uid=None, transfer_syntax_uid=None)
    foot = part(page_of(replace(failed(), source=nothing, timing_ms={})), "<footer>", "</footer>")
    assert "<dt>View</dt><dd><code>not established</code></dd>" in foot
    for name in ("File SHA-256", "SOP Instance UID", "Transfer syntax"):
        assert f"<dt>{name}</dt><dd><code>none</code></dd>" in foot
    assert "<dt>Time</dt><dd><code>0 ms</code></dd>" in foot


@verifies("SRS-152@749f56d9", "SRS-178@5aa37ec3", "RC-178@72e47793")
def test_the_film_is_shown_as_it_was_read_and_nothing_lies_over_it() -> None:
    page = page_of(analyzed(), GREY)
    (shown,) = pictures(page)
    assert shown.size == (300, 200)
    assert np.abs(np.asarray(shown).astype(int) - GREY).max() <= 2
    assert 'width="300" height="200"' in page
    assert "Display copy of 300 x 200 pixels and 8 bits, not for diagnosis" in page
    assert 'class="map"' not in page
    assert 'name="opacity"' not in page
    assert "not shown" not in page


@verifies("SRS-152@749f56d9")
def test_a_film_that_was_not_read_is_said_not_to_be_shown() -> None:
    page = page_of(rejected())
    assert "The film was not read, so it is not shown." in page
    assert pictures(page) == []
    assert 'name="width"' not in page  # nothing to set a window on


@verifies("SRS-231@56e224fa")
def test_the_tools_begin_at_the_film_as_it_is() -> None:
    """Width 100 % about a level of 50 % is the identity; either end may be reached."""
    tools = part(page_of(analyzed(), GREY), '<form class="tools"', "</form>")
    sliders = dict(re.findall(r'name="(\w+)" ((?:min|max|value)="[^>]*)>', tools))
    assert sliders["width"] == 'min="1" max="200" value="100"'
    assert sliders["level"] == 'min="1" max="100" value="50"'
    assert '<input type="checkbox" name="invert">' in tools
    assert '<button type="reset">' in tools
    filters = part(page_of(analyzed(), GREY), '<filter id="window"', "</filter>")
    linear = re.findall(r'<feFunc([RGB]) type="linear" slope="1" intercept="0"/>', filters)
    assert linear == ["R", "G", "B"]
    assert "filter:url(#window)" in page_of(analyzed(), GREY)


@verifies("SRS-236@b66621e7", "RC-178@72e47793", "SRS-155@5e9e6fbd", "RC-155@66076a19")
def test_a_map_is_drawn_over_the_film_for_research_alone() -> None:
    with pytest.raises(ClaimError, match="triage"):
        page_of(analyzed(), GREY, MAP)
    page = page_of(analyzed(profile=Profile.RESEARCH), GREY, MAP)
    film, over = pictures(page)
    assert film.size == over.size == (300, 200)
    assert over.mode == "RGBA"
    stack = part(page, '<div class="stack">', "</div>")
    assert stack.index('alt="The film that was read"') < stack.index('class="map"')
    assert 'name="opacity" min="0" max="100"' in page  # it can be taken off
    assert "Class activation map, research profile, not the device" in page


@verifies("SRS-155@5e9e6fbd", "RC-155@66076a19")
def test_the_research_page_says_that_it_is_not_the_device() -> None:
    assert "not the device" in page_of(analyzed(profile=Profile.RESEARCH))
    assert "not the device" not in page_of(analyzed())


@verifies("SRS-230@3505fbb4", "RC-230@3a7d10b8")
def test_the_page_loads_nothing_and_runs_one_script() -> None:
    page = page_of(analyzed(), GREY)
    script = part(page, "<script>", "</script>")
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    policy = part(page, 'http-equiv="Content-Security-Policy" content="', '"')
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert part(page, "<style>", "</style>")


@verifies("SRS-232@939386d8")
def test_the_operating_point_stands_beside_an_answer_alone() -> None:
    assert "Operating point on the ROC" in page_of(analyzed())
    for result in (rejected(), failed(), checked()):
        assert "Operating point on the ROC" not in page_of(result)
