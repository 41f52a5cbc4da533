"""Tests of the memory of a training process."""

import platform
import subprocess
import sys

import pytest

from cxr_device.training.memory import keep_freed_memory
from verification import verifies

FAULTS = """
import resource, sys
import numpy as np
from cxr_device.training.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.empty(2**26, dtype=np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
assert keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
@verifies("SRS-365@212daae0", level="unit")
def test_freed_memory_is_kept() -> None:
    told = subprocess.run(  # noqa: S603
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, timeout=120
    )
    before, after = map(int, told.stdout.split())
    assert after * 10 < before


@verifies("SRS-365@212daae0", level="unit")
def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
