"""The header: what is read of the elements that are handed over, and what is left unread."""

import struct
import warnings
from io import BytesIO
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence

from cxr_device.header import WANTED, _named, read_header
from cxr_device.radiograph import LookupTable
from verification import verifies


def element(tag: int, value: bytes) -> bytes:
    """An element in Implicit VR Little Endian (PS3.5 7.1.3)."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


@verifies("SRS-137@8ea9322f", level="unit")
def test_a_damaged_element_beside_a_table_leaves_the_table_readable() -> None:
    odd_rows = element(0x00280010, b"\1\0\1")  # three bytes are no US value
    table = element(0x00283002, struct.pack("<3H", 2, 0, 16))
    table += element(0x00283006, struct.pack("<2H", 5, 6))
    sequence = element(0x00283000, element(0xFFFEE000, odd_rows + table))
    found = read_header(sequence, implicit=True)["modality_lut"]
    assert found == LookupTable(descriptor=(2, 0, 16), data=(5, 6))


def _outcome(job: Any) -> Any:
    """What a job gives or, where it raises, which error."""
    try:
        return job()
    except Exception as error:  # noqa: BLE001  # which one is what is compared
        return type(error)


def item(implicit: bool) -> bytes:  # noqa: FBT001  # the encoding, as hypothesis draws it
    """An item that holds a code value."""
    code = element(0x00080100, b"8160") if implicit else b"\x08\0\0\x01SH\4\x008160"
    return element(0xFFFEE000, code)


VALUES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"", b"1.5\\2", b"12 ", b"PA", b"1.2.840\0", b"20200101", b"045Y", b"a\\b"]),
    st.sampled_from([b"ISO_IR 100", b"ISO_IR 192", b"M\xfcller", b"M\xc3\xbcller\\ x "]),
    st.booleans().map(item),
)


@verifies("SRS-105@6aad26ca", level="unit")
@settings(max_examples=500, deadline=None)
@given(
    values=st.dictionaries(
        st.sampled_from(sorted(WANTED)), st.tuples(st.booleans(), VALUES), min_size=1, max_size=12
    ),
    implicit=st.booleans(),
)
def test_each_value_is_the_one_that_pydicom_gives_the_element(
    *, values: dict[int, tuple[bool, bytes]], implicit: bool
) -> None:
    data = b""
    for tag, (is_unknown, value) in sorted(values.items()):
        vr = "UN" if is_unknown else dictionary_VR(tag)[:2]
        if implicit:
            data += element(tag, value)
        elif vr in ("SQ", "UN"):
            data += struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr.encode(), 0, len(value))
            data += value
        else:
            head = (tag >> 16, tag & 0xFFFF, vr.encode(), len(value))
            data += struct.pack("<HH2sH", *head) + value

    def parsed() -> Any:
        return read_dataset(BytesIO(data), implicit, is_little_endian=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = _outcome(lambda: {each.keyword: each.value for each in parsed()})
        found = _outcome(lambda: _named(parsed()))
    assert _written(found) == _written(expected)


def _written(outcome: Any) -> str:
    """Write values, or an error; a sequence as the list of its items."""
    if not isinstance(outcome, dict):
        return repr(outcome)
    return repr({k: list(v) if isinstance(v, Sequence) else v for k, v in outcome.items()})
