"""Verification: was the device built right? Items, links, outcomes and the gate on them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    verifies = pytest.mark.verifies
    """Mark a test as verifying items: `@verifies("SRS-012@1a009e7a", "RC-004@649915bb")`."""

__all__ = ["verifies"]


def __getattr__(name: str) -> object:
    """Load pytest when a test is marked, not when the command starts (PEP 562)."""
    if name != "verifies":
        raise AttributeError(name)
    import pytest  # noqa: PLC0415

    return pytest.mark.verifies
