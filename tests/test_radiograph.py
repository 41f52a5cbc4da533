"""The image as it narrows: each form is frozen, whole, and no other form stands in its place."""

from dataclasses import FrozenInstanceError, fields
from typing import Any, get_type_hints

import numpy as np
import pytest
from builders import dx, pixels, radiograph, to_bytes

from cxr_device import Analyzed, Device
from cxr_device.preprocessing import prepare
from cxr_device.radiograph import AcceptedRadiograph, ModelInput
from cxr_device.release import Release
from verification import verifies

ACCEPTED = AcceptedRadiograph(stored=np.zeros((2, 2), np.uint16), maximum=4095, inverted=False)
FORMS = [radiograph(), ACCEPTED, ModelInput(pixels=np.zeros((1, 1, 2, 2), np.float32))]


@verifies("SRS-184@3cf91756", "RC-184@3c64cc72", level="unit")
@pytest.mark.parametrize("form", FORMS, ids=lambda form: type(form).__name__)
def test_no_form_can_be_changed_or_made_in_part(form: Any) -> None:
    first = fields(form)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(form, first, None)
    stated = {field.name: getattr(form, field.name) for field in fields(form)}
    assert type(form)(**stated) is not form
    del stated[first]
    with pytest.raises(TypeError, match=first):
        type(form)(**stated)


@verifies("SRS-184@3cf91756", "RC-184@3c64cc72", level="unit")
def test_preprocessing_takes_an_accepted_film_and_no_other() -> None:
    assert get_type_hints(prepare) == {"radiograph": AcceptedRadiograph, "return": ModelInput}
    header: Any = radiograph()
    with pytest.raises(AttributeError):
        prepare(header)


@verifies("SRS-184@3cf91756", "RC-184@3c64cc72", level="unit")
def test_only_a_film_that_every_guard_let_through_is_accepted(release: Release) -> None:
    logits = np.zeros((1, len(release.heads)), np.float32)
    device = Device(release, infer=lambda _pixels: logits)
    film = pixels(side=512)
    result = device.read(to_bytes(dx(film)))
    assert isinstance(result, Analyzed)
    assert isinstance(result.film, AcceptedRadiograph)
    for refused in (dx(film, ViewPosition="LL"), dx(np.zeros_like(film))):
        assert not hasattr(device.read(to_bytes(refused)), "film")
