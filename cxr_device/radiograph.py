"""The image as it narrows: Radiograph -> AcceptedRadiograph -> ModelInput.

Each is frozen, and only the stage that checked the one before makes the next, so the network
cannot be handed a film that no guard has seen. Fields carry the names of their DICOM keywords.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["AcceptedRadiograph", "Code", "LookupTable", "ModelInput", "Radiograph"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded entry (PS3.3 table 8.8-1): CodeValue and CodingSchemeDesignator."""

    value: str
    scheme: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupTable:
    """A modality or VOI lookup table (PS3.3 C.11.1, C.11.2) as stored."""

    descriptor: tuple[int, ...]
    """Number of entries, first stored value mapped, bits of an entry."""
    data: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Radiograph:
    """One DICOM instance as its header states it: nothing judged, nothing decoded, no patient.

    Text is None where the element is absent and "" where it is empty; a number is None in both
    cases. Several values stand as a tuple, or joined by a backslash where one is expected.
    Of the patient's identity only whether there is one is kept.
    """

    transfer_syntax_uid: str
    media_storage_sop_class_uid: str
    sop_class_uid: str | None
    sop_instance_uid: str | None
    study_instance_uid: str | None
    series_instance_uid: str | None
    modality: str | None
    presentation_intent_type: str | None
    image_type: tuple[str, ...]
    body_part_examined: str | None
    anatomic_region: tuple[Code, ...]
    view_position: str | None
    view_codes: tuple[Code, ...]
    patient_position: str | None
    series_description: str | None
    protocol_name: str | None
    patient_age: str | None
    patient_birth_date: str | None
    study_date: str | None
    photometric_interpretation: str | None
    samples_per_pixel: int | None
    presentation_lut_shape: str | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None
    rows: int | None
    columns: int | None
    pixel_aspect_ratio: tuple[str, ...]
    number_of_frames: int | None
    burned_in_annotation: str | None
    has_overlay: bool
    image_laterality: str | None
    laterality: str | None
    patient_orientation: tuple[str, ...]
    pixel_intensity_relationship: str | None
    rescale_slope: float | None
    rescale_intercept: float | None
    modality_lut: LookupTable | None
    window_center: tuple[float, ...]
    window_width: tuple[float, ...]
    voi_lut_function: str | None
    voi_lut: LookupTable | None
    pixel_padding_value: int | None
    pixel_padding_range_limit: int | None
    imager_pixel_spacing: tuple[float, ...]
    """Millimetres; between rows, between columns."""
    pixel_spacing: tuple[float, ...]
    """Millimetres; between rows, between columns."""
    manufacturer: str | None
    has_patient_id: bool
    pixel_data: memoryview | None
    """PixelData's value as it lies in the file; for encapsulated syntaxes, its fragments."""
    pixel_data_is_encapsulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRadiograph:
    """A radiograph that every guard let through, decoded, with what its grey scale needs."""

    stored: NDArray[np.uint8] | NDArray[np.uint16]
    """Stored values, shape (rows, columns); signed ones are shifted to start at 0."""
    maximum: int
    """Largest value that the stored bits can hold."""
    inverted: bool
    """MONOCHROME1: the largest value is black."""
    table: NDArray[np.uint16] | None = None
    """Grey scale by stored value, shape (maximum + 1,); None where it is affine and increasing."""
    table_maximum: int = 0
    """Largest level of `table`."""
    padding: tuple[int, int] | None = None
    """Lowest and highest stored value that is padding, as shifted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """What the network sees."""

    pixels: NDArray[np.float32]
    """Standardized grey levels, shape (1, 1, size, size)."""
