"""Memory of a training process: what one step frees is kept for the next.

The tensors of a step are larger than what glibc keeps by itself; it returns each to the system,
which clears every page again at the next step. On a CPU that costs more than a third of a step
(`benchmarks/bench_training_step.py`).
"""

import ctypes
import platform
from typing import Final

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_MAX: Final = -4
"""Parameters of mallopt(3)."""

_LARGEST: Final = 2**31 - 1
_AHEAD: Final = 256 * 2**20
"""Bytes that the heap grows by more than asked."""


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory for this process; returns whether it does.

    Another allocator or another system is left as it is.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _LARGEST), (_TOP_PAD, _AHEAD))
    return all(mallopt(parameter, value) == 1 for parameter, value in wanted)
