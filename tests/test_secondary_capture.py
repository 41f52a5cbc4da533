"""The result page: film, answer and identity as a picture, and as an instance of its class."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from answers import PASSED, WARNED, analyzed, making, release, study
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread

from cxr_device.errors import ClaimError
from cxr_device.explanation import ActivationMap
from cxr_device.outputs.secondary_capture import draw_page, secondary_capture
from cxr_device.outputs.statement import Statement, state
from cxr_device.result import Analyzed, DeviceIdentity, Source
from cxr_device.vocabulary import CheckCode, Outcome, Profile
from verification import verifies

REFERENCE = Path(__file__).parent / "references" / "result_page.png"
MAP = ActivationMap(cells=np.array([[1.0, 0.0], [0.0, -1.0]]), offset=0.0)
GREY = np.tile(np.linspace(0, 255, 600).astype(np.uint8), (500, 1))
"""A film smaller than its place on the page: shown as it is."""
LARGE = np.tile(np.linspace(0, 255, 1000).astype(np.uint8), (1200, 1))

Page = NDArray[np.int16]


def page_of(
    result: Analyzed,
    *,
    picture: NDArray[np.uint8] = GREY,
    activation: ActivationMap | None = None,
) -> Page:
    drawn = draw_page(result, state(result, release()), picture=picture, activation=activation)
    return drawn.astype(np.int16)


def instance_of(result: Analyzed, activation: ActivationMap | None = None) -> Dataset:
    made = secondary_capture(
        result, state(result, release()), study(), making(result), picture=GREY,
        activation=activation,
    )  # fmt: skip
    read: Dataset = dcmread(BytesIO(made.data))
    return read


def film_on(page: Page, height: int = 500, width: int = 600) -> Page:
    """The part of the page on which a film of this size stands."""
    return page[84 : 84 + height, 28 : 28 + width]


def right_of_film(page: Page) -> Page:
    return page[60:, 920:]


@verifies("SRS-245@98ddb9da")
def test_the_instance_holds_the_page_as_a_colour_picture() -> None:
    result, capture = analyzed(), instance_of(analyzed())
    assert np.array_equal(capture.pixel_array, page_of(result))
    assert (capture.Rows, capture.Columns) == (1000, 1600)
    assert (capture.SamplesPerPixel, capture.PhotometricInterpretation) == (3, "RGB")
    assert (capture.PlanarConfiguration, capture.PixelRepresentation) == (0, 0)
    assert (capture.BitsAllocated, capture.BitsStored, capture.HighBit) == (8, 8, 7)
    assert capture["PixelData"].VR == "OB"


@verifies("SRS-245@98ddb9da", "SRS-246@2e3578d8", "RC-243@8470e730")
def test_the_instance_says_that_it_was_made_from_the_film_and_by_what() -> None:
    capture, film = instance_of(analyzed()), study()
    assert capture.ImageType == ["DERIVED", "SECONDARY"]
    assert capture.ConversionType == "WSD"  # workstation
    assert (capture.DateOfSecondaryCapture, capture.TimeOfSecondaryCapture) == (
        "20260102", "030405",
    )  # fmt: skip
    assert capture.BodyPartExamined == "CHEST"
    assert capture["PatientOrientation"].VM == 0  # Type 2, and a page has none
    assert capture.BurnedInAnnotation == "YES"
    assert "not for primary diagnosis" in capture.DerivationDescription
    (source,) = capture.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == film.sop_instance_uid
    (purpose,) = source.PurposeOfReferenceCodeSequence
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("121322", "DCM")


@verifies("SRS-178@5aa37ec3", "RC-178@72e47793")
def test_under_triage_the_film_is_shown_unmarked_and_a_map_is_refused() -> None:
    shown = film_on(page_of(analyzed()))
    assert np.array_equal(shown, np.repeat(GREY[:, :, None], 3, axis=2))
    with pytest.raises(ClaimError, match="triage"):
        page_of(analyzed(), activation=MAP)


@verifies("SRS-236@b66621e7", "RC-178@72e47793")
def test_under_research_the_map_lies_over_the_film_and_the_film_is_seen_through_it() -> None:
    research = analyzed(profile=Profile.RESEARCH)
    plain, drawn = film_on(page_of(research)), film_on(page_of(research, activation=MAP))
    more, less = drawn[20:80, 20:580], drawn[420:470, 400:580]
    assert (drawn[20, 20, 0] - plain[20, 20, 0]) > (drawn[20, 20, 2] - plain[20, 20, 2])  # orange
    assert (more[..., 0] >= more[..., 2]).all()
    assert (less[..., 2] >= less[..., 0]).all()  # blue
    columns = np.arange(40, 160, 20)
    assert (np.diff(drawn[20, columns].sum(axis=-1)) > 0).all()  # the grey wedge under it


@verifies("SRS-236@b66621e7", "SRS-246@2e3578d8", "RC-243@8470e730")
def test_the_banner_is_another_under_research() -> None:
    triage, research = page_of(analyzed()), page_of(analyzed(profile=Profile.RESEARCH))
    red, _green, blue = triage[10, 10]
    assert blue > 2 * red
    red, _green, blue = research[10, 10]
    assert red > 2 * blue


@verifies("SRS-246@2e3578d8")
def test_a_large_film_is_fitted_beside_the_answer() -> None:
    page = page_of(analyzed(), picture=LARGE)
    shown = np.nonzero((page[84:964, 28:908] > 200).all(axis=-1))
    assert shown[0].max() == 879  # as tall as its place
    assert 725 <= shown[1].max() <= 733  # 880 x 1000 / 1200: its form is kept


@verifies("SRS-246@2e3578d8")
@pytest.mark.parametrize("probability", [0.1, 0.3, 0.9])
def test_the_bar_is_as_long_as_the_probability_and_is_marked_at_the_threshold(
    probability: float,
) -> None:
    column = right_of_film(page_of(analyzed(probability)))
    bar = column[(column != column[0, 0]).any(axis=-1).sum(axis=1).argmax()]  # the fullest row
    inside = np.nonzero((bar != column[0, 0]).any(axis=-1))[0]
    left, length = inside.min(), inside.max() - inside.min()
    filled = np.nonzero((bar == bar[left]).all(axis=-1))[0]
    mark = np.nonzero(bar.min(axis=-1) > 220)[0]
    assert filled.max() - left == pytest.approx(probability * length, abs=1)
    assert mark.mean() - left == pytest.approx(0.25 * length, abs=1)


@verifies("SRS-246@2e3578d8")
def test_a_flag_and_no_flag_have_colours_of_their_own() -> None:
    def headline(result: Analyzed) -> Page:
        ink: Page = page_of(result)[84:140, 960:1572].reshape(-1, 3)
        return ink[ink.sum(axis=1).argmax()]  # type: ignore[no-any-return]

    red, green, _blue = headline(analyzed(0.9))
    assert red > green + 50
    red, green, _blue = headline(analyzed(0.1))
    assert green > red + 50


LONG = tuple((code, Outcome.WARN, "value" * 40, "word " * 40) for code in CheckCode)
"""A warning of every check, with the longest value and message that a check holds."""


@verifies("SRS-360@5743851b", "RC-240@89b270a1")
def test_the_page_grows_until_every_warning_stands_on_it() -> None:
    few, many = page_of(analyzed(0.1, PASSED, WARNED)), page_of(analyzed(0.1, *LONG))
    assert few.shape == (1000, 1600, 3)
    assert many.shape[0] > 28 * 8 * 18  # 28 warnings of at least eight lines
    paper = many[-1, 0]
    assert (many[-20:] == paper).all()  # nothing is cut at the foot
    assert (many[60:, -27:] == paper).all()  # nor at the right
    # The three digests close both pages; they lie between whole pixels, so their ink is compared.
    ink = [np.abs(page[-300:, 964:] - paper).sum(axis=-1) for page in (few, many)]
    ends = [np.nonzero(each.sum(axis=1))[0].max() for each in ink]
    feet = [each[end - 130 : end + 1].sum(axis=0) for each, end in zip(ink, ends, strict=True)]
    assert np.corrcoef(*feet)[0, 1] > 0.98


def reviewed() -> tuple[Analyzed, Statement]:
    """What stands on the reference: a film of no release, so that a new one does not change it."""
    result = analyzed(0.8, PASSED, WARNED, profile=Profile.RESEARCH)
    device = DeviceIdentity(
        name="cxr_device", version="1.2.3", claim="triage", profile="research",
        weights_sha256="a" * 64, config_sha256="b" * 64, preprocessing_sha256="c" * 64,
    )  # fmt: skip
    source = Source(
        path=None, sha256="d" * 64, sop_instance_uid=None, study_instance_uid=None,
        transfer_syntax_uid=None,
    )  # fmt: skip
    statement = Statement(
        banner="Banner of the page", headline="Headline of the page",
        sentences=("A sentence that is longer than a line of the column beside the film. " * 2,),
        reasons=(), warnings=("A warning.", "W" * 90),
    )  # fmt: skip
    return replace(result, device=device, source=source), statement


@verifies("SRS-246@2e3578d8", "SRS-236@b66621e7")
def test_the_page_is_set_as_it_was_reviewed(tmp_path: Path) -> None:
    """Another setting is looked at before it replaces the reference."""
    result, statement = reviewed()
    drawn = draw_page(result, statement, picture=LARGE, activation=MAP)
    Image.fromarray(drawn).save(tmp_path / REFERENCE.name)
    with Image.open(REFERENCE) as reference:
        same = np.array_equal(drawn, np.asarray(reference))
    assert same, f"look at {tmp_path / REFERENCE.name}; if it is right, it replaces {REFERENCE}"
