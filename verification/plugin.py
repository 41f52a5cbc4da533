"""The pytest plugin: records which test verifies which item, and how it ended."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "verifies(*links): the items a test verifies, with hashes")
