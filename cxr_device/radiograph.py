"""placeholder"""
from dataclasses import dataclass
import numpy as np
from numpy.typing import NDArray

@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRadiograph:
    stored: NDArray[np.uint8] | NDArray[np.uint16]
    maximum: int
    inverted: bool
    table: NDArray[np.uint16] | None = None
    table_maximum: int = 65534
    padding: tuple[int, int] | None = None

@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    pixels: NDArray[np.float32]
