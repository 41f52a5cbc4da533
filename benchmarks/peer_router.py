"""dicom-ai-router with points at which it kills itself; run by the interpreter that has it.

    python benchmarks/peer_router.py CONFIG POINT      POINT 0 kills never; each point is named

Only calls of its own functions are wrapped: what it writes, commits and sends, before and after.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from airouter import pipeline, router, sender, store
from airouter.config import load_config
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.association import Association

POINT = int(sys.argv[2])
_lock, _reached = threading.Lock(), 0


def reach(name: str) -> None:
    """Tell a point, and end the process where it is the chosen one."""
    global _reached  # noqa: PLW0603
    with _lock:
        _reached += 1
        print(f"point {_reached} {name}", flush=True)
        if _reached == POINT:
            os.kill(os.getpid(), signal.SIGKILL)


def wrap(owner: Any, name: str, say: Callable[..., str]) -> None:  # noqa: ANN401
    """Put a point before and after each call of a function."""
    inner = getattr(owner, name)

    def outer(*args: Any, **named: Any) -> Any:  # noqa: ANN401
        said = say(*args, **named)
        reach(f"before {said}")
        found = inner(*args, **named)
        reach(f"after {said}")
        return found

    setattr(owner, name, outer)


class Os:
    """The `os` of its receiver, with points around the rename of a film."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(os, name)

    @staticmethod
    def replace(source: str, target: str) -> None:
        """Rename."""
        reach("before film renamed")
        os.replace(source, target)  # noqa: PTH105
        reach("after film renamed")


router.os = Os()
wrap(store.Store, "instance_received", lambda *_: "film recorded")
wrap(store.Store, "set_state", lambda _, uid, state, **__: f"state {state}")  # noqa: ARG005
wrap(store.Store, "put_crosswalk", lambda *_: "pseudonyms recorded")
wrap(pipeline.ai_client, "infer", lambda *_: "inference")
wrap(sender, "_send_once", lambda *_: "sending")
_send = Association.send_c_store


def _send_c_store(association: Association, dataset: Dataset, *args: Any) -> Any:  # noqa: ANN401
    found = _send(association, dataset, *args)
    reach(f"{dataset.Modality} taken")
    return found


Association.send_c_store = _send_c_store
_start = router.AE.start_server


def _start_server(entity: Any, address: Any, *, evt_handlers: Any, **named: Any) -> Any:  # noqa: ANN401
    handlers = [*evt_handlers, (evt.EVT_DIMSE_SENT, lambda _: reach("response sent"))]
    return _start(entity, address, evt_handlers=handlers, **named)


router.AE.start_server = _start_server
running = router.Router(load_config(sys.argv[1])).start()
print("listening", flush=True)
signal.sigwait({signal.SIGTERM})
running.stop()
