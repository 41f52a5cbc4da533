"""Decoding: stored values by transfer syntax, the grey scale, and a worker that may die."""

from collections.abc import Iterator
from dataclasses import replace

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
    to_bytes,
)  # fmt: skip
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import FileDataset
from pydicom.encaps import encapsulate, generate_frames

from cxr_device import decoder_worker, decoding
from cxr_device.decoding import DecodeError, Decoder, grey_scale
from cxr_device.guards import HEADER_GUARDS
from cxr_device.intake import receive
from cxr_device.label import Label
from cxr_device.radiograph import Radiograph
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


@verifies("SRS-134@b7915f8f", "RC-134@80d9435b", level="integration")
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


@verifies("SRS-134@b7915f8f", "RC-134@80d9435b", level="integration")
def test_a_decoder_that_hangs_is_ended_at_the_time_limit(label: Label) -> None:
    decoder = Decoder(time_limit_s=0.0)
    with pytest.raises(DecodeError, match="more than 0 s") as caught:
        decoder.decode(taken(compressed(dx(), J2K_LOSSLESS), label))
    assert caught.value.value == "time limit"
    decoder.close()


@verifies("SRS-134@b7915f8f", "RC-134@80d9435b", level="integration")
def test_the_worker_runs_under_a_memory_limit(label: Label) -> None:
    from pathlib import Path  # noqa: PLC0415

    decoder = Decoder()
    decoder.decode(taken(compressed(dx(), JPEG_LS), label))
    assert decoder._worker is not None  # noqa: SLF001
    limits = Path(f"/proc/{decoder._worker._process.pid}/limits").read_text()  # noqa: SLF001
    line = next(text for text in limits.splitlines() if text.startswith("Max address space"))
    assert line.split()[3] == str(decoder_worker.MEMORY_LIMIT)
    decoder.close()


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
    table = grey_scale(taken(dx(**changes), label)).table
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
    film = encapsulated(film, items(table, *parts), label)
    assert np.array_equal(decoder.decode(film).stored, pixels(side=512))


@verifies("SRS-223@50a65d44", "RC-128@24430ffb", level="integration")
def test_fragments_that_are_not_one_frame_are_refused(
    jpeg_ls: tuple[FileDataset, bytes], decoder: Decoder, label: Label
) -> None:
    film, stream = jpeg_ls
    lying = b"\xfe\xff\x00\xe0\xff\xff\xff\x7f"
    for value in (
        b"", items(), items(b"", stream, end=b""), items(b"", stream, end=lying),
        items(b"", stream, end=b"\xfe\xff\x0d\xe0" + bytes(4)),
        items(b"\1\0\0\0", stream), items(bytes(8), stream), items(b"", *[b""] * 65536, stream),
    ):  # fmt: skip
        with pytest.raises(DecodeError):
            decoder.decode(encapsulated(film, value, label))


def rle(*segments: bytes, width: int | None = None) -> bytes:
    """An RLE frame (PS3.5 annex G) of packed segments."""
    offsets = [64 + sum(map(len, segments[:at])) for at in range(len(segments))]
    words = [len(segments) if width is None else width, *offsets, *[0] * (15 - len(segments))]
    return b"".join(word.to_bytes(4, "little") for word in words) + b"".join(segments)


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
def test_rle_runs_unpack_as_the_standard_says(decoder: Decoder, label: Label) -> None:
    film = compressed(dx(pixels(side=512)), RLE)
    # PS3.5 G.3.1: -127 repeats a byte 128 times, 127 copies 128 bytes, -128 is passed over
    high = b"\x81\x07\x80" * 2048
    low = (b"\x7f" + bytes(range(128))) * 2048
    found = decoder.decode(encapsulated(film, items(b"", rle(high, low)), label)).stored
    wanted = np.tile(np.arange(128, dtype=np.uint16) + 0x0700, 2048).reshape(512, 512)
    assert np.array_equal(found, wanted)


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
def test_a_segment_that_is_not_one_byte_a_pixel_is_refused(decoder: Decoder, label: Label) -> None:
    film = compressed(dx(pixels(side=512)), RLE)
    whole = b"\x81\x07" * 2048
    for segments in (
        (whole, whole[:-2]), (whole, whole[:-2] + b"\x82\x07"), (whole, whole + b"\x81\x07"),
        (whole,), (whole, whole, whole), (whole, whole[:-1]),
    ):  # fmt: skip
        with pytest.raises(DecodeError):
            decoder.decode(encapsulated(film, items(b"", rle(*segments)), label))
    short = rle(whole, whole)[:3]
    with pytest.raises(DecodeError):
        decoder.decode(encapsulated(film, items(b"", short), label))


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
def test_rle_that_takes_too_long_is_ended(label: Label) -> None:
    film = compressed(dx(pixels(side=512)), RLE)
    with pytest.raises(DecodeError) as caught:
        Decoder(time_limit_s=-1.0).decode(taken(film, label))
    assert caught.value.value == "time limit"


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
