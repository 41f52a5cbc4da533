"""Elements: the grammar of a data set, each rule on both sides."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_device import elements as module
from cxr_device.elements import Element, ElementError, elements
from cxr_device.vocabulary import CheckCode
from verification import verifies

ITEM, ITEM_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0" + bytes(4)
SEQUENCE_END, UNDEFINED = b"\xfe\xff\xdd\xe0" + bytes(4), b"\xff" * 4


def tag(value: int) -> bytes:
    return (value >> 16).to_bytes(2, "little") + (value & 0xFFFF).to_bytes(2, "little")


def explicit(number: int, vr: bytes, value: bytes) -> bytes:
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return tag(number) + vr + bytes(2) + len(value).to_bytes(4, "little") + value
    return tag(number) + vr + len(value).to_bytes(2, "little") + value


def implicit(number: int, value: bytes) -> bytes:
    return tag(number) + len(value).to_bytes(4, "little") + value


def nest(depth: int, *, implicit: bool) -> bytes:
    opening = tag(0x00880200) + (b"" if implicit else b"SQ\0\0") + UNDEFINED + ITEM + UNDEFINED
    return opening * depth + (ITEM_END + SEQUENCE_END) * depth


def walked(data: bytes, *, implicit: bool = False) -> list[Element]:
    return list(elements(data, 0, implicit=implicit))


def refused(data: bytes, *, implicit: bool = False) -> CheckCode:
    with pytest.raises(ElementError) as caught:
        walked(data, implicit=implicit)
    return caught.value.code


@verifies("SRS-221@8d08fd29", "RC-105@c15c6fbc")
def test_every_element_is_found_where_it_lies() -> None:
    parts = [
        explicit(0x00080060, b"CS", b"DX"), explicit(0x00280010, b"US", b"\0\2"),
        tag(0x00540220) + b"SQ\0\0" + UNDEFINED + ITEM + UNDEFINED
        + explicit(0x00080100, b"SH", b"1234") + ITEM_END + ITEM + bytes(4) + SEQUENCE_END,
        explicit(0x7FE00010, b"OW", b"abcd"),
    ]  # fmt: skip
    found = walked(b"".join(parts))
    assert [each.tag for each in found] == [0x00080060, 0x00280010, 0x00540220, 0x7FE00010]
    ends = [sum(map(len, parts[: at + 1])) for at in range(4)]
    assert [each.end for each in found] == ends
    assert [each.begin for each in found] == [0, *ends[:-1]]
    assert [each.is_undefined for each in found] == [False, False, True, False]
    assert b"".join(parts)[found[3].value : found[3].end] == b"abcd"


@verifies("SRS-221@8d08fd29", "RC-105@c15c6fbc")
def test_an_item_whose_length_looks_like_a_vr_has_a_length() -> None:
    length = int.from_bytes(b"DA", "little")
    item = ITEM + length.to_bytes(4, "little") + explicit(0x00080100, b"OB", bytes(length - 12))
    sequence = tag(0x00540220) + b"SQ\0\0" + UNDEFINED + item + SEQUENCE_END
    first, last = walked(sequence + explicit(0x00540400, b"SH", b"12"))
    assert (first.tag, first.end) == (0x00540220, len(sequence))
    assert last.tag == 0x00540400


@verifies("SRS-221@8d08fd29", "RC-105@c15c6fbc")
def test_an_implicit_data_set_is_walked_by_its_lengths() -> None:
    parts = [implicit(0x00080060, b"DX"), nest(2, implicit=True), implicit(0x20500020, b"ab")]
    assert [each.tag for each in walked(b"".join(parts), implicit=True)] == [
        0x00080060, 0x00880200, 0x20500020,
    ]  # fmt: skip


@verifies("SRS-221@8d08fd29", "RC-105@c15c6fbc")
def test_unknown_content_is_implicit_and_private_items_may_be() -> None:
    inside = ITEM + UNDEFINED + implicit(0x00091001, b"ab") + ITEM_END + SEQUENCE_END
    for vr in (b"UN", b"SQ"):
        assert len(walked(tag(0x00091000) + vr + bytes(2) + UNDEFINED + inside)) == 1


@verifies("SRS-221@8d08fd29", "RC-105@c15c6fbc")
@pytest.mark.parametrize(
    ("data", "is_implicit"),
    [
        (explicit(0x00080060, b"CS", b"DX") * 2, False),
        (implicit(0x00080060, b"DX") * 2, True),
        (explicit(0x00100040, b"CS", b"F ") + explicit(0x00080060, b"CS", b"DX"), False),
        (implicit(0x00100040, b"F ") + implicit(0x00080060, b"DX"), True),
        (explicit(0x00080060, b"ZZ", b"DX"), False),
        (implicit(0x00080060, b"DX"), False),
        (explicit(0x00280010, b"US", b"\0\2\0"), False),
        (explicit(0x00280009, b"UL", b"\0" * 5), False),
        (explicit(0x00186020, b"FD", b"\0" * 4), False),
        (tag(0x00104000) + b"UT\0\0" + UNDEFINED + SEQUENCE_END, False),
        (tag(0x00880200) + UNDEFINED + ITEM_END, True),
        (tag(0x00880200) + UNDEFINED + implicit(0x00080060, b"DX"), True),
        (tag(0x00880200) + UNDEFINED + ITEM + UNDEFINED + ITEM + bytes(4), True),
        (tag(0x00880200) + UNDEFINED + ITEM + UNDEFINED + SEQUENCE_END, True),
    ],
)
def test_what_breaks_the_grammar_is_coded_parse(data: bytes, *, is_implicit: bool) -> None:
    assert refused(data, implicit=is_implicit) is CheckCode.PARSE


@verifies("SRS-120@d36c9140", "RC-120@36993398")
@pytest.mark.parametrize(
    ("data", "is_implicit"),
    [
        (explicit(0x00080060, b"CS", b"DX")[:-1], False),
        (explicit(0x7FE00010, b"OW", b"abcd")[:-1], False),
        (explicit(0x7FE00010, b"OW", b"")[:-1], False),
        (implicit(0x00080060, b"DX")[:-1], True),
        (implicit(0x00080060, b"")[:-1], True),
        (tag(0x00880200) + UNDEFINED, True),
        (tag(0x00880200) + UNDEFINED + ITEM + b"\4\0\0\0ab", True),
        (tag(0x00880200) + UNDEFINED + ITEM + UNDEFINED + implicit(0x00080060, b"DX")[:-1], True),
    ],
)
def test_a_length_beyond_the_data_is_coded_length(data: bytes, *, is_implicit: bool) -> None:
    assert refused(data, implicit=is_implicit) is CheckCode.LENGTH


@verifies("SRS-222@ec5c2053", "RC-179@88e1ca7f")
@pytest.mark.parametrize("is_implicit", [False, True])
def test_thirty_two_nested_sequences_pass_and_one_more_is_refused(*, is_implicit: bool) -> None:
    assert len(walked(nest(32, implicit=is_implicit), implicit=is_implicit)) == 1
    assert refused(nest(33, implicit=is_implicit), implicit=is_implicit) is CheckCode.PARSE


@verifies("SRS-222@ec5c2053", "RC-179@88e1ca7f")
def test_a_hundred_thousand_elements_pass_and_one_more_is_refused() -> None:
    def items(count: int) -> bytes:
        return tag(0x00880200) + UNDEFINED + (ITEM + bytes(4)) * count + SEQUENCE_END

    allowed = module.MAX_ELEMENTS - 2  # the sequence and its delimiter count
    assert module.MAX_ELEMENTS == 100_000
    assert len(walked(items(allowed), implicit=True)) == 1
    assert refused(items(allowed + 1), implicit=True) is CheckCode.PARSE


@verifies("SRS-221@8d08fd29")
def test_the_walk_ends_behind_the_pixel_data_and_at_another_group() -> None:
    meta, pixels = explicit(0x00020010, b"UI", b"1.2\0"), explicit(0x7FE00010, b"OW", b"ab")
    data = meta + implicit(0x00080060, b"DX")
    assert [each.tag for each in elements(data, 0, implicit=False, group=2)] == [0x00020010]
    assert [each.tag for each in walked(pixels + b"garbage")] == [0x7FE00010]
    fragments = tag(0x7FE00010) + b"OB\0\0" + UNDEFINED + ITEM + bytes(4)
    (element,) = walked(fragments)
    assert (element.is_undefined, element.end) == (True, len(fragments))


@verifies("SRS-221@8d08fd29", "SRS-105@6aad26ca", "RC-105@c15c6fbc")
@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=120), is_implicit=st.booleans())
def test_any_bytes_end_as_elements_in_order_or_as_one_error(
    data: bytes, *, is_implicit: bool
) -> None:
    try:
        found = walked(data, implicit=is_implicit)
    except ElementError:  # no other class
        return
    assert [each.tag for each in found] == sorted({each.tag for each in found})
    assert all(0 <= each.begin < each.value <= each.end <= len(data) for each in found)


NUMBERS = {
    b"AT": 4, b"FD": 8, b"FL": 4, b"SL": 4, b"SS": 2, b"SV": 8, b"UL": 4, b"US": 2, b"UV": 8,
}  # fmt: skip
"""PS3.5 table 6.2-1."""


@verifies("SRS-221@8d08fd29", "RC-105@c15c6fbc")
@pytest.mark.parametrize(("vr", "size"), NUMBERS.items())
def test_a_number_has_the_bytes_of_its_representation(vr: bytes, size: int) -> None:
    def element(length: int) -> bytes:
        head = tag(0x00191001) + vr
        count = bytes(2) + length.to_bytes(4, "little") if vr in (b"SV", b"UV") else (
            length.to_bytes(2, "little"))  # fmt: skip
        return head + count + bytes(length)

    for count in (0, 1, 3):
        assert len(walked(element(count * size))) == 1
    for length in (size - 1, size + 1):
        assert refused(element(length)) is CheckCode.PARSE


@verifies("SRS-221@8d08fd29", "RC-105@c15c6fbc")
def test_an_error_names_the_tag_and_what_is_wrong_with_its_place() -> None:
    first, second = explicit(0x00100020, b"LO", b"12"), explicit(0x0028001A, b"LO", b"34")
    for data, said in (
        (second + second, "(0028,001A) stands twice"),
        (second + first, "(0010,0020) stands behind a higher tag"),
    ):
        with pytest.raises(ElementError) as caught:
            walked(data)
        assert str(caught.value) == said
        assert caught.value.value == said[:11]


@verifies("SRS-120@d36c9140", "RC-120@36993398")
def test_a_long_header_ends_with_its_twelfth_byte() -> None:
    empty = explicit(0x00091010, b"OB", b"")
    assert len(empty) == 12
    assert [each.end for each in walked(empty)] == [12]
    with pytest.raises(ElementError, match="the data set ends inside an element") as caught:
        walked(empty[:11])
    assert (caught.value.code, caught.value.value) == (CheckCode.LENGTH, "(0009,1010)")
    assert refused(explicit(0x00090010, b"LO", b"A ") + empty[:11]) is CheckCode.LENGTH


@verifies("SRS-222@ec5c2053", "RC-179@88e1ca7f")
def test_a_sequence_too_deep_is_refused_though_it_is_empty() -> None:
    opening = tag(0x00880200) + b"SQ\0\0" + UNDEFINED
    empty = opening + SEQUENCE_END
    for depth, passes in ((31, True), (32, False)):
        data = (opening + ITEM + UNDEFINED) * depth + empty + (ITEM_END + SEQUENCE_END) * depth
        if passes:
            assert len(walked(data)) == 1
        else:
            assert refused(data) is CheckCode.PARSE


@verifies("SRS-221@8d08fd29", "RC-105@c15c6fbc")
@pytest.mark.parametrize("length", [0x3141, 0x4131, 0x6161])  # "A1", "1A", "aa" as bytes
def test_a_length_that_is_no_word_is_a_length(length: int) -> None:
    inside = tag(0x00191001) + length.to_bytes(4, "little") + bytes(length)
    data = (
        tag(0x00190010) + b"SQ\0\0" + UNDEFINED + ITEM + UNDEFINED + inside + ITEM_END
        + SEQUENCE_END
    )  # fmt: skip
    assert [each.end for each in walked(data)] == [len(data)]


@verifies("SRS-221@8d08fd29", "RC-105@c15c6fbc")
@pytest.mark.parametrize("is_implicit", [True, False])
def test_where_elements_are_implicit_a_length_like_a_word_is_a_length(*, is_implicit: bool) -> None:
    length = int.from_bytes(b"US", "little")
    inside = implicit(0x00191001, bytes(length))
    opening = tag(0x00190010) + (b"" if is_implicit else b"UN\0\0") + UNDEFINED
    data = opening + ITEM + UNDEFINED + inside + ITEM_END + SEQUENCE_END
    assert [each.end for each in walked(data, implicit=is_implicit)] == [len(data)]
