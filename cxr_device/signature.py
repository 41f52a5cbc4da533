"""Signature: was a release signed by a key that this installation trusts? Ed25519, RFC 8032.

Verification alone: no secret is here, so nothing has to run in constant time. The base install has
no room for a library of cryptography (decision record 0320); signing is training's, by a library.
"""

import tomllib
from dataclasses import dataclass
from hashlib import sha512
from pathlib import Path
from typing import Any, Final

__all__ = ["KEYS_FILE", "Signer", "read_keys", "verify"]

KEYS_FILE: Final = "release_keys.toml"
"""File of the package that names the keys that may sign its releases."""

_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64

_P: Final = 2**255 - 19
"""Prime of the field (RFC 8032 5.1)."""
_L: Final = 2**252 + 27742317777372353535851937790883648493
"""Order of the base point."""
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT: Final = pow(2, (_P - 1) // 4, _P)
"""A square root of -1."""

_Point = tuple[int, int, int, int]
"""X, Y, Z, T with x = X/Z, y = Y/Z, x y = T/Z."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who may sign releases: a holder and the public key, 32 bytes."""

    holder: str
    public_key: bytes


def read_keys(path: Path) -> tuple[Signer, ...]:
    """Read the keys that an installation trusts; none means a development installation.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no TOML, or an entry is not a `holder` and a `public_key` of 64 hexadecimal digits.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(_signer(entry) for entry in table.get("keys", []))


def _signer(entry: dict[str, Any]) -> Signer:
    if set(entry) != {"holder", "public_key"}:
        message = f"a key has {sorted(entry)}; accepted: holder, public_key"
        raise ValueError(message)
    key = bytes.fromhex(entry["public_key"])
    if len(key) != _KEY_BYTES:
        message = f"the key of {entry['holder']} has {len(key)} bytes; accepted: {_KEY_BYTES}"
        raise ValueError(message)
    return Signer(holder=str(entry["holder"]), public_key=key)


def verify(signature: bytes, message: bytes, *, public_key: bytes) -> bool:
    """Whether an Ed25519 signature of a message is that of a public key (RFC 8032 5.1.7).

    Parameters
    ----------
    signature : bytes, 64
        R and S; one whose S is not below the order is refused, so a signature has one form.
    public_key : bytes, 32

    Returns
    -------
    bool
        False for anything else too: other lengths, bytes that encode no point.
    """
    if len(signature) != _SIGNATURE_BYTES or len(public_key) != _KEY_BYTES:
        return False
    key, commitment = _decode(public_key), _decode(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= _L:
        return False
    digest = sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % _L
    left, right = _times(scalar, _BASE), _add(commitment, _times(challenge, key))
    return (left[0] * right[2] - right[0] * left[2]) % _P == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % _P == 0


def _add(one: _Point, other: _Point) -> _Point:
    """Sum of two points (RFC 8032 5.1.4); right for equal ones too."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: _Point) -> _Point:
    total: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


def _decode(encoded: bytes) -> _Point | None:
    """Point from its 32 bytes (RFC 8032 5.1.3); None where they encode none."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if square == 0:
        return None if sign else (0, y, 1, 0)
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P:
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _base() -> _Point:
    y = 4 * pow(5, -1, _P) % _P
    point = _decode(y.to_bytes(32, "little"))
    if point is None:
        raise ArithmeticError
    return point


_BASE: Final = _base()
