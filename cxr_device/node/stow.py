"""STOW-RS: the answers of one film to a DICOMweb study service, in one POST (PS3.18 section 10.5).

An instance counts as taken when the service's response lists it (ReferencedSOPSequence), never
because the request ended well: 200, 202 and 409 differ only in how many instances they list.
"""

import http.client
import json
import secrets
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from cxr_device.node.configuration import StudyService
from cxr_device.node.services import RESPONSE_S

__all__ = ["DUPLICATE", "StowClient"]

MAX_RESPONSE_BYTES: Final = 1 << 20
DUPLICATE: Final = "0x0111"
"""Duplicate SOP instance (PS3.7 annex C.4.4): the service holds it already."""
_SPEAKS: Final = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT})
"""Statuses whose body tells of each instance (PS3.18 table 10.5.3-1)."""
_REFERENCED, _FAILED, _INSTANCE, _REASON = "00081199", "00081198", "00081155", "00081197"
"""ReferencedSOPSequence, FailedSOPSequence, ReferencedSOPInstanceUID, FailureReason."""


class StowClient:
    """Posts to one study service; over TLS the service's certificate must name its host."""

    def __init__(
        self, service: StudyService, *, tls: ssl.SSLContext | None, authorization: str | None
    ) -> None:
        self._service, self._authorization = service, authorization
        self._tls = tls or ssl.create_default_context()

    def store(self, instances: Mapping[str, bytes]) -> dict[str, str | None]:
        """Offer instances, Part 10 files by SOP Instance UID.

        Returns
        -------
        dict of str to str or None
            For each UID why it was not taken, or None where it was.

        Raises
        ------
        OSError, http.client.HTTPException
            The service could not be reached, its certificate does not hold, or it broke off.
        """
        boundary = secrets.token_hex(32)  # 256 bits: in no instance
        parts = [
            b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % (boundary.encode(), data)
            for data in instances.values()
        ]
        body = b"".join(parts) + b"--%b--\r\n" % boundary.encode()
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        }
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        connection = self._connection()
        try:
            connection.request("POST", self._service.path, body=body, headers=headers)
            response = connection.getresponse()
            status, text = response.status, response.read(MAX_RESPONSE_BYTES)
        finally:
            connection.close()
        if status not in _SPEAKS:
            return dict.fromkeys(instances, f"HTTP {status}")
        return _verdicts(text, instances, otherwise=f"HTTP {status}, not listed")

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._service.address.host, self._service.address.port
        if self._service.is_encrypted:
            return http.client.HTTPSConnection(host, port, timeout=RESPONSE_S, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=RESPONSE_S)


def _verdicts(
    text: bytes, instances: Mapping[str, bytes], *, otherwise: str
) -> dict[str, str | None]:
    """Read a store response (DICOM JSON, PS3.18 annex F): what is not listed was not taken."""
    found: dict[str, str | None] = dict.fromkeys(instances, otherwise)
    try:
        told = json.loads(text)
        told = told[0] if isinstance(told, list) else told
        for item in _items(told, _REFERENCED):
            found[_value(item, _INSTANCE)] = None
        for item in _items(told, _FAILED):  # after: an instance in both was not taken
            reason = item.get(_REASON, {}).get("Value", [0])[0]
            found[_value(item, _INSTANCE)] = f"0x{int(reason):04X}"
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return dict.fromkeys(instances, "unreadable response")
    return {uid: found[uid] for uid in instances}


def _items(told: Any, tag: str) -> list[Any]:  # noqa: ANN401  # JSON of a peer
    return list(told.get(tag, {}).get("Value", []))


def _value(item: Any, tag: str) -> str:  # noqa: ANN401  # JSON of a peer
    return str(item[tag]["Value"][0])
