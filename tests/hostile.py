"""Hostile files: each a film of the builders with one attack in it, and the code it must end under.

`FILES` is the crafted set: name -> (bytes, codes). The codes are those that a record must reject
under; an empty set says that the file is harmless and its film is within the intended use.
"""

import zlib
from collections.abc import Callable
from typing import Final

import numpy as np
from builders import (
    J2K_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS,
    RLE,
    UID_ROOT,
    compressed,
    dx,
    pixels,
    to_bytes,
)
from pydicom import FileDataset
from pydicom.encaps import encapsulate, generate_frames

__all__ = ["FILES", "Attack", "flips", "small", "with_syntax"]

_ITEM, _ITEM_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0" + bytes(4)
_SEQUENCE_END, _UNDEFINED = b"\xfe\xff\xdd\xe0" + bytes(4), b"\xff" * 4
_MIB: Final = 2**20
_UID: Final = f"{UID_ROOT}.3".encode()
_MOST: Final = 60 * _MIB
"""Bytes of an attack that fills a file nearly to the size limit."""

Attack = tuple[Callable[[], bytes], frozenset[str]]


def small(*, opacity: bool = True) -> FileDataset:
    """A conformant film of 512 x 512 pixels."""
    return dx(pixels(opacity=opacity, side=512))


def with_syntax(data: bytes, syntax: str) -> bytes:
    """The same bytes under another Transfer Syntax UID in the file meta information."""
    old, new = b"1.2.840.10008.1.2.1\0", syntax.encode() + b"\0" * (len(syntax) % 2)
    at = data.index(old)
    length = int.from_bytes(data[140:144], "little") + len(new) - len(old)
    head = data[:140] + length.to_bytes(4, "little") + data[144 : at - 2]
    return head + len(new).to_bytes(2, "little") + new + data[at + len(old) :]


def flips(stream: bytes, count: int, seed: int) -> list[bytes]:
    """`count` copies of a compressed frame, each with 1 to 8 bytes changed after the first two."""
    rng, mutants = np.random.default_rng(seed), []
    for _ in range(count):
        mutant = bytearray(stream)
        for at in rng.integers(2, len(stream) - 2, size=int(rng.integers(1, 9))):
            mutant[at] ^= int(rng.integers(1, 256))
        mutants.append(bytes(mutant))
    return mutants


def _element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """One data element in Explicit VR Little Endian; `length` may lie."""
    size = len(value) if length is None else length
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC"):
        return head + bytes(2) + size.to_bytes(4, "little") + value
    return head + size.to_bytes(2, "little") + value


def _put(element: bytes, before: bytes) -> bytes:
    """A film with raw bytes put in before the element whose header begins with `before`."""
    data = to_bytes(small())
    at = data.index(before, 132)
    return data[:at] + element + data[at:]


def _replaced(keyword: str, element: bytes) -> bytes:
    """A film whose element `keyword` is replaced by raw bytes."""
    film = small()
    tag = film[keyword].tag
    del film[keyword]
    data = to_bytes(film)
    following = next(found for found in sorted(film.keys()) if found > tag)
    mark = following.group.to_bytes(2, "little") + following.element.to_bytes(2, "little")
    vr = film[following].VR.encode()
    at = data.index(mark + vr, 132)
    return data[:at] + element + data[at:]


def _lying(keyword: str, *, length: int) -> bytes:
    data, found = to_bytes(small()), small()[keyword]
    mark = found.tag.group.to_bytes(2, "little") + found.tag.element.to_bytes(2, "little")
    at = data.index(mark + found.VR.encode(), 132) + 6
    if found.VR in ("OW", "OB", "SQ"):
        return data[: at + 2] + length.to_bytes(4, "little") + data[at + 6 :]
    return data[:at] + length.to_bytes(2, "little") + data[at + 2 :]


def _nested(depth: int, tag: int = 0x00880200, before: bytes = b"\x50\x20\x20\x00CS") -> bytes:
    opening = _element(tag, b"SQ", b"", 0xFFFFFFFF) + _ITEM + _UNDEFINED
    return _put(opening * depth + (_ITEM_END + _SEQUENCE_END) * depth, before)


def _many_items(tag: int, before: bytes, count: int) -> bytes:
    items = (_ITEM + bytes(4)) * count
    return _put(_element(tag, b"SQ", items + _SEQUENCE_END, 0xFFFFFFFF), before)


def _empty_elements(groups: range) -> bytes:
    """65,000 empty elements of each private group, in ascending order."""
    tails = [at.to_bytes(2, "little") + b"CS\0\0" for at in range(16, 65016)]
    return b"".join(
        head + head.join(tails) for group in groups if (head := group.to_bytes(2, "little"))
    )


def _deflated_bomb() -> bytes:
    """A file of 1 MB whose data set inflates to a gigabyte."""
    head = to_bytes(small())
    meta_end = 144 + int.from_bytes(head[140:144], "little")
    squeeze = zlib.compressobj(9, wbits=-15)
    blob = squeeze.compress(head[meta_end : meta_end + 4000]) + squeeze.flush(zlib.Z_FULL_FLUSH)
    mebibyte = squeeze.compress(bytes(_MIB)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    blob += mebibyte * 1024 + squeeze.flush()
    return with_syntax(head[:meta_end], "1.2.840.10008.1.2.1.99") + blob


def _size(rows: int | None, columns: int | None) -> bytes:
    film = small()
    film.Rows, film.Columns = rows, columns
    return to_bytes(film)


def _repeated(times: int, **changes: int) -> bytes:
    """A film whose pixel data stands there several times, as the header says."""
    film = small()
    for keyword, value in changes.items():
        setattr(film, keyword, value)
    film.PixelData *= times
    return to_bytes(film)


def _encapsulated(syntax: str, value: bytes, side: int = 512) -> bytes:
    """A film whose encapsulated pixel data is `value` as it stands."""
    film = compressed(dx(pixels(side=512)), syntax)
    film.Rows = film.Columns = side
    film.PixelData = encapsulate([b"\0\0"])
    data = to_bytes(film)
    at = data.index(b"\xe0\x7f\x10\x00OB") + 12
    return data[:at] + value


def _fragments(*fragments: bytes, table: bytes = b"") -> bytes:
    parts = [table, *fragments]
    joined = b"".join(_ITEM + len(part).to_bytes(4, "little") + part for part in parts)
    return joined + _SEQUENCE_END


def _rle(segments: list[bytes]) -> bytes:
    offsets, at = [], 64
    for segment in segments:
        offsets.append(at)
        at += len(segment)
    header = [len(segments), *offsets, *[0] * (15 - len(segments))]
    return b"".join(value.to_bytes(4, "little") for value in header) + b"".join(segments)


def _stream(syntax: str) -> bytes:
    film = small()
    if syntax == JPEG_BASELINE:
        film = dx((pixels(side=512) >> 4).astype(np.uint8), bits_stored=8)
    return next(generate_frames(compressed(film, syntax).PixelData, number_of_frames=1))


def _frame_claims(syntax: str, marker: bytes, offset: int, size: bytes) -> bytes:
    """A film whose compressed frame claims dimensions of its own."""
    stream = _stream(syntax)
    at = stream.index(marker) + offset
    stream = stream[:at] + size + stream[at + len(size) :]
    return _encapsulated(syntax, _fragments(stream + b"\0" * (len(stream) % 2)))


def _table(descriptor: tuple[int, int, int], data: bytes) -> bytes:
    """A VOI LUT sequence of one item."""
    words = b"".join(value.to_bytes(2, "little") for value in descriptor)
    item = _element(0x00283002, b"US", words) + _element(0x00283006, b"OW", data)
    content = _ITEM + len(item).to_bytes(4, "little") + item
    return _element(0x00283010, b"SQ", content)


def _number_text(tag: int, text: bytes) -> bytes:
    return _element(tag, b"DS", text + b" " * (len(text) % 2))


def _program(magic: bytes) -> bytes:
    data = to_bytes(small())
    return magic + data[len(magic) :]


def _cut(share: float) -> bytes:
    data = to_bytes(small())
    return data[: int(len(data) * share)]


def _codes(*words: str) -> frozenset[str]:
    return frozenset(words)


_BODY_MARK, _ROWS_MARK = b"\x18\x00\x15\x00CS", b"\x28\x00\x10\x00US"
_RESCALE_MARK, _CONTEXT_MARK = b"\x28\x00\x52\x10DS", b"\x40\x00\x55\x05SQ"
_BURNED_MARK, _SYNTAX_MARK = b"\x28\x00\x01\x03CS", b"\x02\x00\x10\x00UI"
_SHAPE_MARK = b"\x50\x20\x20\x00CS"

FILES: Final[dict[str, Attack]] = {
    "preamble_mz": (lambda: _program(b"MZ\x90\0"), _codes("FILE_PREAMBLE")),
    "preamble_elf": (lambda: _program(b"\x7fELF\x02\x01"), _codes("FILE_PREAMBLE")),
    "preamble_mach_o": (lambda: _program(b"\xcf\xfa\xed\xfe"), _codes("FILE_PREAMBLE")),
    "preamble_script": (lambda: _program(b"#!/bin/sh\nrm -rf x\n"), _codes("FILE_PREAMBLE")),
    "empty": (lambda: b"", _codes("FILE_SIZE")),
    "noise": (lambda: np.random.default_rng(1).bytes(100_000), _codes("FILE_PART10")),
    "meta_only": (lambda: to_bytes(small())[:300], _codes("FILE_PART10")),
    "meta_length_lies": (
        lambda: to_bytes(small()).replace(_SYNTAX_MARK + b"\x14", _SYNTAX_MARK + b"\xfe", 1),
        _codes("TRANSFER_SYNTAX"),
    ),
    "meta_bomb": (
        lambda: (
            to_bytes(small())[:132]
            + _element(0x00020102, b"SQ", (_ITEM + bytes(4)) * (_MOST // 8), 0xFFFFFFFF)
        ),
        _codes("FILE_PART10"),
    ),
    "cut_in_half": (lambda: _cut(0.5), _codes("LENGTH")),
    "cut_in_header": (lambda: to_bytes(small())[:901], _codes("LENGTH")),
    "pixel_length_lies": (lambda: _lying("PixelData", length=0x7FFFFFF0), _codes("LENGTH")),
    "text_length_lies": (
        lambda: _put(_element(0x00104000, b"UT", b"", 0x7FFFFFF0), _BODY_MARK),
        _codes("LENGTH"),
    ),
    "sequence_length_lies": (
        lambda: _lying("AnatomicRegionSequence", length=0x7FFFFFF0),
        _codes("LENGTH"),
    ),
    "nested_300": (lambda: _nested(300), _codes("PARSE")),
    "nested_5000": (lambda: _nested(5000), _codes("PARSE")),
    "nested_300_view": (
        lambda: _nested(300, 0x00540219, b"\x54\x00\x20\x02SQ"),
        _codes("PARSE"),
    ),
    "items_7_million": (
        lambda: _many_items(0x00880200, _SHAPE_MARK, _MOST // 8),
        _codes("PARSE"),
    ),
    "elements_7_million": (
        lambda: _put(
            b"".join(
                _element(0x00410000 + at, b"CS", b"") for at in range(16, 0xFFF0)
            )
            * 110,
            _SHAPE_MARK,
        ),
        _codes("PARSE"),
    ),
    "items_of_a_read_sequence": (
        lambda: _replaced(
            "ViewCodeSequence",
            _element(0x00540220, b"SQ", (_ITEM + bytes(4)) * (_MOST // 8)),
        ),
        _codes("PARSE"),
    ),
    "window_of_60_mib": (
        lambda: _put(_element(0x00281050, b"UC", b"1\\" * (_MOST // 2)), _RESCALE_MARK),
        _codes("PARSE"),
    ),
    "lut_of_60_mib": (
        lambda: _put(_table((0, 0, 16), bytes(_MOST)), _CONTEXT_MARK),
        _codes("PARSE"),
    ),
    "odd_length_ul": (
        lambda: _put(_element(0x00280009, b"UL", b"\0\0\0\0\0"), _ROWS_MARK),
        _codes("PARSE"),
    ),
    "odd_length_rows": (
        lambda: _replaced("Rows", _element(0x00280010, b"US", b"\0\4\0")),
        _codes("PARSE"),
    ),
    "an_element_twice": (
        lambda: _put(_element(0x00180015, b"CS", b"RIBCAGE "), _BODY_MARK),
        _codes("PARSE"),
    ),
    "elements_out_of_order": (
        lambda: _put(_element(0x00180015, b"CS", b"CHEST "), _SHAPE_MARK),
        _codes("PARSE"),
    ),
    "unknown_vr": (lambda: _put(_element(0x00104000, b"ZZ", b"ab"), _BODY_MARK), _codes("PARSE")),
    "charset_unknown": (
        lambda: _put(_element(0x00080005, b"CS", b"ISO_IR 999"), b"\x08\x00\x08\x00CS"),
        frozenset(),
    ),
    "deflated_bomb": (_deflated_bomb, _codes("TRANSFER_SYNTAX")),
    "rows_zero": (lambda: _size(0, 512), _codes("ROWS_COLUMNS")),
    "columns_zero": (lambda: _size(512, 0), _codes("ROWS_COLUMNS")),
    "rows_huge": (lambda: _size(65535, 65535), _codes("ROWS_COLUMNS", "LENGTH")),
    "rows_absent": (lambda: _replaced("Rows", b""), _codes("ROWS_COLUMNS")),
    "rows_float": (
        lambda: _replaced("Rows", _number_text(0x00280010, b"512.5")),
        _codes("PARSE"),
    ),
    "frames_billion": (
        lambda: _put(_element(0x00280008, b"IS", b"1000000000"), _ROWS_MARK),
        _codes("FRAMES", "LENGTH"),
    ),
    "frames_negative": (
        lambda: _put(_element(0x00280008, b"IS", b"-1"), _ROWS_MARK),
        _codes("FRAMES"),
    ),
    "uid_traversal": (
        lambda: to_bytes(small()).replace(_UID, b"../../../etc/cron.d/".ljust(len(_UID), b"x")),
        _codes("UID_FORM"),
    ),
    "terminal_escape": (
        lambda: _replaced("BodyPartExamined", _element(0x00180015, b"CS", b"\x1b]0;X\x07\x1b[2J")),
        _codes("BODY_PART"),
    ),
    "slope_enormous": (
        lambda: _replaced("RescaleSlope", _number_text(0x00281053, b"1e308")),
        _codes("RESCALE_LUT"),
    ),
    "slope_vanishing": (
        lambda: _replaced("RescaleSlope", _number_text(0x00281053, b"5e-324")),
        _codes("RESCALE_LUT"),
    ),
    "intercept_enormous": (
        lambda: _replaced("RescaleIntercept", _number_text(0x00281052, b"1e300")),
        _codes("RESCALE_LUT"),
    ),
    "window_enormous": (
        lambda: _put(
            _number_text(0x00281050, b"1e300") + _number_text(0x00281051, b"1e300"),
            _RESCALE_MARK,
        ),
        _codes("RESCALE_LUT"),
    ),
    "window_off_the_film": (
        lambda: _put(
            _number_text(0x00281050, b"90000") + _number_text(0x00281051, b"100"),
            _RESCALE_MARK,
        ),
        _codes("PIXEL_RANGE"),
    ),
    "padding_everywhere": (
        lambda: _put(
            _element(0x00280120, b"US", b"\0\0") + _element(0x00280121, b"US", b"\xff\x0f"),
            _BURNED_MARK,
        ),
        _codes("PIXEL_RANGE"),
    ),
    "colour_in_full": (lambda: _repeated(3, SamplesPerPixel=3), _codes("PHOTOMETRIC")),
    "frames_in_full": (lambda: _repeated(2, NumberOfFrames=2), _codes("FRAMES")),
    "lut_of_65535_bits": (
        lambda: _put(_table((4096, 0, 65535), bytes(8192)), _CONTEXT_MARK),
        _codes("RESCALE_LUT"),
    ),
    "lut_of_0_bits": (
        lambda: _put(_table((4096, 0, 0), bytes(8192)), _CONTEXT_MARK),
        _codes("RESCALE_LUT"),
    ),
    "lut_above_its_bits": (
        lambda: _put(_table((4096, 0, 8), b"\xff\x7f" * 4096), _CONTEXT_MARK),
        _codes("RESCALE_LUT"),
    ),
    "fragments_7_million": (
        lambda: _encapsulated(JPEG_LS, _fragments() + (_ITEM + bytes(4)) * (_MOST // 8)),
        _codes("DECODE"),
    ),
    "fragment_length_lies": (
        lambda: _encapsulated(JPEG_LS, _ITEM + bytes(4) + _ITEM + b"\xf0\xff\xff\x7f" + bytes(64)),
        _codes("DECODE"),
    ),
    "offset_table_lies": (
        lambda: _encapsulated(
            JPEG_LS, _fragments(_stream(JPEG_LS), table=(0xFFFFFFF0).to_bytes(4, "little"))
        ),
        _codes("DECODE"),
    ),
    "no_sequence_end": (
        lambda: _encapsulated(JPEG_LS, _fragments(_stream(JPEG_LS))[:-8]),
        _codes("DECODE"),
    ),
    "rle_bomb": (
        lambda: _encapsulated(RLE, _fragments(_rle([b"\x81\0" * (14 * _MIB)] * 2))),
        _codes("DECODE"),
    ),
    "rle_slow": (
        lambda: _encapsulated(RLE, _fragments(_rle([b"\x80" * (29 * _MIB)] * 2)), side=6000),
        _codes("DECODE"),
    ),
    "rle_offsets_lie": (
        lambda: _encapsulated(
            RLE, _fragments(b"\2\0\0\0\xf0\xff\xff\xff\xf0\xff\xff\xff" + bytes(200))
        ),
        _codes("DECODE"),
    ),
    "jpeg_claims_65500": (
        lambda: _frame_claims(JPEG_BASELINE, b"\xff\xc0", 5, b"\xff\xdc\xff\xdc"),
        _codes("DECODE"),
    ),
    "jpeg_ls_claims_65535": (
        lambda: _frame_claims(JPEG_LS, b"\xff\xf7", 5, b"\xff\xff\xff\xff"),
        _codes("DECODE"),
    ),
    "j2k_claims_4_gigapixels": (
        lambda: _frame_claims(J2K_LOSSLESS, b"\xff\x51", 6, b"\0\0\xff\xff\0\0\xff\xff"),
        _codes("DECODE"),
    ),
    "j2k_claims_2_billion": (
        lambda: _frame_claims(J2K_LOSSLESS, b"\xff\x51", 6, b"\x7f\xff\xff\xff\x7f\xff\xff\xff"),
        _codes("DECODE"),
    ),
}  # fmt: skip
"""The crafted set."""
