"""The release: the locked device as `release.toml` states it, checked against what is installed."""

import tomllib
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cxr_device.calibration import Calibration
from cxr_device.decision import OperatingPoint
from cxr_device.errors import IntegrityError, NoReleaseError
from cxr_device.label import Label
from cxr_device.pixel_gate import CONTENTS, GateThreshold
from cxr_device.signature import KEYS_FILE, Signer, read_keys, verify
from cxr_device.vocabulary import Claim

__all__ = ["PACKAGE", "PixelGate", "Release", "SelfTest"]

PACKAGE: Final = Path(__file__).parent
"""The installed package: every locked file lies in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """A known film and the score that the locked device gives it."""

    film: Path
    score: float
    """Logits."""
    tolerance: float
    """Logits; processors round differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelGate:
    """The small network that looks at what the pixels show, and its locked threshold."""

    graph: Path
    graph_sha256: str
    threshold: GateThreshold
    rule: str
    """How `tune` decided the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Everything that makes this device this device."""

    name: str
    version: str
    label: Label
    architectures: tuple[str, ...]
    side: int
    """Pixels; the networks see the device's input reduced to it."""
    score_heads: tuple[str, ...]
    """Heads of the network whose mean logit is the score."""
    heads: tuple[str, ...]
    calibration: Calibration
    operating_point: OperatingPoint
    operating_point_rule: str
    weights: Path
    graph: Path
    weights_sha256: str
    graph_sha256: str
    preprocessing_sha256: str
    config_sha256: str
    signer: Signer | None
    """Who signed the release; None: a development release, signed by nobody."""
    pixel_gate: PixelGate
    self_test: SelfTest
    training: dict[str, Any]
    """What the weights were trained on, as `info` prints it."""

    @classmethod
    def load(cls, folder: Path = PACKAGE) -> "Release":
        """Read `release.toml`, verify its signature, and hold every file that it locks.

        A release that states no key is a development release. As the installed one it is taken
        only where the installation trusts no key at all.

        Raises
        ------
        IntegrityError
            A file is missing, or is not the one that was locked; the signature is not that of a
            key which the installation trusts.
        NoReleaseError
            A folder other than the installed package holds no `release.toml`.
        """
        release = cls._read(folder)
        for what, path, locked in (
            ("weights", release.weights, release.weights_sha256),
            ("network graph", release.graph, release.graph_sha256),
            ("preprocessing", folder / "preprocessing.py", release.preprocessing_sha256),
            ("pixel gate", release.pixel_gate.graph, release.pixel_gate.graph_sha256),
        ):
            found = sha256(_bytes(path)).hexdigest()
            if found != locked:
                raise IntegrityError(f"{what} ({path.name})", found=found, locked=locked)
        return release

    def hold_code(self) -> None:
        """Hold the preprocessing that runs, the installed one, against what this release locks.

        Raises
        ------
        IntegrityError
            The release was locked with other preprocessing.
        """
        found = sha256(_bytes(PACKAGE / "preprocessing.py")).hexdigest()
        if found != self.preprocessing_sha256:
            raise IntegrityError(
                "the installed preprocessing", found=found, locked=self.preprocessing_sha256
            )

    @classmethod
    def _read(cls, folder: Path) -> "Release":
        blob = _configuration(folder)
        found = sha256(blob).hexdigest()
        locked = _bytes(folder / "release.sha256").decode("ascii", "replace").strip()
        if found != locked:
            raise IntegrityError("configuration (release.toml)", found=found, locked=locked)
        try:
            table = tomllib.loads(blob.decode("utf-8"))
            signer = _signer(table.get("signature"), blob, folder)
            return cls._from_table(table, folder, found, signer)
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(
                "release.toml", found=repr(error), locked="a whole file"
            ) from error

    @classmethod
    def _from_table(
        cls, table: dict[str, Any], folder: Path, digest: str, signer: Signer | None
    ) -> "Release":
        label, network, test = table["label"], table["network"], table["self_test"]
        point = table["operating_point"]
        return cls(
            name=table["device"]["name"],
            version=table["device"]["version"],
            label=_label(label),
            architectures=tuple(network["architectures"]),
            side=network["side"],
            heads=tuple(network["heads"]),
            score_heads=tuple(network["score_heads"]),
            calibration=Calibration(**table["calibration"]),
            operating_point=OperatingPoint(
                identifier=point["identifier"], threshold=point["threshold"]
            ),
            operating_point_rule=point["rule"],
            weights=folder / network["weights"],
            graph=folder / network["graph"],
            weights_sha256=network["weights_sha256"],
            graph_sha256=network["graph_sha256"],
            preprocessing_sha256=table["preprocessing"]["sha256"],
            config_sha256=digest,
            signer=signer,
            pixel_gate=_pixel_gate(table["pixel_gate"], folder),
            self_test=SelfTest(
                film=folder / test["film"], score=test["score"], tolerance=test["tolerance"]
            ),
            training=table["training"],
        )


def _signer(stated: dict[str, str] | None, blob: bytes, folder: Path) -> Signer | None:
    """Find who signed a release file; None for a development release."""
    try:
        trusted = {signer.public_key: signer for signer in read_keys(PACKAGE / KEYS_FILE)}
    except OSError as error:
        raise IntegrityError(KEYS_FILE, found=str(error.strerror), locked="present") from error
    if stated is None:
        if trusted and folder == PACKAGE:
            raise IntegrityError("the release", found="unsigned", locked=f"a key of {KEYS_FILE}")
        return None
    signer = trusted.get(bytes.fromhex(stated["public_key"]))
    if signer is None:
        found = f"of key {stated['public_key'][:16]}"
        raise IntegrityError("the signature", found=found, locked=f"a key of {KEYS_FILE}")
    if not verify(_bytes(folder / "release.sig"), blob, public_key=signer.public_key):
        raise IntegrityError(
            "the signature", found="not that of release.toml", locked=f"that of {signer.holder}"
        )
    return signer


def _pixel_gate(table: dict[str, Any], folder: Path) -> PixelGate:
    if tuple(table["contents"]) != CONTENTS:
        message = f"pixel gate: contents {table['contents']} are not {list(CONTENTS)}"
        raise ValueError(message)
    return PixelGate(
        graph=folder / table["graph"],
        graph_sha256=table["graph_sha256"],
        threshold=GateThreshold(upright=table["threshold"]),
        rule=table["rule"],
    )


def _label(table: dict[str, Any]) -> Label:
    unknown = set(table) - {field.name for field in fields(Label)}
    if unknown:
        message = f"unknown label values {sorted(unknown)}"
        raise ValueError(message)
    return Label(
        **{
            **table,
            "claim": Claim(table["claim"]),
            "limitations": tuple(table["limitations"]),
        }
    )


def _configuration(folder: Path) -> bytes:
    """Read `release.toml`; a folder that was named, and has none, is no damaged installation."""
    try:
        return _bytes(folder / "release.toml")
    except IntegrityError as error:
        if folder != PACKAGE and isinstance(error.__cause__, FileNotFoundError):
            raise NoReleaseError(folder) from error
        raise


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise IntegrityError(path.name, found=reason, locked="present") from error
