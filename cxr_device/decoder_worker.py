"""Decoder worker: the process in which native decoders run, and the parent's end of it.

Streams and frames cross in shared memory, requests and answers as JSON lines. The process loads
nothing but NumPy and imagecodecs, holds its limits, and is killed when a stream takes too long.
"""

import contextlib
import json
import mmap
import os
import resource
import select
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from cxr_device import run_length

__all__ = [
    "DECODERS", "MEMORY_LIMIT", "REGION", "RLE", "StreamError", "Worker", "WorkerDiedError",
]  # fmt: skip

RLE: Final = "1.2.840.10008.1.2.5"
"""RLE Lossless (PS3.5 annex G)."""

DECODERS: Final = {
    "1.2.840.10008.1.2.4.50": "jpeg8",
    "1.2.840.10008.1.2.4.51": "jpeg8",
    "1.2.840.10008.1.2.4.57": "jpeg8",
    "1.2.840.10008.1.2.4.70": "jpeg8",
    "1.2.840.10008.1.2.4.80": "jpegls",
    "1.2.840.10008.1.2.4.81": "jpegls",
    "1.2.840.10008.1.2.4.90": "jpeg2k",
    "1.2.840.10008.1.2.4.91": "jpeg2k",
}
"""One decoder of imagecodecs for each transfer syntax of the JPEG families."""


MEMORY_LIMIT: Final = 1536 * 2**20
"""Bytes of address space that the worker may hold."""
START_LIMIT_S: Final = 30.0
"""Seconds for the process to start; it takes 0.3 on an idle core."""
_THREADS: Final = 2
"""Threads of the JPEG 2000 decoder, the slowest one; the frame does not depend on them. Each takes
address space of its own, so more of them would take from the largest film."""
REGION: Final = 72 * 2**20
"""Bytes of shared memory each way: 6,000 x 6,000 pixels of 2 bytes; a stream of 64 MiB."""


class StreamError(Exception):
    """The decoder refused the stream, or gave no frame of the header's size."""


class WorkerDiedError(Exception):
    """The worker ended, or was ended, while it decoded."""


class Worker:
    """The parent's end of one worker process."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.memfd_create("frames"), "r+b")  # a film on no disk
        self._file.truncate(2 * REGION)
        self._shared = mmap.mmap(self._file.fileno(), 2 * REGION)
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(  # noqa: S603  # this interpreter, this module
            [sys.executable, "-m", "cxr_device.decoder_worker", str(self._file.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(self._file.fileno(),),
            env=environment,
        )
        self._ready = False
        self.end = weakref.finalize(self, _end, self._process, self._shared, self._file)
        """Kill the process; called once, also when nobody holds the worker any more."""

    def decode(
        self,
        stream: list[memoryview],
        syntax: str,
        shape: tuple[int, int, int],
        limit_s: float,
    ) -> NDArray[Any]:
        """Hand one stream over, in parts, and wait for its frame, at most `limit_s` seconds."""
        length = 0
        for part in stream:
            self._shared[REGION + length : REGION + length + len(part)] = part
            length += len(part)
        request = {"syntax": syntax, "shape": shape, "length": length}
        try:
            if not self._ready:  # a busy host may start a process slowly: not the stream's fault
                self._answer(START_LIMIT_S)
                self._ready = True
            self._ask(request)
            answer = self._answer(limit_s)
        except (BrokenPipeError, ConnectionError) as error:
            raise WorkerDiedError("worker", "the decoder died before it began") from error
        if "error" in answer:
            raise StreamError(str(answer["error"]))
        rows, columns, width = shape
        count = rows * columns
        flat = np.frombuffer(self._shared, dtype=f"<u{width}", count=count).copy()
        return flat.reshape(rows, columns)

    def _ask(self, request: dict[str, Any]) -> None:
        inlet, _ = self._pipes()
        inlet.write(json.dumps(request).encode() + b"\n")
        inlet.flush()

    def _answer(self, limit_s: float) -> dict[str, Any]:
        """Wait for one line of the worker, or for its death."""
        _, outlet = self._pipes()
        line, deadline = b"", time.monotonic() + limit_s
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([outlet], [], [], left)[0]:
                raise WorkerDiedError("time limit", f"the decoder took more than {limit_s:g} s")
            part = os.read(outlet.fileno(), 4096)
            if not part:
                code = self._process.wait()
                name = signal.Signals(-code).name if code < 0 else f"exit {code}"
                raise WorkerDiedError(name, "the decoder died on this stream")
            line += part
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        inlet, outlet = self._process.stdin, self._process.stdout
        if inlet is None or outlet is None:
            raise WorkerDiedError("worker", "the decoder has no pipes")
        return inlet, outlet


def _end(process: subprocess.Popen[bytes], shared: mmap.mmap, file: IO[bytes]) -> None:
    """Kill a worker and free its memory."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()
    shared.close()
    file.close()


def _fill(
    shared: mmap.mmap, *, stream: memoryview, syntax: str, shape: tuple[int, int, int]
) -> None:
    """Decode in the worker, into the shared memory where the parent looks for the frame."""
    rows, columns, width = shape
    flat = np.frombuffer(shared, dtype=f"<u{width}", count=rows * columns)
    frame = flat.reshape(rows, columns)
    if syntax == RLE:
        run_length.unpack(stream, into=flat.view(np.uint8).reshape(-1, width))
        return
    import imagecodecs  # noqa: PLC0415  # only the worker pays for it

    decode = getattr(imagecodecs, f"{DECODERS[syntax]}_decode")
    options = {"numthreads": _THREADS} if DECODERS[syntax] == "jpeg2k" else {}
    frame.fill(0)  # what a decoder leaves out of a frame is not the film before it
    try:
        decode(stream, out=frame, **options)
    except ValueError:  # no frame of this shape and type: signed, of fewer bits, or a wrong one
        np.copyto(frame, _as_stated(np.asarray(decode(stream, **options)), shape))


def _as_stated(frame: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    """Give stored values the type that the header states; another frame is an error."""
    rows, columns, width = shape
    if frame.shape != (rows, columns) or frame.dtype.kind not in "ui":
        message = f"{frame.dtype} {frame.shape}, the header asks for {rows} x {columns}"
        raise ValueError(message)
    if frame.dtype.itemsize > width:
        message = f"{frame.dtype}, the header asks for {width} bytes a pixel"
        raise ValueError(message)
    if frame.dtype.kind == "i":
        return frame.astype(f"<i{width}").view(f"<u{width}")
    return frame.astype(f"<u{width}", copy=False)


def _requests() -> Iterator[dict[str, Any]]:
    for line in sys.stdin.buffer:
        yield json.loads(line)


def _serve(descriptor: int) -> None:
    """Run the worker: limits first, then one answer a request until the parent goes away."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    shared = mmap.mmap(descriptor, 2 * REGION)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a decoder prints is no answer
    import imagecodecs  # noqa: F401, PLC0415  # before the first stream's time runs

    answers.write(b"{}\n")
    for request in _requests():
        try:
            stream = memoryview(shared)[REGION : REGION + request["length"]]
            _fill(shared, stream=stream, syntax=request["syntax"], shape=tuple(request["shape"]))
            answer = {}
        except Exception as error:  # noqa: BLE001  # the answer says which
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
