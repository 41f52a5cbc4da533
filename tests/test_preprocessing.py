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
    return AcceptedRadiograph(**values)  # type: ignore[arg-type]


@verifies("SRS-135@52b2a92d", "RC-135@9bcc93e2", level="integration")
def test_monochrome1_and_its_twin_are_one_input_bit_for_bit() -> None:
    frame = pixels()
    twin = accepted((4095 - frame).astype(np.uint16), inverted=True)
    assert np.array_equal(prepare(twin).pixels, prepare(accepted(frame)).pixels)


@verifies("SRS-135@52b2a92d", "RC-135@9bcc93e2", level="integration")
def test_inversion_uses_the_theoretical_range_not_the_film_s() -> None:
    frame = np.full((600, 600), 1000, dtype=np.uint16)
    assert levels(accepted(frame, inverted=True))[0, 0] == 3095


@verifies("SRS-137@8ea9322f")
@pytest.mark.parametrize("rows", [600, 640, 641])
def test_every_pixel_is_looked_up_in_the_grey_scale(rows: int) -> None:
    frame = np.random.default_rng(rows).integers(0, 4096, (rows, 600)).astype(np.uint16)
    table = np.random.default_rng(1).integers(0, 65535, 4096).astype(np.uint16)
    film = accepted(frame, table=table, table_maximum=65534)
    assert np.array_equal(levels(film), table[frame])


def noise(rows: int, columns: int, bits: int) -> tuple[np.ndarray, int]:
    """A frame of noise, and its theoretical maximum."""
    maximum = (1 << bits) - 1
    frame = np.random.default_rng(rows * columns).integers(0, maximum + 1, (rows, columns))
    return frame.astype(np.uint8 if bits == 8 else np.uint16), maximum


NOISE = st.builds(
    noise,
    rows=st.integers(150, 2100),
    columns=st.integers(150, 2100),
    bits=st.sampled_from([8, 12, 16]),
)


@verifies("SRS-139@2643a3cb", "RC-139@ad714b7e")
@settings(max_examples=30, deadline=None)
@given(film=NOISE)
def test_the_resize_is_pillow_s_antialiased_triangle_in_two_steps(
    film: tuple[np.ndarray, int],
) -> None:
    frame, maximum = film
    scale = 257 if frame.dtype == np.uint8 else 1
    reference = Image.fromarray(frame.astype(np.float32) * scale).resize(
        (INPUT_SIZE, INPUT_SIZE), Image.Resampling.BILINEAR, reducing_gap=8 / 7
    )
    found = resize(frame, maximum=maximum)
    assert np.array_equal(found, np.rint(found))
    assert np.abs(found - np.asarray(reference)).max() <= 0.51


@verifies("SRS-135@52b2a92d", "RC-135@9bcc93e2")
@settings(max_examples=30, deadline=None)
@given(film=NOISE)
def test_a_frame_and_its_inverse_are_resized_to_the_same_square(
    film: tuple[np.ndarray, int],
) -> None:
    frame, maximum = film
    found = resize(maximum - frame, maximum=maximum, inverted=True)
    assert np.array_equal(found, resize(frame, maximum=maximum))


@verifies("SRS-139@2643a3cb", "RC-139@ad714b7e")
@pytest.mark.parametrize("side", [511, 512, 1024, 3000])  # from 512 on, rows are averaged first
def test_a_film_of_any_size_is_the_same_input(side: int) -> None:
    small = Image.fromarray(pixels(side=448, seed=3).astype(np.float32))
    grown = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)).clip(0, 4095)
    one = standardize(resize(np.asarray(small).astype(np.uint16)))
    other = standardize(resize(grown.astype(np.uint16)))
    assert np.abs(one - other).max() < 0.1
    assert np.abs(one - other).mean() < 0.01


@verifies("SRS-139@2643a3cb", "RC-139@ad714b7e")
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("place", [0, 1200, 2399, 2402])
def test_one_bright_row_or_column_of_a_large_film_is_not_lost(axis: int, place: int) -> None:
    frame = np.zeros((2403, 2403), dtype=np.uint16)
    (frame if axis == 0 else frame.T)[place] = 60_000
    found = resize(frame).sum(axis=1 - axis) / INPUT_SIZE
    assert found.sum() == pytest.approx(60_000 * INPUT_SIZE / 2403, rel=0.35)
    assert abs(int(found.argmax()) - place * INPUT_SIZE / 2403) <= 1.5


@verifies("SRS-139@2643a3cb", "RC-139@ad714b7e")
def test_fine_stripes_vanish_instead_of_aliasing() -> None:
    stripes = np.zeros((1024, 1024), dtype=np.uint16)
    stripes[:, ::2] = 4000
    assert np.ptp(resize(stripes)[:, 2:-2]) < 300  # without antialiasing: 4000


@verifies("SRS-139@2643a3cb", "RC-139@ad714b7e")
@pytest.mark.parametrize(
    ("side", "digest"), [(512, "fa88bd47cb0bb880"), (1501, "aba0ac2f11346ccb")]
)
def test_the_frozen_fixtures_of_the_phantom(side: int, digest: str) -> None:
    found = prepare(accepted(pixels(side=side, seed=3))).pixels
    assert found.shape == (1, 1, INPUT_SIZE, INPUT_SIZE)
    assert found.dtype == np.float32
    rounded = np.round(found, 3) + 0.0
    assert sha256(rounded.tobytes()).hexdigest()[:16] == digest


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
    shown = standardize(films._square(path, INPUT_SIZE).astype(np.float32))  # noqa: SLF001
    assert np.array_equal(shown, prepare(read).pixels[0, 0])


@verifies("SRS-152@749f56d9")
def test_the_display_copy_is_bounded() -> None:
    copy = picture(accepted(pixels()), longest=300)
    assert copy.shape == (300, 300)
    assert copy.dtype == np.uint8
