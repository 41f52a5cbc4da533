"""A row: what stands in it of an analysed, a refused and an unreadable film, and what never."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from builders import dx, pixels, to_bytes

from cxr_device import Analyzed, Device
from cxr_device.archive.row import row
from cxr_device.release import Release
from verification import verifies

NAMES = {"PatientName": "Zanzibar^Quokka", "PatientID": "ID-987123", "AccessionNumber": "ACC-4711"}
COLUMNS = [
    "path", "status", "exit_code", "score", "flag", "codes", "warnings", "view", "sha256",
    "sop_instance_uid", "study_instance_uid", "transfer_syntax_uid", "version", "weights_sha256",
    "config_sha256", "preprocessing_sha256",
]  # fmt: skip
"""Columns of the table as the documents publish them."""


@pytest.fixture(scope="module")
def reader(release: Release) -> Iterator[Device]:
    """The device with a network of one logit."""
    logits = np.full((1, len(release.heads)), 0.5, np.float32)
    loaded = Device(release, infer=lambda _pixels: logits)
    yield loaded
    loaded.close()


@verifies("SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
def test_an_analysed_film_has_its_score_and_the_others_have_none(reader: Device) -> None:
    film = to_bytes(dx(pixels(side=512), BurnedInAnnotation=None, **NAMES))  # type: ignore[arg-type]
    result = reader.read(film)
    assert isinstance(result, Analyzed)
    told = row(result)
    assert list(told) == COLUMNS
    assert (told["status"], told["exit_code"], told["codes"]) == ("analyzed", 0, [])
    assert told["score"] == result.decision.probability
    assert told["flag"] == str(result.decision.flag)
    assert told["warnings"] == ["ROWS_COLUMNS", "BURNED_IN", "PIXEL_SPACING"]
    assert (told["view"], told["sha256"]) == ("PA", result.source.sha256)
    assert told["sop_instance_uid"] == dx().SOPInstanceUID
    assert told["study_instance_uid"] == dx().StudyInstanceUID
    assert told["transfer_syntax_uid"] == "1.2.840.10008.1.2.1"
    for name in ("version", "weights_sha256", "config_sha256", "preprocessing_sha256"):
        assert told[name] == getattr(reader.identity, name)
    for words in NAMES.values():
        assert not any(word in json.dumps(told) for word in words.split("^"))
    assert row(reader.read(film)) == told  # no time is in it


@verifies("SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
@pytest.mark.parametrize(
    ("film", "status", "exit_code", "codes"),
    [
        (
            to_bytes(dx(pixels(side=512), Modality="CT", PatientAge="010Y")),
            "rejected",
            3,
            ["MODALITY", "AGE"],
        ),
        (b"no film", "failed", 4, ["FILE_PART10"]),
    ],
)
def test_a_film_that_was_not_read_has_its_codes_and_no_score(
    film: bytes, status: str, exit_code: int, codes: list[str], reader: Device
) -> None:
    told = row(reader.read(film))
    assert list(told) == COLUMNS
    assert (told["status"], told["exit_code"], told["codes"]) == (status, exit_code, codes)
    assert (told["score"], told["flag"]) == (None, None)


@verifies("SRS-300@f5f6d75e", "RC-300@a029fb1b", level="integration")
def test_a_film_on_which_the_device_failed_is_70(reader: Device) -> None:
    assert row(reader.read(b"no film"), internal=True)["exit_code"] == 70
