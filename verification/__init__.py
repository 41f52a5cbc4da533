"""Verification: was the device built right? Items, links, outcomes and the gate on them."""

import pytest

__all__ = ["verifies"]

verifies = pytest.mark.verifies
"""Mark a test as verifying items: `@verifies("SRS-012@1a009e7a", "RC-004@649915bb")`."""
