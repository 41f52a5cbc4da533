"""Signing: a lock's release.toml, which holds every digest, is signed with an Ed25519 key.

`release.sig` holds the 64 bytes of the signature alone, so that OpenSSL verifies it too.
"""

import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cxr_device.errors import SigningError
from cxr_device.release import PACKAGE
from cxr_device.signature import KEYS_FILE, read_keys

__all__ = ["Ed25519PrivateKey", "open_key", "refuse_unsigned"]


def open_key(path: Path, *, ask: Callable[[], str]) -> Ed25519PrivateKey:
    """Read a private key (PEM, PKCS #8) that this installation trusts.

    Parameters
    ----------
    ask : callable
        Asks for the pass phrase of a key that has one.

    Raises
    ------
    SigningError
        The file is no such key, others than its owner may read it, its pass phrase is wrong, or
        `release_keys.toml` does not name its public key.
    """
    try:
        mode, blob = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise SigningError(path, error.strerror or str(error), "name the key file") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SigningError(path, "others than its owner may use it", f"chmod 600 {path}")
    make = "make one with `openssl genpkey -algorithm ed25519 -aes256`"
    try:
        locked = b"ENCRYPTED PRIVATE KEY" in blob
        key = load_pem_private_key(blob, ask().encode() if locked else None)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        reason = "is no private key, or the pass phrase is wrong"
        raise SigningError(path, reason, make) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(path, "is a key of another algorithm than Ed25519", make)
    public = key.public_key().public_bytes_raw()
    if public not in {signer.public_key for signer in read_keys(PACKAGE / KEYS_FILE)}:
        raise SigningError(
            path, f"its public key {public.hex()} is not in {KEYS_FILE}",
            f"add it to {PACKAGE / KEYS_FILE} under review, then lock",
        )  # fmt: skip
    return key


def refuse_unsigned(folder: Path) -> None:
    """Refuse a development lock into the installed release of an installation that holds keys."""
    inside = folder.exists() and folder.samefile(PACKAGE)
    if inside and read_keys(PACKAGE / KEYS_FILE):
        raise SigningError(
            folder, f"{KEYS_FILE} names keys, so the installed release is a signed one",
            "sign with --key, or lock into another folder",
        )  # fmt: skip
