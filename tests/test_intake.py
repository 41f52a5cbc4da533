"""Intake: the file checks, each with its hazard put into a film."""

import os
from pathlib import Path

import pytest
from builders import dx, to_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian

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
        assert taken.sha256 is None


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


@verifies("SRS-106@606bc67b", "RC-106@c9db5400")
@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.1.99", str(ExplicitVRBigEndian), "1.2.840.10008.1.2.4.100", "1.2"]
)
def test_other_transfer_syntaxes_are_refused_unopened(
    syntax: str, label: Label, whole: bytes
) -> None:
    old = b"1.2.840.10008.1.2.1\0"
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    at = whole.index(old)
    grown = int.from_bytes(whole[140:144], "little") + len(new) - len(old)
    bomb = (
        whole[:140] + grown.to_bytes(4, "little") + whole[144 : at - 2]
        + len(new).to_bytes(2, "little") + new + whole[at + len(old) :]
    )  # fmt: skip
    taken = receive(bomb, label)
    assert stopped_by(taken) is CheckCode.TRANSFER_SYNTAX
    assert CheckCode.PARSE not in taken.verdicts


@verifies("SRS-120@d36c9140", "RC-120@36993398")
def test_an_element_longer_than_the_file_is_coded_length(label: Label, whole: bytes) -> None:
    at = whole.index(b"\xe0\x7f\x10\x00OW\0\0") + 8
    lying = whole[:at] + (0x7FFFFFF0).to_bytes(4, "little") + whole[at + 4 :]
    assert stopped_by(receive(lying, label)) is CheckCode.LENGTH
    assert stopped_by(receive(whole[:-1000], label)) is CheckCode.LENGTH


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
