"""The decision table of the intended use, tried: a synthetic matrix, and every row of the table.

The expected outcomes are written here from the table (DICOM design page, section 2b), never taken
from the device. Matrix: view x body part x age x photometric interpretation x transfer syntax.
"""

import warnings
from collections.abc import Callable, Iterator
from copy import copy
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from builders import (
    CR,
    DX,
    J2K,
    J2K_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    JPEG_LS_NEAR,
    RLE,
    SC,
    code,
    compressed,
    dx,
    pixels,
    to_bytes,
)
from hostile import with_syntax
from pydicom import FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID

from cxr_device import Device
from cxr_device.result import Checked, Failed, Rejected
from verification import verifies

Edit = Callable[[FileDataset], None]
PASS, WARN, REJECT = "pass", "warn", "reject"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
DEFLATED, BIG_ENDIAN, VIDEO = (
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.100",
)
LATERAL = code("399173006", "SCT", "left lateral")


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    loaded = Device.load_guards()
    yield loaded
    loaded.close()


def setting(**values: Any) -> Edit:
    """Set attributes; None removes one."""

    def edit(film: FileDataset) -> None:
        for keyword, value in values.items():
            if value is None:
                film.pop(keyword, None)
            else:
                setattr(film, keyword, value)

    return edit


def view(position: str | None, codes: list[Any] | None = None, **others: Any) -> Edit:
    """Say the view in View Position alone, unless told otherwise."""
    return setting(ViewPosition=position, ViewCodeSequence=codes, **others)


def body(part: str | None) -> Edit:
    """Say the body part in Body Part Examined alone."""
    return setting(BodyPartExamined=part, AnatomicRegionSequence=None)


VIEWS: dict[str, tuple[Edit, str]] = {
    "PA": (view("PA"), PASS),
    "AP": (view("AP"), PASS),
    "AP by PatientPosition": (view("", PatientPosition="AP"), WARN),
    "none": (view(None), REJECT),
    "LL": (view("LL"), REJECT),
}
MORE_VIEWS: dict[str, tuple[Edit, str]] = {
    "PA by code": (view(None, [code("272479007", "SCT", "PA")]), PASS),
    "AP by code": (view(None, [code("399348003", "SCT", "AP")]), PASS),
    "AP by legacy code": (view(None, [code("R-10206", "SRT", "AP")]), PASS),
    "PA, head first": (view("PA", PatientPosition="HFS"), PASS),
    "PA by SeriesDescription": (view("", SeriesDescription="CHEST PA"), WARN),
    "AP by ProtocolName": (view("", ProtocolName="Chest_AP"), WARN),
    "head first alone": (view("", PatientPosition="HFS"), REJECT),
    "XX": (view("", PatientPosition="XX"), REJECT),
    "LAT": (view("LAT"), REJECT),
    "RL": (view("RL"), REJECT),
    "RLO": (view("RLO"), REJECT),
    "LLD": (view("LLD"), REJECT),
    "lordotic": (view("LORDOTIC"), REJECT),
    "lateral by code": (view(None, [LATERAL]), REJECT),
    "PA against lateral code": (view("PA", [LATERAL]), REJECT),
    "PA against AP": (view("PA", PatientPosition="AP"), REJECT),
    "PA against LAT in text": (view("PA", SeriesDescription="CHEST LAT"), REJECT),
    "study text has no vote": (view("AP", StudyDescription="CHEST (PA AND LAT)"), PASS),
}
BODIES: dict[str, tuple[Edit, str]] = {
    "CHEST": (body("CHEST"), PASS),
    "PORT CHEST": (body("PORT CHEST"), WARN),
    "RIBCAGE": (body("RIBCAGE"), REJECT),
}
MORE_BODIES: dict[str, tuple[Edit, str]] = {
    "chest code": (setting(BodyPartExamined=None), PASS),
    "THORAX": (body("THORAX"), WARN),
    "LUNG": (body("LUNG"), WARN),
    "empty": (body(""), WARN),
    "absent": (body(None), WARN),
    "CHEST_TO_ABDOMEN": (body("CHEST_TO_ABDOMEN"), REJECT),
    "CHESTABDOMEN": (body("CHESTABDOMEN"), REJECT),
    "BABYGRAM": (body("BABYGRAM"), REJECT),
    "RIB": (body("RIB"), REJECT),
    "TSPINE": (body("TSPINE"), REJECT),
    "ABDOMEN": (body("ABDOMEN"), REJECT),
    "CHEST, coded abdomen": (
        setting(AnatomicRegionSequence=[code("818983003", "SCT", "Abdomen")]),
        REJECT,
    ),
}
AGES: dict[str, tuple[Edit, str]] = {
    "045Y": (setting(PatientAge="045Y"), PASS),
    "81": (setting(PatientAge="81"), WARN),
    "021Y": (setting(PatientAge="021Y"), REJECT),
}
MORE_AGES: dict[str, tuple[Edit, str]] = {
    "022Y": (setting(PatientAge="022Y"), PASS),
    "120Y": (setting(PatientAge="120Y"), PASS),
    "264M": (setting(PatientAge="264M"), PASS),
    "birth date": (setting(PatientAge=None, PatientBirthDate="19610203"), WARN),
    "nothing": (setting(PatientAge=None, PatientBirthDate=None), REJECT),
    "empty": (setting(PatientAge="", PatientBirthDate=""), REJECT),
    "000Y": (setting(PatientAge="000Y"), REJECT),
    "999Y": (setting(PatientAge="999Y"), REJECT),
    "121Y": (setting(PatientAge="121Y"), REJECT),
    "263M": (setting(PatientAge="263M"), REJECT),
    "999D": (setting(PatientAge="999D"), REJECT),
    "21 years by birth date": (setting(PatientAge=None, PatientBirthDate="20040102"), REJECT),
    "22 years by birth date": (setting(PatientAge=None, PatientBirthDate="20040101"), WARN),
    "45 against 65": (setting(PatientAge="045Y", PatientBirthDate="19610101"), REJECT),
}
PHOTOMETRICS = {"MONOCHROME2": PASS, "MONOCHROME1": PASS, "RGB": REJECT}
SYNTAXES = {EXPLICIT: PASS, JPEG_LS: PASS, JPEG_BASELINE: WARN, DEFLATED: REJECT}
COMPRESSED = {
    JPEG_BASELINE, JPEG_EXTENDED, JPEG_LS_NEAR, J2K, JPEG_LS, RLE, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1,
    J2K_LOSSLESS,
}  # fmt: skip
REFUSED = {DEFLATED, BIG_ENDIAN, VIDEO}
MORE_SYNTAXES = {
    IMPLICIT: PASS, RLE: PASS, JPEG_LOSSLESS: PASS, JPEG_LOSSLESS_SV1: PASS, J2K_LOSSLESS: PASS,
    JPEG_EXTENDED: WARN, JPEG_LS_NEAR: WARN, J2K: WARN, BIG_ENDIAN: REJECT, VIDEO: REJECT,
}  # fmt: skip


@cache
def frame_of(photometric: str, syntax: str) -> FileDataset:
    """A film of 512 x 512 pixels in a photometric interpretation and a transfer syntax."""
    film = dx(pixels(side=512).clip(max=4000))  # near-lossless adds 2: still within 12 bits
    if syntax == JPEG_BASELINE:
        film = dx((pixels(side=512) >> 4).astype(np.uint8), bits_stored=8)
    if syntax in COMPRESSED:
        film = compressed(film, syntax)
    if syntax == IMPLICIT:
        film.file_meta.TransferSyntaxUID = UID(syntax)
    film.PhotometricInterpretation = photometric
    film.PresentationLUTShape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    if photometric == "RGB":
        film.SamplesPerPixel, film.PlanarConfiguration = 3, 0
        del film.PresentationLUTShape
        if syntax not in COMPRESSED:
            film.PixelData *= 3
    return film


def named(data: bytes, syntax: str) -> bytes:
    """Name a syntax that is refused unopened over an explicit data set; leave the others."""
    return with_syntax(data, syntax) if syntax in REFUSED else data


def edited(film: FileDataset, *edits: Edit) -> bytes:
    """The bytes of an edited copy of a film."""
    copied = FileDataset(
        "",
        {element.tag: copy(element) for element in film},
        file_meta=FileMetaDataset({element.tag: copy(element) for element in film.file_meta}),
        preamble=b"\0" * 128,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some values break the standard, as senders do
        for edit in edits:
            edit(copied)
        return to_bytes(copied)


def disagreements(device: Device, data: bytes, wanted: dict[str, str]) -> list[str]:
    """What the device says otherwise than the table: the status, and each check's outcome."""
    result, faults = device.check(data), []
    found = {str(check.code): str(check.outcome) for check in result.checks}
    status = Rejected if REJECT in wanted.values() else Checked
    if type(result) is not status:
        faults.append(f"{type(result).__name__}, the table says {status.__name__}")
    if wanted.get("TRANSFER_SYNTAX") == REJECT:  # refused unopened
        wanted = {**dict.fromkeys(wanted, "not_run"), "TRANSFER_SYNTAX": REJECT}
    for name, outcome in found.items():
        if name in wanted and outcome != wanted[name]:
            faults.append(f"{name} {outcome}, the table says {wanted[name]}")
        if name not in wanted and outcome == REJECT:
            faults.append(f"{name} rejects, the table says nothing of it")
    return faults


@verifies("SRS-229@afc8b576", "RC-131@bd2090ae", level="system")
@pytest.mark.parametrize("photometric", PHOTOMETRICS)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_combination_is_decided_as_the_table_says(
    syntax: str, photometric: str, device: Device
) -> None:
    film, faults = frame_of(photometric, syntax), {}
    for names in product(VIEWS, BODIES, AGES):
        facts = VIEWS[names[0]], BODIES[names[1]], AGES[names[2]]
        wanted = dict(zip(("VIEW", "BODY_PART", "AGE"), (fact[1] for fact in facts), strict=True))
        wanted |= {"PHOTOMETRIC": PHOTOMETRICS[photometric], "TRANSFER_SYNTAX": SYNTAXES[syntax]}
        data = named(edited(film, *(fact[0] for fact in facts)), syntax)
        faults[names] = disagreements(device, data, wanted)
    assert len(faults) * len(SYNTAXES) * len(PHOTOMETRICS) == 540
    assert {names: fault for names, fault in faults.items() if fault} == {}


@verifies("SRS-229@afc8b576", "RC-131@bd2090ae", level="system")
@pytest.mark.parametrize(
    ("name", "table"), [("VIEW", MORE_VIEWS), ("BODY_PART", MORE_BODIES), ("AGE", MORE_AGES)]
)
def test_every_other_value_is_decided_as_the_table_says(
    name: str, table: dict[str, tuple[Edit, str]], device: Device
) -> None:
    film = frame_of("MONOCHROME2", EXPLICIT)
    faults = {
        value: disagreements(device, edited(film, edit), {name: outcome})
        for value, (edit, outcome) in table.items()
    }
    assert {value: fault for value, fault in faults.items() if fault} == {}


@verifies("SRS-229@afc8b576", "SRS-106@606bc67b", "RC-106@c9db5400", level="system")
@pytest.mark.parametrize("syntax", MORE_SYNTAXES)
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_every_other_syntax_is_decided_as_the_table_says(
    syntax: str, photometric: str, device: Device
) -> None:
    data = named(edited(frame_of(photometric, syntax)), syntax)
    wanted = {"PHOTOMETRIC": PASS, "TRANSFER_SYNTAX": MORE_SYNTAXES[syntax]}
    assert disagreements(device, data, wanted) == []


def an_overlay(film: FileDataset) -> None:
    film.add_new(0x60003000, "OW", bytes(64))


def two_frames(film: FileDataset) -> None:
    film.NumberOfFrames = 2
    film.PixelData *= 2


def sop(uid: str, **values: Any) -> Edit:
    """Make the film an instance of another class."""

    def edit(film: FileDataset) -> None:
        film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = UID(uid)
        setting(**values)(film)

    return edit


ROWS: dict[str, tuple[Edit, dict[str, str]]] = {
    "DX For Presentation": (sop(DX), {"SOP_CLASS": PASS, "INTENT": PASS}),
    "CR without an intent": (
        sop(CR, Modality="CR", PresentationIntentType=None),
        {"SOP_CLASS": PASS, "INTENT": PASS, "MODALITY": PASS},
    ),
    "Secondary Capture of a DX": (
        sop(SC, PresentationIntentType=None),
        {"SOP_CLASS": WARN, "MODALITY": PASS, "INTENT": PASS},
    ),
    "FOR PROCESSING": (
        sop("1.2.840.10008.5.1.4.1.1.1.1.1", PresentationIntentType="FOR PROCESSING"),
        {"SOP_CLASS": REJECT, "INTENT": REJECT},
    ),
    "FOR PROCESSING in a DX For Presentation": (
        setting(PresentationIntentType="FOR PROCESSING"),
        {"INTENT": REJECT},
    ),
    "two frames": (two_frames, {"FRAMES": REJECT, "LENGTH": PASS}),
    "an overlay": (an_overlay, {"BURNED_IN": REJECT}),
    "burned-in text": (setting(BurnedInAnnotation="YES"), {"BURNED_IN": REJECT}),
    "burned-in text unknown": (setting(BurnedInAnnotation=None), {"BURNED_IN": WARN}),
    "CT": (setting(Modality="CT"), {"MODALITY": REJECT}),
    "padding": (setting(PixelPaddingValue=0), {"PIXEL_RANGE": PASS}),
    "LIN with For Presentation": (
        setting(PixelIntensityRelationship="LIN"),
        {"INTENT": WARN},
    ),
    "INVERSE with MONOCHROME2": (
        setting(PresentationLUTShape="INVERSE"),
        {"PRESENTATION_LUT": REJECT},
    ),
    "a localizer": (
        setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        {"IMAGE_TYPE": REJECT},
    ),
    "a secondary image": (setting(ImageType=["DERIVED", "SECONDARY"]), {"IMAGE_TYPE": WARN}),
    "one side": (setting(ImageLaterality="L"), {"LATERALITY": REJECT}),
    "another orientation": (setting(PatientOrientation=["R", "F"]), {"LATERALITY": WARN}),
    "no patient": (setting(PatientID=""), {"IDENTITY": WARN}),
    "no spacing": (setting(ImagerPixelSpacing=None), {"PIXEL_SPACING": WARN}),
}  # fmt: skip


@verifies("SRS-229@afc8b576", "RC-131@bd2090ae", level="system")
@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_table_is_decided_so(row: str, device: Device) -> None:
    edit, outcomes = ROWS[row]
    data = edited(frame_of("MONOCHROME2", EXPLICIT), edit)
    assert disagreements(device, data, outcomes) == []


@verifies("SRS-229@afc8b576", "SRS-107@5e273b0b", "RC-107@586e7552", level="system")
def test_a_class_that_differs_from_the_file_meta_information_rejects(device: Device) -> None:
    data = to_bytes(frame_of("MONOCHROME2", EXPLICIT))
    other = data.replace(DX.encode(), b"1.2.840.10008.5.1.4.1.1.1.2", 1)
    assert data.index(DX.encode()) < 300  # in the file meta information
    assert disagreements(device, other, {"SOP_CLASS": REJECT}) == []


@verifies("SRS-229@afc8b576", "SRS-132@9927ddaf", level="system")
def test_a_cut_film_fails_whatever_else_is_wrong_with_it(device: Device) -> None:
    data = edited(frame_of("MONOCHROME2", EXPLICIT), setting(Modality="CT"))
    assert isinstance(device.check(data[:-100]), Failed)
