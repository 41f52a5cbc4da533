"""The label: what the intended use says in numbers and words; every value lives in release.toml."""

from dataclasses import dataclass

from cxr_device.vocabulary import Claim

__all__ = ["Label"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Values of the intended use, locked with the release and tested on both sides."""

    claim: Claim
    intended_use: str
    limitations: tuple[str, ...]
    min_age_years: int
    """Device law counts under 22 as paediatric."""
    max_age_years: int
    """Older ages in headers are mostly entry errors (ChestX-ray14 holds some over 400)."""
    age_agreement_years: int
    """PatientAge and the age from PatientBirthDate may differ by this much."""
    min_side_px: int
    warn_side_px: int
    """Pixels of the shorter side; under it the film is read with a warning."""
    max_side_px: int
    min_aspect_ratio: float
    """Columns by rows."""
    max_aspect_ratio: float
    min_spacing_mm: float
    max_spacing_mm: float
    min_grey_levels: int
    max_single_level_share: float
    max_file_mib: int
    lossy_accepted: bool
    """Whether lossy transfer syntaxes are read with a warning, or refused."""
