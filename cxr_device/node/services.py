"""The services of the node as data: what it speaks, its answers and its limits.

The code runs on these tables and `cxr-device conformance` prints them; nothing here needs the
network.
"""

from typing import Final

from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)

__all__ = ["STATUSES", "STORAGE_CLASSES", "statement"]

STORAGE_CLASSES: Final = (
    DigitalXRayImageStorageForPresentation,
    ComputedRadiographyImageStorage,
    SecondaryCaptureImageStorage,
)
"""SOP classes that the node takes; any other is refused when the association is negotiated."""
VERIFICATION: Final = UID("1.2.840.10008.1.1")
"""Verification SOP Class (PS3.4 annex A)."""
PUSH_MODEL: Final = UID("1.2.840.10008.1.20.1")
PUSH_MODEL_INSTANCE: Final = UID("1.2.840.10008.1.20.1.1")
"""Storage Commitment Push Model SOP Class and its well-known instance (PS3.4 J.3)."""

MIN_FREE_BYTES: Final = 256 << 20
"""Free space below which no film is taken: answers and the queue itself need some."""

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
NOT_IN_USE: Final = 0xA900
"""Data set does not match SOP class (PS3.4 table B.2-1): outside the intended use."""
CANNOT_UNDERSTAND: Final = 0xC000
STATUSES: Final = {
    SUCCESS: "kept; the header is within the intended use",
    OUT_OF_RESOURCES: (
        f"not kept: the node stops, fewer than {MIN_FREE_BYTES >> 20} MiB are free, or the film "
        "could not be made safe"
    ),
    NOT_IN_USE: "kept; the header is outside the intended use, and the study gets a report of it",
    CANNOT_UNDERSTAND: (
        "kept; unreadable, or no answer can name its study or patient; reported where one can"
    ),
}
"""Status of a C-STORE response, given after the film is on the disk (PS3.4 table B.2-1)."""

MAX_ASSOCIATIONS: Final = 32
"""Associations at one time; one more is refused as a transient local limit (PS3.8 9.3.4)."""
MAX_CONNECTIONS: Final = 2 * MAX_ASSOCIATIONS
"""Connections at one time, those included that have not asked for an association."""
MAX_PDU_BYTES: Final = 1 << 16
"""Longest P-DATA-TF that the node offers to receive (PS3.8 annex D.1)."""
MAX_READ_BYTES: Final = 1 << 20
"""Longest PDU of any kind that is read; a longer one ends the connection unread."""
ASSOCIATION_S: Final = 30.0
"""Seconds for TLS, then for the association request (PS3.8 ARTIM)."""
NETWORK_S: Final = 60.0
"""Seconds without any PDU after which an association is aborted."""
PDU_S: Final = 30.0
"""Seconds in which a PDU that has begun must be whole."""
MESSAGE_S: Final = 300.0
"""Seconds in which a message that has begun must be whole and answered."""
MESSAGE_OVERHEAD_BYTES: Final = 1 << 20
"""Bytes that a message may hold beyond the longest file: its commands and PDU headers."""
DRAIN_S: Final = 10.0
"""Seconds in which associations may end by themselves when the node stops."""
IDLE_S: Final = 1.0
"""Seconds between looks of worker and sender at an empty queue; an arrival wakes them at once."""

BATCH: Final = 32
"""Films answered over one association."""
CONNECT_S: Final = 10.0
"""Seconds to connect to the peer."""
RESPONSE_S: Final = 60.0
"""Seconds to wait for a response of the peer or the study service."""
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
"""Seconds between attempts: doubled from the first to the longest, for as long as it takes."""

_COMMITMENT: Final = (
    "Storage commitment: an instance is committed when it was received whole and got 0x0000. "
    "The node is no archive: it removes a film when the answer to it is delivered. Do not let a "
    "modality delete its films because of this commitment."
)
_STOW: Final = (
    "STOW-RS: the answers of a film are posted together to `.../studies`, multipart/related of "
    "application/dicom; the response is asked for as application/dicom+json. Of 200, 202 and 409 "
    "an instance counts as stored where ReferencedSOPSequence lists it and FailedSOPSequence does "
    "not; what is not listed, any other status, a redirection, and another form of response mean "
    "that it is posted again, with the waits of C-STORE. https with the service's certificate "
    "verified; http to this machine alone. `--tls` names the client certificate and the authority; "
    "the environment variable CXR_NODE_AUTHORIZATION gives the Authorization header. A storage "
    "commitment report goes to its requestor on the same association."
)
_LIMITS: Final = (
    f"Limits: {MAX_ASSOCIATIONS} associations, {MAX_CONNECTIONS} connections; P-DATA-TF of "
    f"{MAX_PDU_BYTES} bytes, any PDU of {MAX_READ_BYTES} bytes, a message of "
    f"{MESSAGE_OVERHEAD_BYTES} bytes more than the longest file; seconds: {ASSOCIATION_S:g} to "
    f"associate, {PDU_S:g} for a PDU, {MESSAGE_S:g} for a message, {NETWORK_S:g} idle, "
    f"{DRAIN_S:g} to end when the node stops. TLS 1.2 or later where certificates are named."
)
_SENDING: Final = (
    f"Sending: up to {BATCH} films over one association; seconds: {CONNECT_S:g} to connect, "
    f"{RESPONSE_S:g} for a response; what was not taken is offered again after {FIRST_WAIT_S:g}, "
    f"doubled up to {LONGEST_WAIT_S:g}."
)


def statement() -> list[str]:
    """Lines of the conformance statement about the node, as Markdown."""
    return [
        "## DICOM node (`cxr-device node`)",
        "",
        "| Service | SOP class | Role |",
        "|---|---|---|",
        *(f"| Storage | {uid.name}, {uid} | SCP |" for uid in STORAGE_CLASSES),
        f"| Verification | {VERIFICATION.name}, {VERIFICATION} | SCP |",
        f"| Storage Commitment | {PUSH_MODEL.name}, {PUSH_MODEL} | SCP |",
        "| Storage of the answers | see the outputs | SCU |",
        "| Store (STOW-RS) of the answers, `--return https://...` | see the outputs | user agent |",
        "",
        "| C-STORE status | Meaning |",
        "|---|---|",
        *(f"| 0x{status:04X} | {meaning} |" for status, meaning in STATUSES.items()),
        "",
        _COMMITMENT,
        "",
        _STOW,
        "",
        _LIMITS,
        "",
        _SENDING,
    ]
