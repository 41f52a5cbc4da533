"""Fixtures of the device's tests: the locked release, one loaded device, the shared data."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr_device import Device
from cxr_device.label import Label
from cxr_device.release import Release


@pytest.fixture(scope="session")
def release() -> Release:
    return Release.load()


@pytest.fixture(scope="session")
def label(release: Release) -> Label:
    return release.label


@pytest.fixture(scope="session")
def device() -> Iterator[Device]:
    loaded = Device.load()
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CXR_SHARED_DATA", str(beside)))
    if not folder.is_dir():
        pytest.skip("shared data is not here (CXR_SHARED_DATA)")
    return folder
