"""The result as a printable page, and as an instance of its class."""

import base64
import re
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from answers import (
    CHILD,
    LATERAL,
    MADE_AT,
    PASSED,
    WARNED,
    Told,
    analyzed,
    failed,
    making,
    rejected,
    release,
    study,
)
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread

from cxr_device.checks import Check
from cxr_device.outputs.composite_instance import Making
from cxr_device.outputs.encapsulated_pdf import draw_pdf, encapsulated_pdf
from cxr_device.outputs.statement import Statement, state
from cxr_device.result import Analyzed, DeviceIdentity, Failed, Rejected, ResolvedView
from cxr_device.vocabulary import CheckCode, Outcome, Profile, View
from verification import verifies

REFERENCE = Path(__file__).parent / "references" / "result_pdf.txt"
TALL = np.tile(np.linspace(0, 255, 1000).astype(np.uint8), (1200, 1))
SMALL = np.tile(np.linspace(0, 255, 90).astype(np.uint8), (60, 1))

JPEG = b"\xff\xd8"
RED, AMBER, GREEN = "b0202a", "9a6700", "1a7f37"


def pdf_of(result: Analyzed | Rejected | Failed, picture: NDArray[np.uint8] | None = None) -> bytes:
    return draw_pdf(result, state(result, release()), making(result), picture=picture)


def streams(pdf: bytes) -> list[bytes]:
    """Every stream of a PDF, its ASCII85 and deflate taken off; a JPEG stays one."""
    found = re.findall(rb"stream\r?\n(.*?~>)\s*endstream", pdf, re.DOTALL)
    plain = [base64.a85decode(b"<~" + stream, adobe=True) for stream in found]
    return [each if each.startswith(JPEG) else zlib.decompress(each) for each in plain]


def pages(pdf: bytes) -> list[str]:
    """The drawing of each page."""
    return [each.decode("latin-1") for each in streams(pdf) if not each.startswith(JPEG)]


def text(pdf: bytes) -> str:
    """The words of all pages in their order, lines joined by a blank."""
    pieces = re.findall(r"\((.*?)(?<!\\)\) Tj( T\*)?", " ".join(pages(pdf)))
    joined = "".join(piece + (" " if end else "") for piece, end in pieces)
    return re.sub(r"\\([()\\])", r"\1", " ".join(joined.split()))


def baselines(drawing: str) -> list[tuple[float, float]]:
    """Where the first and the last line of each text of a page begin, in points."""
    found, at, kept = [], (0.0, 0.0), []
    for line in drawing.splitlines():
        if line == "q":
            kept.append(at)
        elif line == "Q":
            at = kept.pop()
        elif moved := re.fullmatch(r"1 0 0 1 ([\d.-]+) ([\d.-]+) cm", line):
            at = (at[0] + float(moved[1]), at[1] + float(moved[2]))
        elif set_at := re.match(r"BT 1 0 0 1 ([\d.-]+) ([\d.-]+) Tm", line):
            leading = float(re.findall(r"([\d.]+) TL", line)[0])
            x, y = at[0] + float(set_at[1]), at[1] + float(set_at[2])
            found += [(x, y), (x, y - leading * (line.count("T*") - 1))]
    return found


def colour_of(words: str, pdf: bytes) -> str:
    """Colour, in hexadecimal, in which a text is set."""
    (drawing,) = pages(pdf)
    before = drawing[: drawing.index(f"({words}) Tj")]
    red, green, blue = re.findall(r"([\d.]+) ([\d.]+) ([\d.]+) rg", before)[-1]
    return "".join(f"{round(255 * float(share)):02x}" for share in (red, green, blue))


def picture_in(pdf: bytes) -> tuple[Image.Image, float, float]:
    """The film of a page, and its width and height on paper in points."""
    (jpeg,) = (stream for stream in streams(pdf) if stream.startswith(JPEG))
    (drawing,) = pages(pdf)
    width, height = re.findall(r"([\d.]+) 0 0 ([\d.]+) [\d.]+ [\d.]+ cm\s+/\S+ Do", drawing)[0]
    return Image.open(BytesIO(jpeg)), float(width), float(height)


def instance_of(result: Analyzed | Rejected | Failed) -> Dataset:
    made = encapsulated_pdf(result, state(result, release()), study(), making(result), picture=None)
    read: Dataset = dcmread(BytesIO(made.data))
    return read


@verifies("SRS-245@98ddb9da")
def test_the_instance_holds_the_page_and_states_its_length() -> None:
    lengths = set()
    for result in (analyzed(), rejected(), failed(), rejected(LATERAL, CHILD)):
        page, document = pdf_of(result), instance_of(result)
        stored = document.EncapsulatedDocument
        assert document.EncapsulatedDocumentLength == len(page)
        assert stored[: len(page)] == page
        assert stored[len(page) :] == b"\0" * (len(page) % 2)
        lengths.add(len(page) % 2)
    assert lengths == {0, 1}


@verifies("SRS-245@98ddb9da", "SRS-246@2e3578d8", "RC-243@8470e730")
def test_the_instance_says_what_it_holds_and_of_which_film() -> None:
    document = instance_of(analyzed())
    assert document.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert document.DocumentTitle == "Pneumonia suspected"
    assert document.ConversionType == "WSD"
    assert document["AcquisitionDateTime"].VM == 0  # Type 2: a page was not acquired
    assert document.BurnedInAnnotation == "NO"
    assert document.VerificationFlag == "UNVERIFIED"
    (name,) = document.ConceptNameCodeSequence
    assert (name.CodeValue, name.CodingSchemeDesignator) == ("11528-7", "LN")
    (source,) = document.SourceInstanceSequence
    assert source.ReferencedSOPInstanceUID == study().sop_instance_uid


@verifies("SRS-246@2e3578d8", "RC-243@8470e730")
@pytest.mark.parametrize(
    ("result", "headline", "colour"),
    [
        (analyzed(0.8), "Pneumonia suspected", RED),
        (analyzed(0.1), "Pneumonia not suspected", GREEN),
        (rejected(), "Not analysed", AMBER),
        (failed(), "Not readable", RED),
    ],
)
def test_an_answer_has_its_words_and_its_colour(
    result: Analyzed | Rejected | Failed, headline: str, colour: str
) -> None:
    page = pdf_of(result)
    for sentence in state(result, release()).sentences:
        assert sentence in text(page)
    assert "not for primary diagnosis" in text(page)
    assert colour_of(headline, page) == colour
    assert page.count(b"/Title (" + headline.encode()) == 1


@verifies("SRS-246@2e3578d8", "RC-243@8470e730", "SRS-155@5e9e6fbd")
def test_the_banner_is_another_under_research() -> None:
    def banner(profile: Profile) -> str:
        (page,) = pages(pdf_of(analyzed(profile=profile)))
        return page[: page.index(" re f*")].rpartition(" rg")[0].split("\n")[-1]

    red, _, blue = map(float, banner(Profile.TRIAGE).split()[-3:])
    assert blue > 2 * red
    red, _, blue = map(float, banner(Profile.RESEARCH).split()[-3:])
    assert red > 2 * blue
    assert "not the device" in text(pdf_of(analyzed(profile=Profile.RESEARCH)))


@verifies("SRS-242@ee6c0226", "RC-240@89b270a1")
def test_every_check_is_a_row_in_the_colour_of_its_outcome() -> None:
    unread = (CheckCode.PIXEL_GATE, Outcome.NOT_RUN, "", "not run")
    page = pdf_of(rejected(PASSED, WARNED, LATERAL, unread))
    told = text(page)
    assert "Check Outcome Found Accepted" in told
    for check in rejected(PASSED, WARNED, LATERAL, unread).checks:
        row = (check.code, check.outcome.replace("_", " "), check.value, check.accepted)
        assert " ".join(word for word in row if word) in told
    colours = [colour_of(word, page) for word in ("pass", "warn", "reject")]
    assert colours == [GREEN, AMBER, RED]
    assert colour_of("not run", page) not in colours


@verifies("SRS-241@8f8141b4", "SRS-246@2e3578d8")
def test_the_foot_names_film_device_and_limits() -> None:
    result = analyzed()
    told = text(pdf_of(result))
    for line in (
        release().label.intended_use,
        *release().label.limitations,
        "View PA from ViewPosition. Made 2026-01-02 03:04:05.",
        f"SOP Instance UID {result.source.sop_instance_uid}",
        f"Film SHA-256 {result.source.sha256}",
        f"Weights SHA-256 {result.device.weights_sha256}",
        f"Configuration SHA-256 {result.device.config_sha256}",
        f"Preprocessing SHA-256 {result.device.preprocessing_sha256}",
    ):
        assert line in told
    assert "View not established" in text(pdf_of(failed()))


@verifies("SRS-243@7e4c2e1f")
def test_what_a_file_says_is_text_of_the_page_and_no_markup() -> None:
    odd = (CheckCode.BODY_PART, Outcome.REJECT, "<b>&\x1b[2J(", "not <i>")
    told = text(pdf_of(rejected(odd)))
    assert r"BODY_PART: not <i> (<b>&\x1b[2J()" in told
    assert text(pdf_of(analyzed(0.8, (CheckCode.AGE, Outcome.WARN, "<u>", "no age")))).count(
        "<u>"
    ) == 2  # fmt: skip


@verifies("SRS-360@5743851b", "RC-240@89b270a1")
@pytest.mark.parametrize("outcome", [Outcome.REJECT, Outcome.WARN])
def test_pages_are_added_until_every_check_stands_on_them(outcome: Outcome) -> None:
    told: list[Told] = [
        (code, outcome, f"{code}-value " + "v" * 160, f"{code}-message " + "m" * 160)
        for code in CheckCode
    ]
    refused = outcome is Outcome.REJECT
    page = pdf_of(rejected(*told)) if refused else pdf_of(analyzed(0.8, *told), TALL)
    assert len(pages(page)) > 1
    words = text(page)
    for code in CheckCode:
        assert words.count(f"{code}-value") == 2  # in the answer and in its row
        assert f"{code}-message" in words
    assert words.count("v") >= 2 * 160 * len(CheckCode)
    for drawing in pages(page):
        for x, y in baselines(drawing):
            assert 30 < x < 595 - 30  # A4 is 595 x 842 points, and its edge is not printed
            assert 30 < y < 842 - 30


@verifies("SRS-246@2e3578d8")
def test_the_film_is_shown_in_its_form() -> None:
    film, width, height = picture_in(pdf_of(analyzed(), TALL))
    assert film.size == (750, 900)  # a large film does not make a large page
    assert width / height == pytest.approx(1000 / 1200, abs=0.01)
    assert height / 72 * 25.4 == pytest.approx(62, abs=0.1)  # millimetres
    film, width, height = picture_in(pdf_of(analyzed(), TALL.T))
    assert film.size == (900, 750)
    assert width / 72 * 25.4 == pytest.approx(62, abs=0.1)
    film, width, height = picture_in(pdf_of(analyzed(), SMALL))
    assert film.size == (90, 60)
    assert np.abs(np.asarray(film).astype(int) - SMALL).mean() < 3
    assert width / height == pytest.approx(90 / 60, abs=0.01)
    assert "Display copy." in text(pdf_of(analyzed(), SMALL))
    assert "Display copy." not in text(pdf_of(rejected()))


@verifies("SRS-246@2e3578d8")
def test_one_result_is_one_page_byte_for_byte() -> None:
    assert pdf_of(analyzed(), SMALL) == pdf_of(analyzed(), SMALL)
    assert len(pages(pdf_of(analyzed(), TALL))) == 1


def reviewed() -> tuple[Analyzed, Statement, Making]:
    """What stands on the reference: a film of no release, so that a new one does not change it."""
    result = analyzed()
    device = DeviceIdentity(
        name="cxr_device", version="1.2.3", claim="triage", profile="triage",
        weights_sha256="a" * 64, config_sha256="b" * 64, preprocessing_sha256="c" * 64,
    )  # fmt: skip
    rows = tuple(
        Check(
            code=CheckCode.VIEW, outcome=outcome, tag="(0018,5101)", value="a value",
            accepted="what is accepted, in a sentence that is longer than its column " * 2,
            hazard="h", message="m",
        )
        for outcome in Outcome
    )  # fmt: skip
    statement = Statement(
        banner="Banner of the page", headline="Headline of the page",
        sentences=("A sentence that is longer than a line of the column beside the film. " * 2,),
        reasons=("REASON: a reason",), warnings=("A warning.",),
    )  # fmt: skip
    source = replace(result.source, sha256="d" * 64)
    view = ResolvedView(value=View.PA, source="ViewPosition")
    result = replace(result, device=device, source=source, checks=rows, view=view)
    label = replace(
        release().label, intended_use="Use.", limitations=("A limitation of the device. " * 6,)
    )
    made = Making(
        release=replace(release(), label=label), device=device, made_at=MADE_AT, new_uid=str
    )
    return result, statement, made


@verifies("SRS-246@2e3578d8")
def test_the_page_is_set_as_it_was_reviewed(tmp_path: Path) -> None:
    """Another setting is looked at before it replaces the reference."""
    result, statement, made = reviewed()
    page = draw_pdf(result, statement, made, picture=TALL)
    drawn = re.sub(r"FormXob\.\w+", "FormXob", "\n".join(pages(page)))  # named by its bytes
    (tmp_path / "page.pdf").write_bytes(page)
    (tmp_path / REFERENCE.name).write_text(drawn, encoding="utf-8")
    same = drawn == REFERENCE.read_text(encoding="utf-8")
    assert same, f"look at {tmp_path}/page.pdf; if it is right, {REFERENCE.name} replaces its like"
