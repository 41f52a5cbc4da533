"""DICOM's RLE: what unpacks, and what is refused because it is not one byte a pixel."""

import numpy as np
import pytest
from builders import RLE, compressed, dx, pixels, run_lengths
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.encaps import generate_frames

from cxr_device.run_length import unpack
from verification import verifies

PAD = b"\0"
"""Byte that makes a segment's length even (PS3.5 G.3.1)."""


def frame(stream: bytes, *, count: int, width: int = 1) -> list[int]:
    """Unpack a frame of `count` pixels of `width` bytes."""
    into = np.full((count, width), 0xAA, dtype=np.uint8)
    unpack(memoryview(stream), into=into)
    return into.view(f"<u{width}").ravel().tolist()


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
def test_the_frame_that_pydicom_packs_unpacks() -> None:
    film = compressed(dx(pixels(side=512)), RLE)
    stream = next(generate_frames(film.PixelData, number_of_frames=1))
    found = frame(stream, count=512 * 512, width=2)
    assert found == pixels(side=512).ravel().tolist()


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
def test_the_first_segment_is_the_most_significant_byte_and_runs_are_as_the_standard_says() -> None:
    # PS3.5 G.3.1: -127 repeats a byte 128 times, 127 copies 128 bytes, -128 is passed over
    high, low = b"\x81\x07\x80", b"\x7f" + bytes(range(128))
    found = frame(run_lengths(high, low + PAD), count=128, width=2)
    assert found == [0x0700 + low for low in range(128)]


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
@pytest.mark.parametrize(
    ("packed", "found"),
    [
        (b"\x02abc", b"abc"),
        (b"\xfea", b"aaa"),  # -2: three times
        (b"\x80\x00a\x80\xffb", b"abb"),  # -128 stands for nothing
        (b"\x02abc" + PAD, b"abc"),
        (b"\x02abc\x80", b"abc"),
        (b"\x02abcd", b"abc"),  # a byte of padding that is no zero
        (b"\x02ab\x80", b"ab\x80"),  # the last byte of a run, not one behind it
        (b"\x02a\x80c", b"a\x80c"),
        (b"\x03abc" + PAD, b"abc"),  # padded before it was packed
        (b"\xfda", b"aaa"),  # -3: four times, the last of them padding
        (b"\x02abc\xff", b"abc"),
    ],
)
def test_a_packed_row_unpacks(packed: bytes, found: bytes) -> None:
    assert frame(run_lengths(packed), count=3) == [*found]


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
@pytest.mark.parametrize(
    "packed",
    [
        b"\x01ab",  # a byte short
        b"\x02ab",  # cut within a run
        b"\x03abc",  # likewise, with as many bytes as are needed
        b"\x02abc\x05de",
        b"",
        b"\0",
        b"\x80",
        b"\x04abcde",  # two bytes too many
        b"\xfca",
        b"\x02abc\x80\x80",  # more behind it than one byte of padding
        b"\x02abc\x80\0",
        b"\x02abc\x80d",
        b"\x02abc" + PAD + PAD,  # one run too many
        b"\x02abc\0d\0",
    ],
)
def test_a_segment_that_is_not_one_byte_a_pixel_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match=r"^an RLE segment is not the needed 3 bytes$"):
        frame(run_lengths(packed), count=3)


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
@pytest.mark.parametrize("short", [0, 1])
def test_every_segment_is_a_byte_of_every_pixel(short: int) -> None:
    segments = [b"\x02abc", b"\x02def"]
    segments[short] = b"\x01ab"
    with pytest.raises(ValueError, match="not the needed 3 bytes"):
        frame(run_lengths(*segments), count=3, width=2)


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (run_lengths(b"\x02abc"), "1 segments, 2 are needed"),
        (run_lengths(b"\x02abc", b"\x02abc", b"\x02abc"), "3 segments, 2 are needed"),
        (run_lengths(b"\x02abc", b"\x02abc", count=1), "1 segments, 2 are needed"),
        (b"", "0 segments, 2 are needed"),
        (run_lengths(b"", b"")[:4], "segment offsets: the RLE header is damaged"),
    ],
)
def test_a_frame_has_a_segment_for_each_byte_of_a_pixel(stream: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^{said}$"):
        frame(stream, count=3, width=2)


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (63, 68),  # within the header
        (69, 68),  # out of order
        (64, 73),  # behind the stream
        (0xFFFFFFFF, 0xFFFFFFFF),
    ],
)
def test_segments_that_lie_elsewhere_are_refused(first: int, second: int) -> None:
    whole = run_lengths(b"\x02abc", b"\x02def")
    assert frame(whole, count=3, width=2) == [0x6164, 0x6265, 0x6366]
    lying = whole[:4] + first.to_bytes(4, "little") + second.to_bytes(4, "little") + whole[12:]
    with pytest.raises(ValueError, match=r"^segment offsets: the RLE header is damaged$"):
        frame(lying, count=3, width=2)


def runs_of(packed: bytes, count: int) -> bytes | None:
    """Unpack by the words of PS3.5 G.3.2, byte by byte; None where they are not `count`."""
    unpacked, at = b"", 0
    while at < len(packed) and len(unpacked) < count:
        run, at = packed[at], at + 1
        if run < 128:
            unpacked, at = unpacked + packed[at : at + run + 1], at + run + 1
        elif run > 128:
            unpacked, at = unpacked + packed[at : at + 1] * (257 - run), at + 1
    left = len(packed) - at
    return unpacked[:count] if 0 <= left <= 1 and count <= len(unpacked) <= count + 1 else None


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
@settings(max_examples=400, deadline=None)
@given(
    packed=st.lists(st.sampled_from([0, 1, 2, 3, 97, 128, 253, 254, 255]), max_size=9).map(bytes),
    count=st.integers(1, 6),
)
def test_whatever_is_packed_unpacks_as_the_standard_says_or_is_refused(
    packed: bytes, count: int
) -> None:
    wanted = runs_of(packed, count)
    try:
        found: list[int] | None = frame(run_lengths(packed), count=count)
    except ValueError:
        found = None
    assert found == (None if wanted is None else [*wanted])


@verifies("SRS-224@8e558387", "RC-179@88e1ca7f", level="integration")
@pytest.mark.parametrize("packed", [b"\x80", b"\x81\0"])
def test_29_mib_of_runs_write_nothing_beyond_the_frame(packed: bytes) -> None:
    into = np.full((3, 1), 0xAA, dtype=np.uint8)
    with pytest.raises(ValueError, match="not the needed 3 bytes"):
        unpack(memoryview(run_lengths(packed * (29 * 2**20))), into=into)
    assert into.ravel().tolist() == [0xAA] * 3
