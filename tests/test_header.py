"""The header: what is read of the elements that are handed over, and what is left unread."""

import struct

from cxr_device.header import read_header
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
