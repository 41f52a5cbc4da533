"""Preprocessing: the one pixel path, frozen."""

from hashlib import sha256

import numpy as np
import pytest
from builders import pixels
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxr_device.preprocessing import INPUT_SIZE, levels, picture, prepare, resize, standardize
from cxr_device.radiograph import AcceptedRadiograph
from cxr_device.release import PACKAGE, Release
from verification import verifies


def accepted(stored: np.ndarray, **changes: object) -> AcceptedRadiograph:
    """An accepted 12-bit film."""
    values = {"stored": stored, "maximum": 4095, "inverted": False, **changes}
    return AcceptedRadiograph(**values)


@verifies("SRS-135@52b2a92d", "RC-135@9bcc93e2", level="integration")
def test_monochrome1_and_its_twin_are_one_input_bit_for_bit() -> None:
    frame = pixels()
    twin = accepted((4095 - frame).astype(np.uint16), inverted=True)
    assert np.array_equal(prepare(twin).pixels, prepare(accepted(frame)).pixels)


@verifies("SRS-135@52b2a92d", "RC-135@9bcc93e2", level="integration")
def test_inversion_uses_the_theoretical_range_not_the_film_s() -> None:
    frame = np.full((600, 600), 1000, dtype=np.uint16)
    assert levels(accepted(frame, inverted=True))[0, 0] == 3095


@verifies("SRS-139@2643a3cb", "RC-139@ad714b7e")
def test_the_resize_is_pillow_s_antialiased_triangle() -> None:
    frame = pixels()
    reference = Image.fromarray(frame.astype(np.float32)).resize(
        (INPUT_SIZE, INPUT_SIZE), Image.Resampling.BILINEAR
    )
    assert (
        np.abs(resize(frame) - np.asarray(reference)).max() <= 1.01
    )  # rounded twice to whole levels


@verifies("SRS-139@2643a3cb", "RC-139@ad714b7e")
def test_fine_stripes_vanish_instead_of_aliasing() -> None:
    stripes = np.zeros((1024, 1024), dtype=np.uint16)
    stripes[:, ::2] = 4000
    assert np.ptp(resize(stripes)[:, 2:-2]) < 300  # without antialiasing: 4000


@verifies("SRS-139@2643a3cb", "RC-139@ad714b7e")
def test_the_frozen_fixture_of_the_phantom() -> None:
    found = prepare(accepted(pixels(side=512, seed=3))).pixels
    assert found.shape == (1, 1, INPUT_SIZE, INPUT_SIZE)
    assert found.dtype == np.float32
    rounded = np.round(found, 3) + 0.0
    assert sha256(rounded.tobytes()).hexdigest()[:16] == "31aa497e3c46ea60"


@verifies("SRS-139@2643a3cb", "RC-139@ad714b7e")
def test_the_source_of_the_path_is_locked() -> None:
    digest = sha256((PACKAGE / "preprocessing.py").read_bytes()).hexdigest()
    assert digest == Release.load().preprocessing_sha256


@verifies("SRS-138@04e7dee9", "RC-138@dedafb76")
def test_padding_does_not_shift_the_contrast() -> None:
    padded = np.minimum(pixels(), 4000).astype(np.uint16)
    padded[:, :200] = 4095
    masked = prepare(accepted(padded, padding=(4095, 4095))).pixels[0, 0]
    inner = standardize(resize(padded), np.broadcast_to(np.arange(224) >= 44, (224, 224)))
    assert np.abs(masked[:, 50:] - inner[:, 50:]).max() < 0.05
    assert masked[:, :40].max() == masked.min()


@verifies("SRS-137@8ea9322f")
@settings(max_examples=20, deadline=None)
@given(gain=st.floats(0.2, 4.0), offset=st.floats(-500, 500))
def test_an_affine_grey_scale_changes_nothing(gain: float, offset: float) -> None:
    square = np.random.default_rng(1).normal(2000, 300, (224, 224)).astype(np.float32)
    other = (square * np.float32(gain) + np.float32(offset)).astype(np.float32)
    assert np.abs(standardize(square) - standardize(other)).max() < 2e-3


@verifies("SRS-140@d4681fef", "RC-140@7847ecf5", level="integration")
def test_training_reads_films_through_the_same_path(tmp_path: object) -> None:
    films = pytest.importorskip("cxr_device.training.films", reason="torch is not installed")
    grey = (pixels(side=320) >> 4).astype(np.uint8)
    path = f"{tmp_path}/film.png"
    Image.fromarray(grey).save(path)
    read = accepted(grey, maximum=255)
    assert np.array_equal(films._square(path, INPUT_SIZE), resize(levels(read)))  # noqa: SLF001


@verifies("SRS-152@749f56d9")
def test_the_display_copy_is_bounded() -> None:
    copy = picture(accepted(pixels()), longest=300)
    assert copy.shape == (300, 300)
    assert copy.dtype == np.uint8
