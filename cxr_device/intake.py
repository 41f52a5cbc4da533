"""Intake: DICOM bytes -> Radiograph; the only reader, and it refuses before it decodes.

A file is held to the cheapest checks first. The transfer syntax is read from the file meta
information alone, so a deflated bomb is refused unopened; the data set is walked unread, and only
the elements that a guard needs are parsed, at most `MAX_READ` bytes of them; the pixel data is left
where it lies. Whatever a parser throws ends as one coded verdict.
"""

import os
import re
import stat
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue
from typing import Final, Self

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.valuerep import VR

from cxr_device.checks import Verdict
from cxr_device.elements import PIXEL_DATA, ElementError, elements
from cxr_device.header import WANTED, HeaderError, read_header
from cxr_device.label import Label
from cxr_device.radiograph import Radiograph
from cxr_device.vocabulary import CheckCode, Outcome

__all__ = ["TRANSFER_SYNTAXES", "Intake", "receive", "shown"]

LOSSLESS: Final = frozenset(
    {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
    }
)
LOSSY: Final = frozenset(
    {
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.51",
        "1.2.840.10008.1.2.4.81",
        "1.2.840.10008.1.2.4.91",
    }
)
TRANSFER_SYNTAXES: Final = LOSSLESS | LOSSY
"""Transfer syntaxes that may be opened (PS3.5 annex A)."""

PROGRAM_MAGIC: Final = {
    b"MZ": "a Windows program",
    b"\x7fELF": "an ELF program",
    b"\xfe\xed\xfa\xce": "a Mach-O program",
    b"\xfe\xed\xfa\xcf": "a Mach-O program",
    b"\xce\xfa\xed\xfe": "a Mach-O program",
    b"\xcf\xfa\xed\xfe": "a Mach-O program",
    b"\xca\xfe\xba\xbe": "a Mach-O or Java program",
    b"#!": "a script",
}
_TIFF_MAGIC: Final = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_PREAMBLE: Final = 128
_UID_CHARACTERS: Final = 64
_HASHED_AT_ONCE: Final = 32
"""Films; more of them wait for a thread. One is started only where none is free."""
PART: Final = 2**20
"""Bytes read at once, and hashed while the next are read."""
MAX_READ: Final = 2**20
"""Bytes of the elements that are parsed; eight full lookup tables fit in."""
_IMPLICIT: Final = "1.2.840.10008.1.2"
_SOP_CLASS, _SYNTAX = 0x00020002, 0x00020010
"""Media Storage SOP Class UID and Transfer Syntax UID (PS3.10 7.1)."""
_OVERLAY_GROUPS: Final = range(0x6000, 0x6020, 2)
_TAG: Final = r"\([0-9A-F]{4},[0-9A-F]{4}\)"
_AT_FAULT: Final = re.compile(
    rf"(?:With tag {_TAG} got exception: )*(?:Failed to resolve ambiguous VR for tag {_TAG})?"
)
"""How pydicom begins an error of an element: tags, outermost first; values may follow."""
_WITHOUT_TAG: Final = {
    "Unable to determine the encoding": (
        "no Transfer Syntax UID (0002,0010); set it in dataset.file_meta"
    ),
    "File Meta Information Group elements": (
        "elements of group 0002 in the data set; move them to dataset.file_meta or delete them"
    ),
    "Command Set elements": (
        "elements of group 0000 in the data set; move them to dataset.file_meta or delete them"
    ),
    "Required File Meta Information elements": (
        "missing or empty {tags}; set the UIDs of the SOP class, the instance and the transfer "
        "syntax"
    ),
}
"""What pydicom says of a whole data set, by how it begins, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What came in: its digest, the verdicts of the file checks, and the film if there is one."""

    path: str | None
    digest: Callable[[], str] | None = None
    """Gives the SHA-256 of the bytes as hexadecimal digits, once it is known."""
    verdicts: dict[CheckCode, Verdict] = field(default_factory=dict)
    radiograph: Radiograph | None = None
    transfer_syntax_uid: str | None = None


class _RefusedError(Exception):
    """A file check that ends the intake."""

    def __init__(self, code: CheckCode, value: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.verdict = Verdict(outcome=Outcome.REJECT, value=value, message=message)


@dataclass(slots=True)
class _Progress:
    """What is known so far; a refusal keeps it."""

    verdicts: dict[CheckCode, Verdict] = field(default_factory=dict)
    digest: Callable[[], str] | None = None
    syntax: str | None = None

    def passed(self, code: CheckCode, value: str) -> None:
        self.verdicts[code] = Verdict(outcome=Outcome.PASS, value=value, message="as expected")


def receive(source: Path | bytes | Dataset, label: Label) -> Intake:
    """Take in one film, from a file, bytes or a data set; never raises for what it is given."""
    progress = _Progress()
    radiograph = None
    try:
        with _HASHING.digest() as digest:
            data = _bytes_of(source, label, progress, digest)
        progress.digest = digest.hexdigest
        _check_preamble(data, progress)
        meta = _read_meta(data, progress)
        progress.syntax = _check_syntax(meta.transfer_syntax_uid, label, progress)
        radiograph = _parse(data, meta, progress)
    except _RefusedError as refused:
        progress.verdicts[refused.code] = refused.verdict
    return Intake(
        path=shown(source) if isinstance(source, Path) else None,
        digest=progress.digest,
        verdicts=progress.verdicts,
        radiograph=radiograph,
        transfer_syntax_uid=progress.syntax,
    )


class _Hashing:
    """Threads that hash: kept, because starting one takes as long as to hash a small film."""

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)  # threads are no part of a fork

    def _renew(self) -> None:
        self._threads = ThreadPoolExecutor(_HASHED_AT_ONCE, thread_name_prefix="digest")

    def digest(self) -> "_Digest":
        """Begin a digest; of a large film it takes as long as all the work on it."""
        return _Digest(self._threads)


class _Digest:
    """SHA-256 of parts, made beside their reading; complete where its `with` ends."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._parts: SimpleQueue[memoryview | None] = SimpleQueue()
        self._sha = sha256()
        self._followed = threads.submit(self._follow)

    def _follow(self) -> None:
        for part in iter(self._parts.get, None):
            self._sha.update(part)

    def __enter__(self) -> Self:
        return self

    def update(self, part: memoryview) -> None:
        self._parts.put(part)

    def __exit__(self, *_: object) -> None:
        self._parts.put(None)

    def hexdigest(self) -> str:
        """Wait for the last part, and give hexadecimal digits."""
        self._followed.result()
        return self._sha.hexdigest()


_HASHING: Final = _Hashing()


def _bytes_of(
    source: Path | bytes | Dataset, label: Label, progress: _Progress, digest: _Digest
) -> memoryview:
    """Read the whole file, bounded by the label's size, or serialize a data set."""
    limit = label.max_file_mib * 2**20
    if isinstance(source, Path):
        data = _read_file(source, limit, digest)
    else:
        data = memoryview(_written(source) if isinstance(source, Dataset) else source)
        digest.update(data[: limit + 1])
    progress.passed(CheckCode.FILE_READ, "read")
    if not data or len(data) > limit:
        size = f"more than {limit} bytes" if data else "0 bytes"
        raise _RefusedError(
            CheckCode.FILE_SIZE, size, f"outside 1 byte to {label.max_file_mib} MiB"
        )
    progress.passed(CheckCode.FILE_SIZE, f"{len(data)} bytes")
    return data


def _written(source: Dataset) -> bytes:
    """Write a data set as the file that it would be."""
    buffer = BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dcmwrite(buffer, source, enforce_file_format=True)
    except Exception as error:  # a data set can fail to be written in any way
        message = f"not writable: {_why_not_written(source, error)}"
        raise _RefusedError(CheckCode.FILE_READ, "data set", message) from error
    return buffer.getvalue()


def _why_not_written(source: Dataset, error: Exception) -> str:
    """Say what pydicom said, and what to do; its own text may hold values of the patient."""
    said, kind = str(error), type(error).__name__
    begun = _AT_FAULT.match(said)
    if begun is not None and (tags := re.findall(_TAG, begun[0])):
        within = f" in {tags[0]}" if len(tags) > 1 else ""
        vr = _vr_of(source, tags[0])
        return f"element {tags[-1]}{within}, {vr} ({kind}); correct its value or its VR"
    for beginning, words in _WITHOUT_TAG.items():
        if said.startswith(beginning):
            return words.format(tags=", ".join(re.findall(_TAG, said)))
    return f"{kind}; dataset.save_as(FILE, enforce_file_format=True) says why"


def _vr_of(source: Dataset, tag: str) -> str:
    """Name an element's VR where it has one of the standard's; another could be any text."""
    try:
        return f"VR {VR(source.get_item(int(tag[1:5] + tag[6:10], 16)).VR)}"
    except Exception:  # noqa: BLE001  # a data set that could not be written can fail here too
        return "no known VR"


def shown(path: Path) -> str:
    """Text of a path that every output can hold, also where its name is no valid Unicode."""
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError:  # no file can have this name
        name = str(path).encode("utf-8", "backslashreplace")
    return name.decode("utf-8", "backslashreplace")


def _read_file(path: Path, limit: int, digest: _Digest) -> memoryview:
    """Read a regular file; one byte more than `limit` is enough to know that it is too long."""
    try:
        found = path.stat()  # before the open: opening a pipe waits for its other end
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise _RefusedError(CheckCode.FILE_READ, "special file", "not a regular file")
        with path.open("rb", buffering=0) as file:
            expected = min(found.st_size, limit) + 1  # a buffer of the whole limit costs 10 ms
            data, at = np.empty(expected, dtype=np.uint8).data, 0
            while read := file.readinto(data[at : at + PART]):
                digest.update(data[at : at + read])
                at += read
            if at == expected and (rest := file.read(limit + 1 - at)):  # it grew meanwhile
                digest.update(memoryview(rest))
                return memoryview(bytes(data) + rest)
            return data[:at].toreadonly()
    except IsADirectoryError as error:
        raise _RefusedError(CheckCode.FILE_READ, "directory", "a folder, not a file") from error
    except FileNotFoundError as error:
        raise _RefusedError(CheckCode.FILE_READ, "absent", "there is no such file") from error
    except PermissionError as error:
        raise _RefusedError(CheckCode.FILE_READ, "no permission", "may not be read") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _RefusedError(CheckCode.FILE_READ, "unreadable", f"{reason}") from error


def _check_preamble(data: memoryview, progress: _Progress) -> None:
    """Judge the first 128 bytes and the DICM prefix (PS3.10 7.1)."""
    preamble = bytes(data[:_PREAMBLE])
    for magic, kind in PROGRAM_MAGIC.items():
        if preamble.startswith(magic):
            raise _RefusedError(CheckCode.FILE_PREAMBLE, magic.hex(), f"the file is also {kind}")
    if bytes(data[_PREAMBLE : _PREAMBLE + 4]) != b"DICM":
        raise _RefusedError(CheckCode.FILE_PART10, "no DICM prefix", "not a DICOM Part 10 file")
    if any(preamble) and not preamble.startswith(_TIFF_MAGIC):
        progress.verdicts[CheckCode.FILE_PREAMBLE] = Verdict(
            outcome=Outcome.WARN,
            value=f"{preamble[:4].hex()}...",
            message="bytes that are neither zero nor a TIFF header",
        )
    else:
        progress.passed(CheckCode.FILE_PREAMBLE, "TIFF" if any(preamble) else "zeros")


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileMeta:
    """What the file meta information says, and where the data set behind it begins."""

    media_storage_sop_class_uid: str
    transfer_syntax_uid: str
    end: int


def _read_meta(data: memoryview, progress: _Progress) -> _FileMeta:
    """Read two UIDs of the file meta information, which is always Explicit VR (PS3.10 7.1)."""
    end, found = _PREAMBLE + 4, {_SOP_CLASS: "", _SYNTAX: ""}
    try:
        for element in elements(data, end, implicit=False, group=2):
            end = element.end
            if element.tag in found:
                uid = data[element.value : min(end, element.value + 2 * _UID_CHARACTERS)]
                found[element.tag] = bytes(uid).decode("ascii", "backslashreplace").rstrip("\0 ")
    except ElementError as error:
        raise _RefusedError(CheckCode.FILE_PART10, error.value, f"file meta: {error}") from error
    if not found[_SYNTAX]:
        raise _RefusedError(CheckCode.FILE_PART10, "no Transfer Syntax UID", "incomplete file meta")
    progress.passed(CheckCode.FILE_PART10, "DICM, file meta information")
    return _FileMeta(
        media_storage_sop_class_uid=found[_SOP_CLASS], transfer_syntax_uid=found[_SYNTAX], end=end
    )


def _check_syntax(syntax: str, label: Label, progress: _Progress) -> str:
    """Judge the transfer syntax before anything in it is opened."""
    if syntax in LOSSLESS:
        progress.passed(CheckCode.TRANSFER_SYNTAX, syntax)
    elif syntax in LOSSY and label.lossy_accepted:
        progress.verdicts[CheckCode.TRANSFER_SYNTAX] = Verdict(
            outcome=Outcome.WARN, value=syntax, message="lossy compression changed the film"
        )
    else:
        shown = syntax[:_UID_CHARACTERS] if re.fullmatch(r"[0-9.]+", syntax) else "no UID"
        raise _RefusedError(CheckCode.TRANSFER_SYNTAX, shown, "not a transfer syntax that is read")
    return syntax


def _parse(data: memoryview, meta: _FileMeta, progress: _Progress) -> Radiograph:
    """Parse the wanted elements up to the pixel data."""
    implicit = meta.transfer_syntax_uid == _IMPLICIT
    try:
        found = {each.tag: each for each in elements(data, meta.end, implicit=implicit)}
    except ElementError as error:
        raise _RefusedError(error.code, error.value, str(error)) from error
    wanted = [each for tag, each in found.items() if tag in WANTED]
    size = sum(each.end - each.begin for each in wanted)
    if size > MAX_READ:
        raise _RefusedError(
            CheckCode.PARSE, f"{size} bytes", f"the values of the header exceed {MAX_READ} bytes"
        )
    try:
        header = b"".join(data[each.begin : each.end] for each in wanted)
        fields = read_header(header, implicit=implicit)
    except HeaderError as error:
        raise _RefusedError(CheckCode.PARSE, error.value, str(error)) from error
    progress.passed(CheckCode.PARSE, "to the pixel data")
    pixels = found.get(PIXEL_DATA)
    return Radiograph(
        transfer_syntax_uid=meta.transfer_syntax_uid,
        media_storage_sop_class_uid=meta.media_storage_sop_class_uid,
        has_overlay=any(
            tag >> 16 in _OVERLAY_GROUPS and tag & 0xFFFF == 0x3000  # noqa: PLR2004  # Overlay Data
            for tag in found
        ),
        pixel_data=data[pixels.value : pixels.end] if pixels else None,
        pixel_data_is_encapsulated=pixels is not None and pixels.is_undefined,
        **fields,
    )
