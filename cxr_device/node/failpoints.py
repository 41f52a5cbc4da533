"""Failpoints: the places at which a crash test ends the node, as a power cut or a kill would.

Inert unless the environment names a point: `CXR_NODE_FAILPOINT=N` ends the process by SIGKILL when
it reaches its N-th point, and lists each point that it reaches on stderr (0 lists and never ends).
Every write, flush, rename, commit, unlink and send on the way of a film is a point.
"""

import os
import signal
import threading
from typing import Final

__all__ = ["ENVIRONMENT", "reach"]

ENVIRONMENT: Final = "CXR_NODE_FAILPOINT"

_lock = threading.Lock()
_reached = 0


def reach(point: str) -> None:
    """Pass a point; end the process here where the environment says so."""
    asked = os.environ.get(ENVIRONMENT)
    if asked is None:
        return
    global _reached  # noqa: PLW0603  # the points of a process are counted together
    with _lock:
        _reached += 1
        os.write(2, f"failpoint {_reached} {point}\n".encode())
        if _reached == int(asked):
            os.kill(os.getpid(), signal.SIGKILL)
