"""Intake: the file checks, each with its hazard put into a film."""

import errno
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from builders import dx, to_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import DataElement, dcmread
from pydicom.config import IGNORE
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian
from typing_extensions import override

from cxr_device import intake
from cxr_device.intake import Intake, receive
from cxr_device.label import Label
from cxr_device.vocabulary import FAILURES, CheckCode, Outcome
from verification import verifies


def stopped_by(taken: Intake) -> CheckCode:
    """Return the one code that ended an intake."""
    (code,) = [c for c, v in taken.verdicts.items() if v.outcome is Outcome.REJECT]
    return code


@pytest.fixture(scope="module")
def whole() -> bytes:
    return to_bytes(dx())


@verifies("SRS-101@09898378", "RC-101@b49a4aa3")
def test_what_cannot_be_read_is_coded_file_read(tmp_path: Path, label: Label) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, tmp_path / "absent.dcm", pipe, Path("nul\0l.dcm")):
        taken = receive(path, label)
        assert stopped_by(taken) is CheckCode.FILE_READ
        assert taken.radiograph is None
        assert taken.digest is None


@verifies("SRS-176@7ee54576", "RC-176@80508525", level="unit")
@pytest.mark.parametrize("data", [b"x", b"\0" * 5_000_000])
def test_the_digest_is_that_of_the_bytes(data: bytes, label: Label) -> None:
    taken = receive(data, label)
    assert taken.digest is not None
    assert taken.digest() == sha256(data).hexdigest()
    assert taken.digest() == sha256(data).hexdigest()  # asked twice


@verifies("SRS-176@7ee54576", "RC-176@80508525", level="unit")
@pytest.mark.parametrize("more", [0, 1, -1, intake.PART, 3 * intake.PART // 2])
def test_the_digest_of_a_file_is_that_of_all_its_parts(
    more: int, whole: bytes, label: Label, tmp_path: Path
) -> None:
    data = whole + bytes(-len(whole) % intake.PART + more)
    (tmp_path / "film.dcm").write_bytes(data)
    taken = receive(tmp_path / "film.dcm", label)
    assert taken.digest is not None
    assert taken.digest() == sha256(data).hexdigest()
    assert taken.verdicts[CheckCode.FILE_SIZE].value == f"{len(data)} bytes"
    assert taken.radiograph is not None
    assert taken.radiograph.pixel_data is not None
    assert taken.radiograph.pixel_data.readonly
    again = receive(data, label)
    assert (taken.path, again.path) == (str(tmp_path / "film.dcm"), None)
    assert again.radiograph is not None
    assert taken.radiograph.pixel_data == again.radiograph.pixel_data


@verifies("SRS-176@7ee54576", "RC-176@80508525", level="unit")
@pytest.mark.parametrize("stated", [0, 1, 1000])
def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(
    stated: int, whole: bytes, label: Label, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(whole)
    mode = path.stat().st_mode
    smaller = SimpleNamespace(st_mode=mode, st_size=stated)  # as it was when it was looked at
    monkeypatch.setattr(Path, "stat", lambda _path: smaller)
    taken = receive(path, label)
    monkeypatch.undo()
    assert taken.digest is not None
    assert taken.digest() == sha256(whole).hexdigest()
    assert taken.radiograph is not None
    small = replace(label, max_file_mib=1)
    monkeypatch.setattr(Path, "stat", lambda _path: smaller)
    assert stopped_by(receive(path, small)) is CheckCode.FILE_SIZE


@verifies("SRS-101@09898378", "RC-101@b49a4aa3")
def test_a_disk_that_fails_in_the_middle_of_a_file_leaves_no_digest(
    whole: bytes, label: Label, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(whole)
    left = iter([4096])

    class Failing(FileIO):
        @override
        def readinto(self, into: Any) -> int:
            if next(left, None) is None:
                raise OSError(errno.EIO, "Input/output error")
            return super().readinto(into)

    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Failing(path))
    taken = receive(path, label)
    assert stopped_by(taken) is CheckCode.FILE_READ
    assert taken.verdicts[CheckCode.FILE_READ].message == "Input/output error"
    assert taken.digest is None


@verifies("SRS-176@7ee54576", "RC-176@80508525", level="unit")
def test_films_that_are_read_at_once_have_their_own_digests(
    whole: bytes, label: Label, tmp_path: Path
) -> None:
    films = [tmp_path / f"{number}.dcm" for number in range(40)]
    for number, film in enumerate(films):
        film.write_bytes(whole + bytes([number]) * 70_000 * number)
    with ThreadPoolExecutor(len(films)) as threads:
        taken = list(threads.map(lambda film: receive(film, label), films))
    for film, each in zip(films, taken, strict=True):
        assert each.digest is not None
        assert each.digest() == sha256(film.read_bytes()).hexdigest()


@verifies("SRS-105@6aad26ca", level="unit")
def test_a_header_may_be_as_long_as_the_limit(
    whole: bytes, label: Label, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MAX_READ", 0)
    refused = receive(whole, label).verdicts[CheckCode.PARSE]
    monkeypatch.setattr(intake, "MAX_READ", int(refused.value.removesuffix(" bytes")))
    taken = receive(whole, label)
    assert taken.radiograph is not None
    assert taken.transfer_syntax_uid == taken.radiograph.transfer_syntax_uid


@verifies("SRS-176@7ee54576", "RC-176@80508525", level="unit")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_hashes_too(label: Label) -> None:
    assert receive(b"x", label).digest is not None  # threads run, which a fork does not take along
    child = os.fork()
    if child == 0:
        code = 1
        try:
            digest = receive(b"y", label).digest
            code = 0 if digest and digest() == sha256(b"y").hexdigest() else 1
        finally:  # whatever is raised: a second copy of the tests must not go on
            os._exit(code)
    for _ in range(100):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child never knew its digest")
    assert os.waitstatus_to_exitcode(status) == 0


@verifies("SRS-101@09898378", "RC-101@b49a4aa3")
def test_a_file_without_permission_is_coded_file_read(
    tmp_path: Path, label: Label, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed.dcm"
    closed.write_bytes(b"x")

    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    taken = receive(closed, label)
    assert stopped_by(taken) is CheckCode.FILE_READ
    assert taken.verdicts[CheckCode.FILE_READ].value == "no permission"


@verifies("SRS-102@9cbdcbcb", "RC-102@62b8886c")
@pytest.mark.parametrize(("excess", "refused"), [(0, False), (1, True)])
def test_a_file_is_refused_above_its_limit_before_it_is_parsed(
    excess: int, *, refused: bool, label: Label, whole: bytes
) -> None:
    limit = label.max_file_mib * 2**20
    taken = receive(whole.ljust(limit + excess, b"\0"), label)
    assert (taken.verdicts[CheckCode.FILE_SIZE].outcome is Outcome.REJECT) == refused
    assert (CheckCode.PARSE in taken.verdicts) != refused


@verifies("SRS-102@9cbdcbcb", "RC-102@62b8886c")
def test_an_empty_file_is_coded_file_size(label: Label) -> None:
    assert stopped_by(receive(b"", label)) is CheckCode.FILE_SIZE


@verifies("SRS-103@5b349cdc", "RC-103@e19e3ec7")
@pytest.mark.parametrize("magic", [b"MZ", b"\x7fELF", b"#!/bin/sh", b"\xcf\xfa\xed\xfe"])
def test_a_file_that_is_also_a_program_fails(magic: bytes, label: Label, whole: bytes) -> None:
    taken = receive(magic + whole[len(magic) :], label)
    assert stopped_by(taken) is CheckCode.FILE_PREAMBLE
    assert taken.radiograph is None


@verifies("SRS-103@5b349cdc", "RC-103@e19e3ec7")
@pytest.mark.parametrize(
    ("preamble", "outcome"),
    [(b"", Outcome.PASS), (b"II*\0", Outcome.PASS), (b"\x01\x02", Outcome.WARN)],
)
def test_other_preambles_pass_or_warn(
    preamble: bytes, outcome: Outcome, label: Label, whole: bytes
) -> None:
    taken = receive(preamble + whole[len(preamble) :], label)
    assert taken.verdicts[CheckCode.FILE_PREAMBLE].outcome is outcome
    assert taken.radiograph is not None


@verifies("SRS-104@cd3ee736", "RC-104@7c458333")
def test_what_is_not_part_10_is_never_read_by_force(label: Label, whole: bytes) -> None:
    for data in (b"random bytes" * 40, whole[:128] + b"XXXX" + whole[132:], whole[132:], b"\0"):
        assert stopped_by(receive(data, label)) is CheckCode.FILE_PART10


@verifies("SRS-104@cd3ee736", "RC-104@7c458333")
def test_file_meta_information_without_a_syntax_is_not_part_10(label: Label) -> None:
    assert stopped_by(receive(bytes(128) + b"DICM", label)) is CheckCode.FILE_PART10


def nested(whole: bytes, depth: int) -> bytes:
    """Put `depth` nested sequences of undefined length in front of (2050,0020)."""
    at = whole.index(b"\x50\x20\x20\x00CS")
    begin = b"\x40\x00\x75\x02SQ\0\0" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
    end = b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)
    return whole[:at] + begin * depth + end * depth + whole[at:]


@verifies("SRS-105@6aad26ca", "RC-105@c15c6fbc")
@pytest.mark.parametrize("depth", [300, 5000])
def test_deep_nesting_ends_as_a_failed_record(depth: int, label: Label, whole: bytes) -> None:
    taken = receive(nested(whole, depth), label)
    codes = {c for c, v in taken.verdicts.items() if v.outcome is Outcome.REJECT}
    assert depth < 1000 or codes == {CheckCode.PARSE}  # a shallow nest may be skipped unread
    assert codes <= FAILURES


@verifies("SRS-105@6aad26ca", "RC-105@c15c6fbc")
def test_an_odd_length_number_ends_as_parse(label: Label, whole: bytes) -> None:
    at = whole.index(b"\x28\x00\x10\x00US\x02\x00")
    odd = whole[:at] + b"\x28\x00\x10\x00US\x03\x00\x00\x04\x00" + whole[at + 10 :]
    assert stopped_by(receive(odd, label)) is CheckCode.PARSE


def with_syntax(whole: bytes, syntax: str) -> bytes:
    """Name another transfer syntax in a film whose bytes stay as they are."""
    old = b"1.2.840.10008.1.2.1\0"
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    at = whole.index(old)
    grown = int.from_bytes(whole[140:144], "little") + len(new) - len(old)
    return (
        whole[:140] + grown.to_bytes(4, "little") + whole[144 : at - 2]
        + len(new).to_bytes(2, "little") + new + whole[at + len(old) :]
    )  # fmt: skip


@verifies("SRS-106@606bc67b", "RC-106@c9db5400")
@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.1.99", str(ExplicitVRBigEndian), "1.2.840.10008.1.2.4.100", "1.2"]
)
def test_other_transfer_syntaxes_are_refused_unopened(
    syntax: str, label: Label, whole: bytes
) -> None:
    taken = receive(with_syntax(whole, syntax), label)
    assert stopped_by(taken) is CheckCode.TRANSFER_SYNTAX
    assert CheckCode.PARSE not in taken.verdicts


@verifies("SRS-120@d36c9140", "RC-120@36993398")
def test_an_element_longer_than_the_file_is_coded_length(label: Label, whole: bytes) -> None:
    at = whole.index(b"\xe0\x7f\x10\x00OW\0\0") + 8
    lying = whole[:at] + (0x7FFFFFF0).to_bytes(4, "little") + whole[at + 4 :]
    assert stopped_by(receive(lying, label)) is CheckCode.LENGTH
    assert stopped_by(receive(whole[:-1000], label)) is CheckCode.LENGTH


@verifies("SRS-106@606bc67b", "RC-106@c9db5400")
@pytest.mark.parametrize(
    ("family", "outcome"),
    [
        ("2 2.1 2.5 2.4.57 2.4.70 2.4.80 2.4.90", Outcome.PASS),
        ("2.4.50 2.4.51 2.4.81 2.4.91", Outcome.WARN),
    ],
)
def test_each_syntax_of_the_table_is_opened(
    family: str, outcome: Outcome, label: Label, whole: bytes
) -> None:
    for end in family.split():
        syntax = f"1.2.840.10008.1.{end}"
        taken = receive(with_syntax(whole, syntax), label)
        verdict = taken.verdicts[CheckCode.TRANSFER_SYNTAX]
        assert (verdict.outcome, verdict.value) == (outcome, syntax)


@verifies("SRS-106@606bc67b", "RC-106@c9db5400")
def test_a_syntax_longer_than_a_uid_is_shown_cut(label: Label, whole: bytes) -> None:
    taken = receive(with_syntax(whole, "1." + "2" * 98), label)
    assert taken.verdicts[CheckCode.TRANSFER_SYNTAX].value == "1." + "2" * 62


@verifies("SRS-103@5b349cdc", "RC-103@e19e3ec7")
@pytest.mark.parametrize("magic", [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"])
def test_every_tiff_preamble_passes(magic: bytes, label: Label, whole: bytes) -> None:
    verdict = receive(magic + whole[4:], label).verdicts[CheckCode.FILE_PREAMBLE]
    assert (verdict.outcome, verdict.value) == (Outcome.PASS, "TIFF")


@verifies("SRS-102@9cbdcbcb", "RC-102@62b8886c")
@pytest.mark.parametrize(("excess", "refused"), [(0, False), (1, True), (5000, True)])
def test_a_file_on_disk_has_the_same_limit(
    excess: int, *, refused: bool, label: Label, whole: bytes, tmp_path: Path
) -> None:
    eight = replace(label, max_file_mib=8)
    path = tmp_path / "film.dcm"
    path.write_bytes(whole.ljust(2**23 + excess, b"\0"))
    verdict = receive(path, eight).verdicts[CheckCode.FILE_SIZE]
    value = "more than 8388608 bytes" if refused else "8388608 bytes"
    assert (verdict.outcome is Outcome.REJECT, verdict.value) == (refused, value)


@verifies("SRS-101@09898378", "RC-101@b49a4aa3")
def test_a_file_that_is_longer_than_it_says_is_read_whole(label: Label) -> None:
    said = Path("/proc/version")  # its size is given as 0 bytes
    taken = receive(said, label)
    assert taken.verdicts[CheckCode.FILE_SIZE].value == f"{len(said.read_bytes())} bytes"


@verifies("SRS-101@09898378", "RC-101@b49a4aa3")
def test_a_disk_that_fails_is_named(
    tmp_path: Path, label: Label, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "film.dcm").write_bytes(b"x")

    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", fail)
    verdict = receive(tmp_path / "film.dcm", label).verdicts[CheckCode.FILE_READ]
    assert (verdict.value, verdict.message) == ("unreadable", "Input/output error")


@verifies("SRS-101@09898378", "RC-101@b49a4aa3")
def test_a_data_set_without_a_preamble_is_written_as_a_file(label: Label) -> None:
    film = dx()
    film.preamble = None
    assert receive(film, label).radiograph is not None


@verifies("SRS-105@6aad26ca", "RC-105@c15c6fbc")
def test_a_header_is_parsed_up_to_its_limit_and_large_neighbours_do_not_count(
    label: Label,
) -> None:
    table = Dataset()
    table.LUTDescriptor = [256, 0, 16]
    table.add_new("LUTData", "OW", bytes(2**20))
    taken = receive(to_bytes(dx(VOILUTSequence=[table])), label)
    assert stopped_by(taken) is CheckCode.PARSE
    assert "exceed 1048576 bytes" in taken.verdicts[CheckCode.PARSE].message
    beside = dx()
    beside.private_block(0x0009, "EXAMPLE", create=True).add_new(1, "OB", bytes(2**21))
    assert receive(to_bytes(beside), label).radiograph is not None


@verifies("SRS-105@6aad26ca", "RC-105@c15c6fbc")
@pytest.mark.parametrize(
    ("tag", "found"),
    [
        (0x60003000, True), (0x60023000, True), (0x601E3000, True), (0x60020010, False),
        (0x60203000, False), (0x50003000, False),
    ],
)  # fmt: skip
def test_an_overlay_is_seen_in_its_groups(tag: int, *, found: bool, label: Label) -> None:
    film = dx()
    film.add_new(
        tag, "US" if tag & 0xFFFF == 0x10 else "OW", 2 if tag & 0xFFFF == 0x10 else b"\0\0"
    )
    radiograph = receive(to_bytes(film), label).radiograph
    assert radiograph is not None
    assert radiograph.has_overlay is found


def said_of(film: Dataset, label: Label) -> str:
    """What the intake says of a data set that cannot be written: one line, and no value of it."""
    taken = receive(film, label)
    assert stopped_by(taken) is CheckCode.FILE_READ
    verdict = taken.verdicts[CheckCode.FILE_READ]
    assert verdict.value == "data set"
    assert "Planted" not in verdict.message
    assert "\n" not in verdict.message
    assert len(verdict.message) < 200
    return verdict.message


def built(tag: int, vr: str, value: object) -> Dataset:
    """A film with one element of a wrong value."""
    film = dx()
    film.add(DataElement(tag, vr, value, validation_mode=IGNORE))
    return film


@verifies("SRS-358@f03f5638", "SRS-101@09898378", "RC-101@b49a4aa3", level="integration")
def test_a_data_set_without_its_transfer_syntax_says_how_to_set_it(label: Label) -> None:
    bare = Dataset()
    bare.update(dx())
    said = "no Transfer Syntax UID (0002,0010); set it in dataset.file_meta"
    for film in (bare, Dataset()):
        assert said_of(film, label) == f"not writable: {said}"


@verifies("SRS-358@f03f5638", level="integration")
@pytest.mark.parametrize(
    ("tag", "vr", "value", "said"),
    [
        (0x00100020, "US", "Planted^Patient", "(0010,0020), VR US"),
        (0x00280010, "US", 99999, "(0028,0010), VR US"),
        (0x7FE00010, "OW", "Planted text", "(7FE0,0010), VR OW"),
        (0x00280010, "Planted", 5, "(0028,0010), no known VR"),
    ],
)
def test_an_element_that_cannot_be_written_is_named_by_tag_and_vr(
    tag: int, vr: str, value: object, said: str, label: Label
) -> None:
    found = said_of(built(tag, vr, value), label)
    assert found.startswith(f"not writable: element {said} (")
    assert found.endswith("Error); correct its value or its VR")


@verifies("SRS-358@f03f5638", level="integration")
def test_an_element_of_a_sequence_is_named_with_the_sequence(label: Label) -> None:
    inner = Dataset()
    inner.add(DataElement(0x00280010, "US", "Planted^Patient", validation_mode=IGNORE))
    middle = Dataset()
    middle.ProcedureCodeSequence = [inner]
    film = dx(RequestAttributesSequence=[middle])
    assert said_of(film, label).startswith(
        "not writable: element (0028,0010) in (0040,0275), VR SQ ("
    )


@verifies("SRS-358@f03f5638", level="integration")
def test_an_element_whose_vr_is_open_is_named(label: Label) -> None:
    film = built(0x00281101, "US or SS", [1, 2, 3])
    del film.PixelRepresentation
    assert "element (0028,1101), VR US or SS (AttributeError)" in said_of(film, label)


@verifies("SRS-358@f03f5638", level="integration")
def test_pixel_data_that_are_no_longer_where_they_were_are_file_read(
    label: Label, whole: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(whole)
    film = dcmread(path, defer_size=1000)
    path.unlink()
    said = "not writable: OSError; dataset.save_as(FILE, enforce_file_format=True) says why"
    assert said_of(film, label) == said


@verifies("SRS-358@f03f5638", level="integration")
def test_what_else_stops_a_data_set_is_said(label: Label) -> None:
    film = dx()
    del film.SOPInstanceUID
    assert said_of(film, label) == (
        "not writable: missing or empty (0002,0003); set the UIDs of the SOP class, the instance "
        "and the transfer syntax"
    )
    for tag, group in ((0x00020010, "0002"), (0x00000010, "0000")):
        assert said_of(built(tag, "UI", "1.2"), label) == (
            f"not writable: elements of group {group} in the data set; move them to "
            "dataset.file_meta or delete them"
        )
    film = dx()
    film.preamble = b"Planted"
    assert said_of(film, label) == (
        "not writable: ValueError; dataset.save_as(FILE, enforce_file_format=True) says why"
    )


@verifies("SRS-105@6aad26ca", "RC-105@c15c6fbc")
@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400), at=st.integers(0, 900))
def test_no_bytes_make_the_intake_raise(data: bytes, at: int, label: Label) -> None:
    head = to_bytes_once()
    for hostile in (data, head[:at] + data + head[at + len(data) :], head[:at]):
        taken = receive(hostile, label)
        assert taken.radiograph is not None or any(
            v.outcome is Outcome.REJECT for v in taken.verdicts.values()
        )


_WHOLE: list[bytes] = []


def to_bytes_once() -> bytes:
    """The first 4 kB of a film: its header."""
    if not _WHOLE:
        _WHOLE.append(to_bytes(dx())[:4096])
    return _WHOLE[0]
