"""The node's tables: what it speaks, what its answers mean, and its limits, as sites read them."""

from cxr_device.conformance import statement as whole_statement
from cxr_device.node.services import (
    PUSH_MODEL_INSTANCE,
    STATUSES,
    STORAGE_CLASSES,
    VERIFICATION,
    statement,
)
from cxr_device.release import Release
from verification import verifies


def blocks() -> list[str]:
    """Parts of the statement as Markdown divides them: by an empty line."""
    return "\n".join(statement()).split("\n\n")


def rows(table: str) -> list[list[str]]:
    """Cells of a Markdown table; its second line is the rule that makes it one."""
    head, rule, *body = table.splitlines()
    assert set(rule) == {"|", "-"}
    assert head.count("|") == rule.count("|")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, *body)]


@verifies("SRS-250@33dff3b0", "RC-250@3de670b9")
def test_the_statement_lists_each_service_with_its_class_and_role() -> None:
    title, services, *_ = blocks()
    assert title == "## DICOM node (`cxr-device node`)"
    assert rows(services) == [
        ["Service", "SOP class", "Role"],
        [
            "Storage",
            "Digital X-Ray Image Storage - For Presentation, 1.2.840.10008.5.1.4.1.1.1.1",
            "SCP",
        ],
        ["Storage", "Computed Radiography Image Storage, 1.2.840.10008.5.1.4.1.1.1", "SCP"],
        ["Storage", "Secondary Capture Image Storage, 1.2.840.10008.5.1.4.1.1.7", "SCP"],
        ["Verification", "Verification SOP Class, 1.2.840.10008.1.1", "SCP"],
        [
            "Storage Commitment",
            "Storage Commitment Push Model SOP Class, 1.2.840.10008.1.20.1",
            "SCP",
        ],
        ["Storage of the answers", "see the outputs", "SCU"],
        [
            "Store (STOW-RS) of the answers, `--return https://...`",
            "see the outputs",
            "user agent",
        ],
    ]
    assert PUSH_MODEL_INSTANCE == "1.2.840.10008.1.20.1.1"  # PS3.4 J.3.5


@verifies("SRS-252@76c77da2", "RC-252@3a0e3938")
def test_each_status_of_a_response_is_explained() -> None:
    table = rows(blocks()[2])
    assert table[0] == ["C-STORE status", "Meaning"]
    assert [status for status, _ in table[1:]] == ["0x0000", "0xA700", "0xA900", "0xC000"]
    meanings = dict(table[1:])
    assert meanings["0x0000"].startswith("kept; the header is within")
    assert meanings["0xA700"].startswith("not kept: the node stops, fewer than 256 MiB are free")
    assert meanings["0xA900"].startswith("kept; the header is outside the intended use")
    assert meanings["0xC000"].startswith("kept; unreadable")


@verifies("SRS-257@f76f360b", "RC-257@21184b54", "SRS-310@b3b208f8")
def test_the_statement_says_what_is_promised_and_what_counts_as_stored() -> None:
    _, _, _, commitment, stow, *_ = blocks()
    assert "The node is no archive" in commitment
    assert stow.startswith("STOW-RS: ")


@verifies("SRS-256@70f845e6", "RC-256@a19d63d4", "SRS-255@a2fb46e6", "RC-255@260a0abd")
def test_the_limits_are_those_of_the_requirements() -> None:
    *_, limits, sending = blocks()
    assert len(blocks()) == 7
    assert limits.startswith(
        "Limits: 32 associations, 64 connections; P-DATA-TF of 65536 bytes, any PDU of 1048576 "
        "bytes, a message of 1048576 bytes more than the longest file; seconds: 30 to associate, "
        "30 for a PDU, 300 for a message, 60 idle, 10 to end when the node stops."
    )
    assert sending == (
        "Sending: up to 32 films over one association; seconds: 10 to connect, 60 for a response; "
        "what was not taken is offered again after 1, doubled up to 300."
    )


@verifies("SRS-250@33dff3b0", "RC-257@21184b54")
def test_the_conformance_statement_holds_the_node_s(release: Release) -> None:
    text = whole_statement(release)
    assert "\n".join(statement()) in text
    assert all(str(uid) in text for uid in (*STORAGE_CLASSES, VERIFICATION))
    assert all(f"| 0x{status:04X} |" in text for status in STATUSES)
