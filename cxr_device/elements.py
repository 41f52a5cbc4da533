"""Elements: where each data element lies in the bytes of a data set (PS3.5 section 7).

Nothing is interpreted and nothing is copied: a value is passed over unread, so what a file claims
costs nothing before somebody asks for it. Values of undefined length are followed to their end
without recursion. What breaks the grammar is refused: a length beyond the data, an unknown value
representation, a number of an impossible length, tags out of order or twice, nesting without end.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from cxr_device.vocabulary import CheckCode

__all__ = ["Element", "ElementError", "elements", "name"]

MAX_DEPTH: Final = 32
"""Sequences inside each other; an image of the intended use nests fewer than 8."""
MAX_ELEMENTS: Final = 100_000
"""Elements and items of one data set, those inside undefined lengths included."""

PIXEL_DATA: Final = 0x7FE00010
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_HEADER: Final = 8

_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Value representations with a length of 32 bits (PS3.5 table 7.1-1)."""
_SHORT: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
"""Value representations with a length of 16 bits (PS3.5 table 7.1-2)."""
_NUMBER_BYTES: Final = {
    b"AT": 4, b"FD": 8, b"FL": 4, b"SL": 4, b"SS": 2, b"SV": 8, b"UL": 4, b"US": 2, b"UV": 8,
}  # fmt: skip
"""Bytes of one binary number (PS3.5 table 6.2-1)."""
_MAY_NEST: Final = frozenset({b"OB", b"OW", b"SQ", b"UN"})
"""Value representations of explicit elements that may have an undefined length (PS3.5 7.1.2)."""

_Header = tuple[int, bytes | None, int, int]
"""Tag, value representation (None: implicit), offset of the value, its length."""


class ElementError(Exception):
    """The bytes are no data set; `code` is LENGTH where a length lies, else PARSE."""

    def __init__(self, code: CheckCode, value: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.value = value


class Element(NamedTuple):
    """One data element at the top of a data set: offsets into the bytes that were walked."""

    tag: int
    begin: int
    """Of its tag."""
    value: int
    end: int
    """Behind its value and its delimiter; of encapsulated pixel data: of the bytes."""
    is_undefined: bool
    """True where the length is undefined: a sequence, or encapsulated pixel data."""


def name(tag: int) -> str:
    """Write a tag as the standard does.

    >>> name(0x7FE00010)
    '(7FE0,0010)'
    """
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def elements(
    data: bytes | memoryview, at: int, *, implicit: bool, group: int | None = None
) -> Iterator[Element]:
    """Walk a data set from offset `at`, in ascending order, to its pixel data or its end.

    Parameters
    ----------
    data : bytes or memoryview of bytes
        A whole file.
    at : int
        Where the data set begins.
    implicit : bool
        Implicit VR Little Endian; otherwise Explicit VR Little Endian.
    group : int, optional
        Stop before the first element of another group (the file meta information is group 2).

    Raises
    ------
    ElementError
        The bytes break the grammar of PS3.5 section 7, or a limit of this module.
    """
    budget, last, size = _Budget(), -1, len(data)
    while at < size and (group is None or group == int.from_bytes(data[at : at + 2], "little")):
        tag, vr, value, length = _header(data, at, implicit=implicit)
        budget.spend()
        if tag <= last:
            problem = "stands twice" if tag == last else "stands behind a higher tag"
            raise ElementError(CheckCode.PARSE, name(tag), f"{name(tag)} {problem}")
        if length != _UNDEFINED:
            end = _end(data, tag, value, length)
        elif tag == PIXEL_DATA:
            end = size
        else:
            end = _past(data, value, implicit=implicit or vr == b"UN", budget=budget)
        yield Element(tag, at, value, end, length == _UNDEFINED)
        if tag >= PIXEL_DATA:
            return
        last, at = tag, end


class _Budget:
    """Counts elements, so that no file is walked for long."""

    def __init__(self) -> None:
        self._left = MAX_ELEMENTS

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            shown = f"more than {MAX_ELEMENTS} elements"
            raise ElementError(CheckCode.PARSE, shown, f"the data set holds {shown}")


def _header(data: bytes | memoryview, at: int, *, implicit: bool) -> _Header:
    """Read one element header in a known encoding."""
    if len(data) - at < _HEADER:
        left = f"{len(data) - at} bytes left"
        raise ElementError(CheckCode.LENGTH, left, "the data set ends inside an element")
    group, element, vr, short = struct.unpack_from("<HH2sH", data, at)
    tag = group << 16 | element
    if implicit or group == 0xFFFE:  # noqa: PLR2004  # items and delimiters have no VR
        return tag, None, at + 8, struct.unpack_from("<L", data, at + 4)[0]
    if vr in _SHORT:
        value, length = at + 8, short
    elif vr in _LONG:
        if len(data) - at < 12:  # noqa: PLR2004  # tag, VR, two reserved bytes, length
            raise ElementError(CheckCode.LENGTH, name(tag), "the data set ends inside an element")
        value, length = at + 12, struct.unpack_from("<L", data, at + 8)[0]
    else:
        shown = f"{name(tag)} VR {vr!r}"
        raise ElementError(CheckCode.PARSE, shown, f"{name(tag)} has no value representation")
    if length % _NUMBER_BYTES.get(vr, 1):
        shown = f"{name(tag)} {vr.decode()} of {length} bytes"
        raise ElementError(CheckCode.PARSE, shown, f"{shown}: no whole number of values")
    if length == _UNDEFINED and vr not in _MAY_NEST:
        shown = f"{name(tag)} {vr.decode()}"
        raise ElementError(CheckCode.PARSE, shown, f"{shown} has an undefined length")
    return tag, vr, value, length


def _end(data: bytes | memoryview, tag: int, value: int, length: int) -> int:
    """Offset behind a value of defined length."""
    left = len(data) - value
    if length > left:
        shown = f"{name(tag)} says {length} bytes, the file holds {left} more"
        raise ElementError(CheckCode.LENGTH, shown, "an element is longer than the file")
    return value + length


def _past(data: bytes | memoryview, at: int, *, implicit: bool, budget: _Budget) -> int:
    """Offset behind a value of undefined length, however its sequences are nested.

    `open_` holds, innermost last, what is open: items and sequences in turn, each with whether its
    elements are implicit. An element in an explicit item that has no VR is read as implicit, as
    some writers do in private sequences.
    """
    open_: list[tuple[int, bool]] = [(_SEQUENCE_END, implicit)]
    while open_:
        delimiter, implicit = open_[-1]
        budget.spend()
        looks_implicit = not _is_word(bytes(data[at + 4 : at + 6]))
        tag, vr, value, length = _header(data, at, implicit=implicit or looks_implicit)
        at = value
        if tag == delimiter:
            open_.pop()
        elif tag in (_ITEM_END, _SEQUENCE_END) or (tag == _ITEM) != (delimiter == _SEQUENCE_END):
            raise ElementError(
                CheckCode.PARSE, name(tag), f"{name(tag)} has no place in a sequence"
            )
        elif length != _UNDEFINED:
            at = _end(data, tag, value, length)
        elif len(open_) >= 2 * MAX_DEPTH:
            shown = f"more than {MAX_DEPTH} nested sequences"
            raise ElementError(CheckCode.PARSE, shown, f"the data set holds {shown}")
        else:
            inside = implicit or vr == b"UN"
            open_.append((_ITEM_END if tag == _ITEM else _SEQUENCE_END, inside))
    return at


def _is_word(vr: bytes) -> bool:
    """Whether two bytes may be a value representation: two capital letters."""
    return vr.isalpha() and vr.isupper()
