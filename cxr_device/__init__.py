"""cxr_device: flags suspected pneumonia on adult frontal chest radiographs.

`import cxr_device` loads neither a network runtime nor a DICOM reader: the public names are
resolved on first use (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cxr_device.device import Device
    from cxr_device.errors import CxrDeviceError, IntegrityError
    from cxr_device.result import Analyzed, Failed, Rejected, Result

__all__ = [
    "Analyzed",
    "CxrDeviceError",
    "Device",
    "Failed",
    "IntegrityError",
    "Rejected",
    "Result",
    "__version__",
]

__version__ = "0.1.0"

_HOME = {
    "Analyzed": "result",
    "CxrDeviceError": "errors",
    "Device": "device",
    "Failed": "result",
    "IntegrityError": "errors",
    "Rejected": "result",
    "Result": "result",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use."""
    if name in _HOME:
        return getattr(import_module(f"cxr_device.{_HOME[name]}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    """List the public names."""
    return list(__all__)
