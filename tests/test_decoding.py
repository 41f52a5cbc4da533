"""Decoding: stored values by transfer syntax, the grey scale, and a worker that may die."""

from collections.abc import Iterator

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
    to_bytes,
)  # fmt: skip
from pydicom import FileDataset
from pydicom.encaps import encapsulate, generate_frames

from cxr_device import decoding
from cxr_device.decoding import DecodeError, Decoder, grey_scale
from cxr_device.intake import receive
from cxr_device.label import Label
from cxr_device.radiograph import Radiograph
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
    assert line.split()[3] == str(decoding.MEMORY_LIMIT)
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
