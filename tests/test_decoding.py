"""Decoding: stored values by transfer syntax, the grey scale, and a worker that may die."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from builders import (
    J2K_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    JPEG_LS_NEAR,
    RLE,
    compressed,
    dx,
    pixels,
    radiograph,
    run_lengths,
    to_bytes,
)  # fmt: skip
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cxr_device import decoder_worker, decoding
from cxr_device.decoding import DecodeError, Decoder, grey_scale
from cxr_device.guards import HEADER_GUARDS
from cxr_device.intake import receive
from cxr_device.label import Label
from cxr_device.radiograph import LookupTable, Radiograph
from cxr_device.release import Release
from cxr_device.vocabulary import CheckCode
from verification import verifies

LOSSLESS = [RLE, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1, JPEG_LS, J2K_LOSSLESS]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    loaded = Decoder()
    yield loaded
    loaded.close()


def taken(film: FileDataset, label: Label) -> Radiograph:
    """Take a film in."""
    radiograph = receive(to_bytes(film), label).radiograph
    assert radiograph is not None
    return radiograph


def grey(**changes: Any) -> list[float]:
    """Grey scale of a header by stored value, as shares of its highest level."""
    table = grey_scale(radiograph(**changes)).table
    assert table is not None
    return [level / (2 * decoding.LEVELS) for level in table.tolist()]


SMALLEST = 1 / (2 * decoding.LEVELS)
"""One level, as a share."""


@verifies("SRS-137@8ea9322f")
@pytest.mark.parametrize(
    ("slope", "intercept", "rescaled"),
    [
        (0.25, -100.0, lambda stored: 0.25 * stored - 100),
        (2.0, None, lambda stored: 2 * stored),
        (None, -300.0, lambda stored: stored - 300),
    ],
)
def test_a_window_is_applied_to_rescaled_values(
    slope: float | None, intercept: float | None, rescaled: Callable[[int], float]
) -> None:
    found = grey(
        bits_stored=8, rescale_slope=slope, rescale_intercept=intercept,
        window_center=(rescaled(100),), window_width=(20.0,), voi_lut_function="LINEAR_EXACT",
    )  # fmt: skip
    for stored in range(256):
        # PS3.3 C.11.2.1.3.2: y = ((x - c) / w + 0.5) * (max - min), clipped
        share = min(max((rescaled(stored) - rescaled(100)) / 20 + 0.5, 0.0), 1.0)
        assert found[stored] == pytest.approx(share, abs=SMALLEST)


@verifies("SRS-137@8ea9322f")
def test_a_window_without_a_function_is_linear_and_the_first_of_several_counts() -> None:
    found = grey(bits_stored=8, window_center=(128.0, 10.0), window_width=(256.0, 4.0))
    assert found == pytest.approx([stored / 255 for stored in range(256)], abs=SMALLEST)


@verifies("SRS-137@8ea9322f")
def test_a_signed_film_s_window_and_padding_are_shifted_with_its_values() -> None:
    signed = {"pixel_representation": 1, "bits_stored": 12, "pixel_padding_value": -2000}
    film = radiograph(**signed, window_center=(0.0,), window_width=(4096.0,))
    table, padding = grey_scale(film).table, grey_scale(film).padding
    assert table is not None
    assert (len(table), table[0], table[-1]) == (4096, 0, 2 * decoding.LEVELS)
    assert padding == (48, 48)
    unsigned = radiograph(bits_stored=12, pixel_padding_value=0, pixel_padding_range_limit=9)
    assert grey_scale(unsigned).padding == (0, 9)
    assert grey_scale(radiograph(pixel_padding_value=None)).padding is None


@verifies("SRS-137@8ea9322f")
@pytest.mark.parametrize("kind", ["modality_lut", "voi_lut"])
@pytest.mark.parametrize(("signed", "first"), [(0, 2), (1, -2)])
def test_a_table_begins_at_its_first_value_and_its_ends_hold_beyond(
    kind: str, signed: int, first: int
) -> None:
    entries = LookupTable(descriptor=(4, first, 8), data=(0, 51, 102, 255))
    found = grey(bits_stored=4, pixel_representation=signed, **{kind: entries})
    at = first + 8 * signed
    assert found[: at + 1] == [0.0] * (at + 1)
    assert found[at : at + 4] == pytest.approx([0, 0.2, 0.4, 1], abs=SMALLEST)
    assert found[at + 3 :] == [1.0] * (16 - at - 3)


@verifies("SRS-137@8ea9322f")
def test_a_voi_table_is_entered_by_whole_rescaled_values() -> None:
    entries = LookupTable(descriptor=(9, 0, 8), data=(0, 10, 20, 30, 40, 50, 60, 70, 255))
    found = grey(bits_stored=4, rescale_slope=0.5, rescale_intercept=0.0, voi_lut=entries)
    wanted = [entries.data[round(stored / 2)] / 255 for stored in range(16)]
    assert found == pytest.approx(wanted, abs=SMALLEST)


@verifies("SRS-137@8ea9322f")
def test_a_window_over_a_modality_table_shows_the_table_s_values() -> None:
    entries = LookupTable(descriptor=(16, 0, 8), data=tuple(range(0, 256, 17)))
    found = grey(
        bits_stored=4, modality_lut=entries, window_center=(128.0,), window_width=(102.0,),
        voi_lut_function="LINEAR_EXACT",
    )  # fmt: skip
    wanted = [min(max((17 * stored - 128) / 102 + 0.5, 0.0), 1.0) for stored in range(16)]
    assert found == pytest.approx(wanted, abs=SMALLEST)


@verifies("SRS-137@8ea9322f", "SRS-225@1b7590db", "RC-123@fded557a")
@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("kind", ["modality_lut", "voi_lut"])
def test_every_accepted_size_of_entry_gives_its_own_range(kind: str, bits: int) -> None:
    white = (1 << bits) - 1
    entries = LookupTable(descriptor=(4, 0, bits), data=(0, white // 5, white // 2, white))
    film = radiograph(bits_stored=2, **{kind: entries})
    assert HEADER_GUARDS[CheckCode.RESCALE_LUT](film, Release.load().label).outcome == "pass"
    wanted = [entry / white for entry in entries.data]
    assert grey(bits_stored=2, **{kind: entries}) == pytest.approx(wanted, abs=SMALLEST)
    if kind == "modality_lut":
        found = grey(
            bits_stored=2, modality_lut=entries, window_center=(white / 2,), window_width=(white,),
            voi_lut_function="LINEAR_EXACT",
        )  # fmt: skip
        assert found == pytest.approx(wanted, abs=SMALLEST)


@verifies("SRS-137@8ea9322f")
@pytest.mark.parametrize("kind", ["modality_lut", "voi_lut"])
def test_a_long_table_of_8_bits_is_entered_by_the_whole_value(kind: str) -> None:
    entries = LookupTable(descriptor=(4096, 0, 8), data=tuple(v >> 4 for v in range(4096)))
    found = grey(bits_stored=12, **{kind: entries})
    assert found == pytest.approx([(v >> 4) / 255 for v in range(4096)], abs=SMALLEST)


@verifies("SRS-137@8ea9322f")
def test_rescaled_values_far_beyond_a_voi_table_take_its_ends() -> None:
    entries = LookupTable(descriptor=(3, 10, 8), data=(0, 51, 255))
    far = {"rescale_slope": 1e6, "rescale_intercept": -1e6}
    assert grey(bits_stored=12, voi_lut=entries, **far) == [0.0, 0.0] + [1.0] * 4094
    longest = LookupTable(descriptor=(0, 0, 16), data=tuple(range(65536)))  # 0 stands for 65,536
    found = grey(bits_stored=12, voi_lut=longest, rescale_slope=40.0, rescale_intercept=0.0)
    assert found[1638] == pytest.approx(65520 / 65535, abs=SMALLEST)
    assert found[1639:] == [1.0] * (4096 - 1639)


@verifies("SRS-137@8ea9322f")
def test_a_modality_table_stands_in_the_place_of_a_rescale() -> None:
    entries = LookupTable(descriptor=(4, 0, 8), data=(0, 51, 102, 255))
    rescale = {"rescale_slope": 2.0, "rescale_intercept": -100.0}
    window = {"window_center": (127.5,), "window_width": (255.0,)}
    for shown in ({}, {**window, "voi_lut_function": "LINEAR_EXACT"}):
        found = grey(bits_stored=2, modality_lut=entries, **rescale, **shown)
        assert found == pytest.approx([0, 0.2, 0.4, 1], abs=SMALLEST)


@verifies("SRS-137@8ea9322f")
def test_an_entry_above_its_table_s_bits_is_white_and_never_wraps() -> None:
    entries = LookupTable(descriptor=(4, 0, 12), data=(0, 1, 4095, 5000))
    assert grey(bits_stored=2, voi_lut=entries)[2:] == [1.0, 1.0]


def stored(frame: NDArray[Any], **changes: Any) -> list[int]:
    """Stored values of an uncompressed frame as they are decoded."""
    header = {
        "rows": frame.shape[0], "columns": frame.shape[1],
        "bits_allocated": 8 * frame.dtype.itemsize,
        "pixel_data": memoryview(frame.tobytes()), **changes,
    }  # fmt: skip
    found: list[int] = Decoder().decode(radiograph(**header)).stored.ravel().tolist()
    return found


@verifies("SRS-133@24fd9d3d", level="integration")
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize(("kind", "bits"), [(np.uint8, 8), (np.uint16, 12)])
def test_uncompressed_values_are_read_as_they_lie(
    syntax: str, kind: type[np.unsignedinteger[Any]], bits: int, label: Label
) -> None:
    frame = (np.arange(600 * 700) % (1 << bits)).reshape(600, 700).astype(kind)
    film = dx(frame, bits_stored=bits)
    film.file_meta.TransferSyntaxUID = syntax  # type: ignore[assignment]
    assert np.array_equal(Decoder().decode(taken(film, label)).stored, frame)


@verifies("SRS-133@24fd9d3d", level="integration")
def test_a_signed_frame_keeps_to_its_stored_bits() -> None:
    signed = {"pixel_representation": 1, "bits_stored": 12}
    whole = np.array([[-2048, -1, 0, 2047]], dtype=np.int16)
    assert stored(whole, **signed) == [0, 2047, 2048, 4095]
    for beyond in (-2049, 2048):  # on one side alone
        with pytest.raises(DecodeError, match="breaks its own range"):
            stored(np.array([[beyond, 0]], dtype=np.int16), **signed)
    byte = np.array([[-128, 0, 127]], dtype=np.int8)
    assert stored(byte, pixel_representation=1, bits_stored=8) == [0, 128, 255]


@verifies("SRS-128@1d0fb40e", "RC-128@24430ffb", level="integration")
@pytest.mark.parametrize("missing", ["rows", "columns", "bits_allocated", "bits_stored"])
def test_a_film_without_a_layout_is_refused_and_none_is_guessed(missing: str) -> None:
    with pytest.raises(DecodeError, match="does not say how the pixels lie"):
        stored(np.zeros((2, 2), np.int16), pixel_representation=1, **{missing: None})


@verifies("SRS-128@1d0fb40e", "RC-128@24430ffb", level="integration")
def test_a_film_without_pixel_data_is_refused() -> None:
    with pytest.raises(DecodeError, match="no pixel data") as caught:
        stored(np.zeros((2, 2), np.uint16), pixel_data=None)
    assert caught.value.verdict.value == "absent"
    with pytest.raises(DecodeError, match="must be encapsulated"):
        stored(np.zeros((2, 2), np.uint16), transfer_syntax_uid=RLE)


@verifies("SRS-137@8ea9322f")
def test_a_linear_window_follows_the_standard_s_formula(label: Label) -> None:
    film = taken(dx(WindowCenter="2048", WindowWidth="1024"), label)
    table = grey_scale(film).table
    assert table is not None
    for stored in (0, 1536, 1537, 2048, 2300, 2559, 2560, 4095):
        # PS3.3 C.11.2.1.2.1: y = ((x - (c - 0.5)) / (w - 1) + 0.5) * (max - min), clipped
        share = min(max((stored - 2047.5) / 1023 + 0.5, 0.0), 1.0)
        assert table[stored] == pytest.approx(share * 2 * decoding.LEVELS, abs=1)


@verifies("SRS-137@8ea9322f")
def test_a_sigmoid_window_follows_the_standard_s_formula(label: Label) -> None:
    changes = {"WindowCenter": "2000", "WindowWidth": "800", "VOILUTFunction": "SIGMOID"}
    table = grey_scale(taken(dx(**changes), label)).table  # type: ignore[arg-type]
    assert table is not None
    for stored in (0, 1500, 2000, 2400, 4095):
        share = 1 / (1 + np.exp(-4 * (stored - 2000) / 800))  # PS3.3 C.11.2.1.3.1
        assert table[stored] == pytest.approx(share * 2 * decoding.LEVELS, abs=1)


@verifies("SRS-137@8ea9322f")
def test_an_affine_grey_scale_needs_no_table(label: Label) -> None:
    assert grey_scale(taken(dx(RescaleSlope=2, RescaleIntercept=-100), label)).table is None


@verifies("SRS-137@8ea9322f")
def test_a_voi_table_is_applied_entry_by_entry(label: Label) -> None:
    from pydicom import Dataset  # noqa: PLC0415

    item = Dataset()
    item.add_new(0x00283002, "US", [4096, 0, 16])
    item.add_new(0x00283006, "US", [min(65535, value * 16) for value in range(4096)])
    table = grey_scale(taken(dx(VOILUTSequence=[item]), label)).table
    assert table is not None
    for stored in (0, 100, 4095):
        wanted = stored * 16 / 65535 * 2 * decoding.LEVELS
        assert table[stored] == pytest.approx(wanted, abs=1)


@verifies("SRS-138@04e7dee9", "RC-138@dedafb76")
def test_the_padding_range_is_kept_in_order(label: Label) -> None:
    film = taken(dx(PixelPaddingValue=20, PixelPaddingRangeLimit=5), label)
    assert grey_scale(film).padding == (5, 20)


def items(*parts: bytes, end: bytes = b"\xfe\xff\xdd\xe0" + bytes(4)) -> bytes:
    """Encapsulated pixel data: an offset table, fragments, a delimiter."""
    item = b"\xfe\xff\x00\xe0"
    return b"".join(item + len(part).to_bytes(4, "little") + part for part in parts) + end


def encapsulated(film: FileDataset, value: bytes, label: Label) -> Radiograph:
    """A film whose encapsulated pixel data is `value` as it stands."""
    return replace(taken(film, label), pixel_data=memoryview(value))


@pytest.fixture(scope="module")
def jpeg_ls() -> tuple[FileDataset, bytes]:
    film = compressed(dx(pixels(side=512)), JPEG_LS)
    return film, next(generate_frames(film.PixelData, number_of_frames=1))


@verifies("SRS-223@50a65d44", "RC-128@24430ffb", level="integration")
@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("table", [b"", bytes(4)])
def test_one_frame_may_lie_in_fragments(
    count: int, table: bytes, jpeg_ls: tuple[FileDataset, bytes], decoder: Decoder, label: Label
) -> None:
    film, stream = jpeg_ls
    size = -(-len(stream) // count)
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    film = encapsulated(film, items(table, *parts), label)  # type: ignore[assignment]
    assert np.array_equal(decoder.decode(film).stored, pixels(side=512))  # type: ignore[arg-type]


@verifies("SRS-223@50a65d44", "RC-128@24430ffb", level="integration")
def test_the_last_marker_is_found_across_fragments_and_before_zeros(
    jpeg_ls: tuple[FileDataset, bytes], decoder: Decoder, label: Label
) -> None:
    film, stream = jpeg_ls
    for parts in (
        (stream + b"\0",), (stream + bytes(9000),), (stream, bytes(9000), b"\0\0"),
        (stream[:-1], stream[-1:] + b"\0"), (stream[:-1], stream[-1:], b"\0\0"),
    ):  # fmt: skip
        whole = encapsulated(film, items(b"", *parts), label)
        assert np.array_equal(decoder.decode(whole).stored, pixels(side=512))
    for parts in ((stream[:-1],), (stream[:-2], b"\0\0"), (bytes(2),), (stream + b"\1",)):
        with pytest.raises(DecodeError) as caught:
            decoder.decode(encapsulated(film, items(b"", *parts), label))
        assert caught.value.value == "no end of image"


@verifies("SRS-133@24fd9d3d", level="integration")
def test_a_stream_of_fewer_bits_fills_the_type_that_the_header_states(
    jpeg_ls: tuple[FileDataset, bytes], decoder: Decoder, label: Label
) -> None:
    film, _ = jpeg_ls
    frame = (pixels(side=512) >> 4).astype(np.uint8)
    stream = imagecodecs.jpegls_encode(frame)
    found = decoder.decode(encapsulated(film, items(b"", stream), label)).stored  # type: ignore[arg-type]
    assert found.dtype == np.uint16
    assert np.array_equal(found, frame)


@verifies("SRS-223@50a65d44", "RC-128@24430ffb", level="integration")
def test_fragments_that_are_not_one_frame_are_refused(
    jpeg_ls: tuple[FileDataset, bytes], decoder: Decoder, label: Label
) -> None:
    film, stream = jpeg_ls
    lying = b"\xfe\xff\x00\xe0\xff\xff\xff\x7f"
    after = 8 + 8 + len(stream)  # what stands behind the table and one fragment
    for value, said in (
        (b"", "byte 0"), (items(), "byte 0"),
        (items(b"", stream, end=b""), f"byte {after}"),
        (items(b"", stream, end=lying), f"byte {after}"),
        (items(b"", stream, end=b"\xfe\xff\x0d\xe0" + bytes(4)), f"byte {after}"),
        (items(b"\1\0\0\0", stream), "4 bytes"), (items(bytes(8), stream), "8 bytes"),
        (items(b"", *[b""] * 65536, stream), "more than 65536 fragments"),
    ):  # fmt: skip
        with pytest.raises(DecodeError) as caught:
            decoder.decode(encapsulated(film, value, label))
        assert caught.value.value == said


@verifies("SRS-223@50a65d44", "RC-128@24430ffb", level="integration")
def test_65536_fragments_are_one_frame(decoder: Decoder, label: Label) -> None:
    film = compressed(dx(pixels(side=512)), RLE)
    stream = next(generate_frames(film.PixelData, number_of_frames=1))
    whole = encapsulated(film, items(b"", *[b""] * 65535, stream), label)
    assert np.array_equal(decoder.decode(whole).stored, pixels(side=512))


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (run_lengths(b"\x81\x07" * 2048), "ValueError: 1 segments, 2 are needed"),
        (run_lengths(b"\x81\x07" * 2048, b"\x81\x07" * 2047), "not the needed 262144 bytes"),
    ],
)
def test_rle_that_is_not_a_byte_a_pixel_is_one_coded_verdict(
    frame: bytes, said: str, decoder: Decoder, label: Label
) -> None:
    film = compressed(dx(pixels(side=512)), RLE)
    with pytest.raises(DecodeError, match="damaged") as caught:
        decoder.decode(encapsulated(film, items(b"", frame), label))
    assert caught.value.value.endswith(said)


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
def test_rle_that_takes_longer_than_the_limit_is_ended(label: Label) -> None:
    decoder = Decoder(time_limit_s=0.0)
    with pytest.raises(DecodeError, match="more than 0 s") as caught:
        decoder.decode(taken(compressed(dx(), RLE), label))
    assert caught.value.value == "time limit"
    decoder.close()


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", "SRS-134@45e5cd16", level="integration")
@pytest.mark.parametrize("syntax", [RLE, JPEG_LS])
def test_a_frame_may_take_8_s(syntax: str, label: Label, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def decode(_stream: bytes, _syntax: str, _shape: object, limit_s: float) -> NDArray[np.uint16]:
        limits.append(limit_s)
        return pixels()

    monkeypatch.setattr(decoding, "Worker", lambda: SimpleNamespace(decode=decode))
    Decoder().decode(taken(compressed(dx(), syntax), label))
    assert limits == [8.0]


@verifies("SRS-225@1b7590db", "RC-123@fded557a")
@settings(max_examples=60, deadline=None)
@given(
    slope=st.floats(1e-6, 1e6), intercept=st.floats(-1e6, 1e6), center=st.floats(-1e6, 1e6),
    width=st.floats(1e-3, 1e6), function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)  # fmt: skip
def test_no_accepted_grey_scale_is_infinite_or_undefined(
    slope: float, intercept: float, center: float, width: float, function: str
) -> None:
    film = radiograph(
        rescale_slope=slope, rescale_intercept=intercept, window_center=(center,),
        window_width=(width,), voi_lut_function=function,
    )  # fmt: skip
    if HEADER_GUARDS[CheckCode.RESCALE_LUT](film, Release.load().label).outcome != "reject":
        table = grey_scale(film).table
        assert table is not None
        assert table.max() <= 2 * decoding.LEVELS
        assert (np.diff(table.astype(int)) >= 0).all()


@verifies("SRS-133@24fd9d3d", level="integration")
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_every_lossless_syntax_gives_the_stored_values(
    syntax: str, decoder: Decoder, label: Label
) -> None:
    frame = pixels()
    film = taken(compressed(dx(frame), syntax), label)
    assert np.array_equal(decoder.decode(film).stored, frame)


@verifies("SRS-133@24fd9d3d", level="integration")
@pytest.mark.parametrize(
    ("syntax", "bits", "near"),
    [(JPEG_BASELINE, 8, 24), (JPEG_EXTENDED, 12, 400), (JPEG_LS_NEAR, 12, 2)],
)
def test_lossy_syntaxes_give_nearly_the_stored_values(
    syntax: str, bits: int, near: int, decoder: Decoder, label: Label
) -> None:
    frame = pixels() if bits == 12 else (pixels() >> 4).astype(np.uint8)
    film = taken(compressed(dx(frame, bits_stored=bits), syntax), label)
    found = decoder.decode(film).stored.astype(int)
    assert np.abs(found - frame).max() <= near


@verifies("SRS-133@24fd9d3d", level="integration")
def test_signed_values_are_shifted_to_start_at_zero(decoder: Decoder, label: Label) -> None:
    frame = (pixels().astype(np.int32) - 2048).astype(np.int16)
    film = taken(dx(frame.view(np.uint16), PixelRepresentation=1), label)
    assert np.array_equal(decoder.decode(film).stored, pixels())


def broken(syntax: str, stream: bytes, label: Label) -> Radiograph:
    """A film whose compressed frame is `stream`."""
    film = compressed(dx(), syntax)
    film.PixelData = encapsulate([stream])
    return taken(film, label)


@verifies("SRS-128@1d0fb40e", "RC-128@24430ffb", level="integration")
@pytest.mark.parametrize("syntax", [*LOSSLESS, JPEG_BASELINE])
def test_a_damaged_stream_is_one_coded_verdict(syntax: str, decoder: Decoder, label: Label) -> None:
    with pytest.raises(DecodeError) as caught:
        decoder.decode(broken(syntax, b"\xff\xd8\xff" + bytes(200) + b"\xff\xd9", label))
    assert caught.value.verdict.outcome == "reject"


@verifies("SRS-128@1d0fb40e", "RC-128@24430ffb", level="integration")
@pytest.mark.parametrize(
    "syntax",
    [JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1, JPEG_LS, J2K_LOSSLESS],
)
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_cut_stream_is_refused(syntax: str, share: float, decoder: Decoder, label: Label) -> None:
    frame = (pixels() >> 4).astype(np.uint8) if syntax == JPEG_BASELINE else pixels()
    whole = compressed(dx(frame, bits_stored=8 if frame.dtype == np.uint8 else 12), syntax)
    stream = next(generate_frames(whole.PixelData, number_of_frames=1))
    whole.PixelData = encapsulate([stream[: int(len(stream) * share)]])
    with pytest.raises(DecodeError):
        decoder.decode(taken(whole, label))


@verifies("SRS-128@1d0fb40e", "RC-128@24430ffb", level="integration")
def test_a_frame_of_another_size_is_refused(decoder: Decoder, label: Label) -> None:
    film = compressed(dx(), JPEG_LS)
    film.Rows = 1000
    with pytest.raises(DecodeError, match="damaged"):
        decoder.decode(taken(film, label))


@verifies("SRS-134@45e5cd16", "RC-134@74902e5f", level="integration")
def test_the_worker_s_death_is_one_verdict_and_the_next_film_decodes(label: Label) -> None:
    decoder, film = Decoder(), taken(compressed(dx(), JPEG_LS), label)
    decoder.decode(film)
    worker = decoder._worker  # noqa: SLF001  # the hazard is injected from outside
    assert worker is not None
    worker._process.kill()  # noqa: SLF001
    worker._process.wait()  # noqa: SLF001
    with pytest.raises(DecodeError, match="died"):
        decoder.decode(film)
    assert np.array_equal(decoder.decode(film).stored, pixels())
    decoder.close()


@verifies("SRS-134@45e5cd16", "RC-134@74902e5f", level="integration")
def test_a_decoder_that_hangs_is_ended_at_the_time_limit(label: Label) -> None:
    decoder = Decoder(time_limit_s=0.0)
    with pytest.raises(DecodeError, match="more than 0 s") as caught:
        decoder.decode(taken(compressed(dx(), J2K_LOSSLESS), label))
    assert caught.value.value == "time limit"
    decoder.close()


@verifies("SRS-134@45e5cd16", "RC-134@74902e5f", level="integration")
def test_the_worker_runs_under_a_memory_limit(label: Label) -> None:
    from pathlib import Path  # noqa: PLC0415

    decoder = Decoder()
    decoder.decode(taken(compressed(dx(), JPEG_LS), label))
    assert decoder._worker is not None  # noqa: SLF001
    limits = Path(f"/proc/{decoder._worker._process.pid}/limits").read_text()  # noqa: SLF001
    line = next(text for text in limits.splitlines() if text.startswith("Max address space"))
    assert line.split()[3] == str(decoder_worker.MEMORY_LIMIT)
    decoder.close()


@verifies("SRS-128@1d0fb40e", "RC-128@24430ffb", level="integration")
def test_a_stream_longer_than_the_shared_memory_is_refused(
    jpeg_ls: tuple[FileDataset, bytes],
    decoder: Decoder,
    label: Label,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    film, stream = jpeg_ls
    whole = encapsulated(film, items(b"", stream), label)
    monkeypatch.setattr(decoding, "REGION", len(stream))
    assert np.array_equal(decoder.decode(whole).stored, pixels(side=512))
    monkeypatch.setattr(decoding, "REGION", len(stream) - 1)
    with pytest.raises(DecodeError, match="too long") as caught:
        decoder.decode(whole)
    assert caught.value.value == f"{len(stream)} bytes"


@verifies("SRS-134@45e5cd16", "RC-134@74902e5f", level="integration")
def test_closing_ends_the_worker_and_the_next_film_starts_another(
    jpeg_ls: tuple[FileDataset, bytes], label: Label
) -> None:
    decoder, film = Decoder(), encapsulated(jpeg_ls[0], items(b"", jpeg_ls[1]), label)
    decoder.decode(film)
    first = decoder._worker  # noqa: SLF001
    assert first is not None
    decoder.decode(film)
    assert decoder._worker is first  # noqa: SLF001  # one process for all films
    decoder.close()
    assert first._process.poll() is not None  # noqa: SLF001
    decoder.close()  # nothing is left to end
    assert np.array_equal(decoder.decode(film).stored, pixels(side=512))
    decoder.close()
