"""Tag mutation: raw values in every element that a guard reads, and numbers around each bound."""

from functools import cache
from typing import Any

from builders import dx, pixels, radiograph, to_bytes
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.datadict import keyword_for_tag

from cxr_device.elements import elements
from cxr_device.guards import HEADER_GUARDS, judge_header
from cxr_device.header import WANTED
from cxr_device.intake import receive
from cxr_device.release import Release
from cxr_device.vocabulary import FAILURES, CheckCode, Outcome
from verification import verifies

LABEL = Release.load().label
HEAD = 132
LONG = frozenset({b"OB", b"OW", b"SQ", b"UN", b"UT"})
VRS = [
    b"CS",
    b"DS",
    b"IS",
    b"US",
    b"SS",
    b"UI",
    b"LO",
    b"AS",
    b"SQ",
    b"UN",
    b"OW",
    b"FD",
    b"AT",
    b"PN",
]
TEXTS = [
    b"", b" ", b"\0\0", b"\\", b"\\\\\\", b"-1", b"1e400", b"nan", b"inf", b"0x10", b"1.5",
    b"1\\2\\3",
    b"99999999999999999999", b"PA", b"CHEST", b"045Y", b"\xff\xfe", b"\x1b$B", b"\r\n", b"PA\0AP",
]  # fmt: skip
"""Values that parsers have stumbled over."""


@cache
def parts() -> tuple[bytes, dict[int, bytes]]:
    """The head of a tiny film, and the bytes of each element of its data set."""
    data = to_bytes(dx(pixels(side=512)[:16, :16]))
    meta = list(elements(data, HEAD, implicit=False, group=2))
    found = elements(data, meta[-1].end, implicit=False)
    return data[: meta[-1].end], {each.tag: data[each.begin : each.end] for each in found}


def mutated(changes: dict[int, tuple[bytes, bytes]]) -> bytes:
    """The film with elements replaced by raw ones: tag -> (value representation, value)."""
    head, film = parts()
    film = dict(film)
    for number, (vr, value) in changes.items():
        start = number.to_bytes(4, "big")
        start = start[1::-1] + start[:1:-1] + vr
        width = 4 if vr in LONG else 2
        size = len(value).to_bytes(width, "little")
        film[number] = start + (b"\0\0" if vr in LONG else b"") + size + value
    return head + b"".join(film[number] for number in sorted(film))


RAW = st.tuples(st.sampled_from(VRS), st.one_of(st.sampled_from(TEXTS), st.binary(max_size=64)))


@verifies("SRS-105@6aad26ca", "RC-105@c15c6fbc", "SRS-221@8d08fd29")
@settings(max_examples=600, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(sorted(WANTED)), RAW, min_size=1, max_size=4))
@example(changes={0x00280010: (b"DS", b"512.5 ")})
@example(changes={0x00080005: (b"CS", b"ISO_IR 999")})
@example(changes={0x00283010: (b"SQ", b"\xfe\xff\x00\xe0\0\0\0\0")})
def test_a_raw_value_in_any_element_is_judged_or_refused(
    changes: dict[int, tuple[bytes, bytes]],
) -> None:
    taken = receive(mutated(changes), LABEL)
    if taken.radiograph is None:
        stops = {c for c, v in taken.verdicts.items() if v.outcome is Outcome.REJECT}
        assert len(stops) == 1
        assert stops <= FAILURES
        return
    verdicts = judge_header(taken.radiograph, LABEL)
    assert set(verdicts) == set(HEADER_GUARDS)
    for number in changes:
        assert keyword_for_tag(number)  # every mutated element is a known one


def judged(code: CheckCode, **changes: Any) -> bool:
    """Whether a guard lets a film through, warned or not."""
    return HEADER_GUARDS[code](radiograph(**changes), LABEL).outcome is not Outcome.REJECT


@verifies("SRS-229@afc8b576")
@settings(max_examples=400, deadline=None)
@given(count=st.integers(0, 999), unit=st.sampled_from("DWMY"))
@example(count=21, unit="Y")
@example(count=22, unit="Y")
@example(count=120, unit="Y")
@example(count=121, unit="Y")
@example(count=263, unit="M")
@example(count=264, unit="M")
def test_an_age_passes_from_22_to_120_years(count: int, unit: str) -> None:
    months = {"D": count / 30.4375, "W": count / 4.348125, "M": count, "Y": 12 * count}[unit]
    passes = judged(CheckCode.AGE, patient_age=f"{count:03}{unit}", patient_birth_date=None)
    assert passes == (22 * 12 <= months < 121 * 12)


@verifies("SRS-229@afc8b576")
@settings(max_examples=400, deadline=None)
@given(
    rows=st.one_of(st.integers(0, 65535), st.sampled_from([511, 512, 513, 5999, 6000, 6001])),
    columns=st.one_of(st.integers(0, 65535), st.sampled_from([511, 512, 513, 5999, 6000, 6001])),
)
@example(rows=512, columns=512)
@example(rows=1000, columns=600)
@example(rows=1000, columns=599)
@example(rows=1000, columns=1700)
@example(rows=1000, columns=1701)
def test_a_frame_passes_by_its_sides_and_shape(rows: int, columns: int) -> None:
    inside = min(rows, columns) >= 512 and max(rows, columns) <= 6000
    wanted = inside and 6 * rows <= 10 * columns <= 17 * rows
    assert judged(CheckCode.ROWS_COLUMNS, rows=rows, columns=columns) == wanted


@verifies("SRS-229@afc8b576")
@settings(max_examples=400, deadline=None)
@given(
    allocated=st.sampled_from([0, 1, 8, 12, 16, 24, 32]),
    stored=st.integers(0, 33),
    above=st.sampled_from([-1, -1, -1, 0, 1]),
    representation=st.integers(0, 2),
)
def test_a_bit_depth_passes_by_the_standard(
    allocated: int, stored: int, above: int, representation: int
) -> None:
    wanted = allocated in (8, 16) and 8 <= stored <= allocated and above == -1
    found = judged(
        CheckCode.BITS, bits_allocated=allocated, bits_stored=stored, high_bit=stored + above,
        pixel_representation=representation,
    )  # fmt: skip
    assert found == (wanted and representation < 2)


@verifies("SRS-229@afc8b576")
@settings(max_examples=300, deadline=None)
@given(
    width=st.one_of(st.floats(), st.sampled_from([-1.0, 0.0, 0.99, 1.0, 1e6, 1e7])),
    function=st.sampled_from([None, "LINEAR", "LINEAR_EXACT", "SIGMOID", "CUBIC"]),
)
def test_a_window_passes_by_its_width(width: float, function: str | None) -> None:
    least = 1.0 if function in (None, "LINEAR") else 5e-324
    wanted = function != "CUBIC" and least <= width <= 1e6
    changes = {"window_center": (0.0,), "window_width": (width,), "voi_lut_function": function}
    assert judged(CheckCode.RESCALE_LUT, **changes) == wanted


@verifies("SRS-229@afc8b576")
@settings(max_examples=200, deadline=None)
@given(spacing=st.one_of(st.floats(0, 2), st.sampled_from([0.0799, 0.08, 0.3, 0.3001])))
def test_a_pixel_spacing_warns_outside_its_bounds(spacing: float) -> None:
    film = radiograph(imager_pixel_spacing=(spacing, spacing))
    outcome = HEADER_GUARDS[CheckCode.PIXEL_SPACING](film, LABEL).outcome
    assert (outcome is Outcome.PASS) == (0.08 <= spacing <= 0.3)
