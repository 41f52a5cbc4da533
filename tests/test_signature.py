"""Ed25519: the vectors of RFC 8032, another implementation, and what must not pass."""

from hashlib import sha512
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_device.signature import Signer, read_keys, verify
from verification import verifies

RFC_8032_7_1 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]
"""Public key, message and signature of TEST 1 to 3."""
ORDER = 2**252 + 27742317777372353535851937790883648493


@verifies("SRS-322@025ff24b", "RC-321@f26a91e6", level="unit")
@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032_7_1)
def test_the_vectors_of_rfc_8032_verify_and_no_neighbour_does(
    key: str, message: str, signature: str
) -> None:
    public, said, signed = (bytes.fromhex(text) for text in (key, message, signature))
    assert verify(signed, said, public_key=public)
    assert not verify(signed, said + b"\0", public_key=public)
    for bit in range(3, 512, 37):
        turned = bytearray(signed)
        turned[bit // 8] ^= 1 << bit % 8
        assert not verify(bytes(turned), said, public_key=public)
    for bit in range(5, 256, 37):
        other = bytearray(public)
        other[bit // 8] ^= 1 << bit % 8
        assert not verify(signed, said, public_key=bytes(other))


@verifies("SRS-322@025ff24b", "RC-321@f26a91e6", level="unit")
def test_a_signature_has_one_form_and_one_length() -> None:
    key, message, signature = (bytes.fromhex(text) for text in RFC_8032_7_1[1])
    scalar = int.from_bytes(signature[32:], "little") + ORDER  # the same modulo the order
    assert not verify(signature[:32] + scalar.to_bytes(32, "little"), message, public_key=key)
    for wrong in (b"", signature[:-1], signature + b"\0"):
        assert not verify(wrong, message, public_key=key)
    assert not verify(signature, message, public_key=key[:-1])
    prime = (2**255 - 19).to_bytes(32, "little")  # y = 0 in another form
    assert not verify(signature, message, public_key=prime)
    no_root = (2).to_bytes(32, "little")  # (y2 - 1) / (d y2 + 1) is no square at y = 2
    assert not verify(signature, message, public_key=no_root)
    minus_zero = (1 | 1 << 255).to_bytes(32, "little")  # x = 0 with the sign of -0
    assert not verify(minus_zero + signature[32:], message, public_key=key)


@verifies("SRS-322@025ff24b", "RC-321@f26a91e6", level="unit")
@settings(max_examples=25, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=300), data=st.data())
def test_another_implementation_agrees(seed: bytes, message: bytes, data: st.DataObject) -> None:
    crypto = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    private = crypto.Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key(), private.sign(message)
    key = public.public_bytes_raw()
    assert verify(signature, message, public_key=key)
    changed = bytearray(signature)
    changed[data.draw(st.integers(0, 63))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        public.verify(bytes(changed), message)
        theirs = True
    except Exception:  # noqa: BLE001  # InvalidSignature, or bytes that are no point
        theirs = False
    assert verify(bytes(changed), message, public_key=key) == theirs


@verifies("SRS-322@025ff24b", level="unit")
def test_keys_are_read_and_a_wrong_entry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    key = RFC_8032_7_1[0][0]
    path.write_text(f'[[keys]]\nholder = "a"\npublic_key = "{key}"\n')
    assert read_keys(path) == (Signer(holder="a", public_key=bytes.fromhex(key)),)
    path.write_text("keys = []\n")
    assert read_keys(path) == ()
    for text, words in (
        (f'[[keys]]\nholder = "a"\npublic_key = "{key[2:]}"\n', "the key of a has 31 bytes"),
        ('[[keys]]\nholder = "a"\npublic_key = "zz"\n', "hexadecimal"),
        (f'[[keys]]\npublic_key = "{key}"\n', r"accepted: holder, public_key"),
        ("keys = [", "Invalid|Unclosed|value"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            read_keys(path)


P = 2**255 - 19
IDENTITY, MINUS_ONE = (1).to_bytes(32, "little"), (P - 1).to_bytes(32, "little")
"""Points of order 1 and 2: (0, 1) and (0, -1)."""


def message_for(key: bytes, remainder: int, modulus: int) -> bytes:
    """Return a message whose challenge, with R the identity, leaves `remainder`."""
    for number in range(1000):
        message = str(number).encode()
        digest = sha512(IDENTITY + key + message).digest()
        if int.from_bytes(digest, "little") % ORDER % modulus == remainder:
            return message
    raise AssertionError


@verifies("SRS-322@025ff24b", "RC-321@f26a91e6", level="unit")
def test_the_equation_holds_in_both_coordinates() -> None:
    # With S = 0 and R the identity the equation says that the challenge times the key is neutral.
    none = bytes(32)
    assert verify(IDENTITY + none, b"any", public_key=IDENTITY) is True
    assert verify(IDENTITY + none, message_for(MINUS_ONE, 0, 2), public_key=MINUS_ONE) is True
    assert verify(IDENTITY + none, message_for(MINUS_ONE, 1, 2), public_key=MINUS_ONE) is False


@verifies("SRS-322@025ff24b", "RC-321@f26a91e6", level="unit")
def test_a_number_has_one_encoding() -> None:
    none = bytes(32)
    order = ORDER.to_bytes(32, "little")  # equal to 0 modulo the order
    assert verify(IDENTITY + order, b"any", public_key=IDENTITY) is False
    minus_zero = (1 | 1 << 255).to_bytes(32, "little")  # x = 0 with the sign of an odd x
    assert verify(IDENTITY + none, b"any", public_key=minus_zero) is False
    for y, holds in ((0, True), (P, False)):  # a point of order 4, and y not reduced
        key = y.to_bytes(32, "little")
        assert verify(IDENTITY + none, message_for(key, 0, 4), public_key=key) is holds


@verifies("SRS-322@025ff24b", "RC-321@f26a91e6", level="unit")
def test_what_has_another_length_is_false() -> None:
    assert verify(bytes(63), b"", public_key=IDENTITY) is False
    assert verify(IDENTITY + bytes(32), b"any", public_key=IDENTITY + b"\0") is False
