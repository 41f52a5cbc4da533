"""Coverage-guided fuzzing of what the node reads from its peers (atheris, libFuzzer).

    PYTHONPATH=tests python tests/fuzz/fuzz_receive.py -max_total_time=60

A running server on loopback gets each input: the first byte says whether it is a conversation from
its first byte, what follows a granted association, or the data set of a C-STORE. A data set must
get a status that the node has; no thread may end by an exception, the server must go on, threads
must end, and what the queue names must lie on the disk. Anything else is a crash.
"""

import errno
import shutil
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import atheris

with atheris.instrument_imports(include=["cxr_device.node", "cxr_device.intake", "pynetdicom"]):
    from pynetdicom import evt
    from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, N_ACTION_RQ, DIMSEMessage
    from pynetdicom.dimse_primitives import C_ECHO, C_STORE, N_ACTION
    from pynetdicom.pdu import P_DATA_TF

    from cxr_device.node.queue import Queue
    from cxr_device.node.server import Server
    from cxr_device.node.services import PUSH_MODEL, PUSH_MODEL_INSTANCE, STATUSES, VERIFICATION

from builders import DX, to_bytes
from peers import HOST, associate, film, wait
from pydicom.uid import ImplicitVRLittleEndian
from receiver import receiver

LONGEST = 8192
PATIENCE_S = 10.0
MOST_THREADS = 64
GONE = {errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE}
CONTEXT = 1
"""Presentation context of the storage class in the association that the seeds ask for."""
PDU_BYTES = 16382


@contextmanager
def ended_by_peer() -> Iterator[None]:
    """Take a connection that the server ended as an end."""
    try:
        yield
    except OSError as error:
        if error.errno not in GONE:
            raise


def unit(answers: BinaryIO) -> bytes:
    """Read a whole PDU: type, length and what follows (PS3.8 9.3.1)."""
    head = answers.read(6)
    return head + answers.read(int.from_bytes(head[2:], "big"))


class Target:
    """A server with its queue in a scratch folder, and the first words of an association."""

    def __init__(self, server: Server, queue: Queue) -> None:
        self.server, self.queue = server, queue
        self.failures: list[str] = []
        threading.excepthook = self._failed
        self.request = self._association_request()
        self.inputs = 0

    def _failed(self, failed: threading.ExceptHookArgs) -> None:
        """Keep why a thread ended, where code of the device is to blame.

        pynetdicom's reactor ends by an exception where a peer breaks the protocol; its association
        ends with it, and nothing else.
        """
        frames = [frame.filename for frame in traceback.extract_tb(failed.exc_traceback)]
        if "cxr_device" in frames[-1] or not any("pynetdicom" in name for name in frames):
            self.failures.append("".join(traceback.format_exception(failed.exc_value)))

    def _association_request(self) -> bytes:
        """Bytes with which a peer asks for an association, as pynetdicom writes them."""
        sent: list[bytes] = []
        associate(
            self.server.port,
            syntaxes=(ImplicitVRLittleEndian,),
            handlers=[(evt.EVT_DATA_SENT, lambda event: sent.append(event.data))],
        ).release()
        return sent[0]

    def talk(self, *words: bytes, replies: int = 0) -> bytes:
        """Say words, the first one alone until it was answered; what came back until the end."""
        heard, address = bytearray(), (HOST, self.server.port)
        with (
            socket.create_connection(address, timeout=PATIENCE_S) as peer,
            peer.makefile("rb") as answers,
            ended_by_peer(),
        ):
            for at, word in enumerate(words):
                peer.sendall(word)
                if at + 1 < len(words):
                    heard += unit(answers)
            for _ in range(replies):
                heard += unit(answers)
            peer.shutdown(socket.SHUT_WR)
            heard += answers.read()
        return bytes(heard)

    def check(self) -> None:
        """Hold the server against what must be true after every input."""
        self.inputs += 1
        if self.failures or not self.server.is_alive():
            raise AssertionError(self.failures or "the server ended")
        if self.inputs % 64:
            return
        wait(lambda: threading.active_count() <= MOST_THREADS, PATIENCE_S)
        films = self.queue.folder / "films"
        wait(lambda: sum(self.queue.counts().values()) == len(list(films.iterdir())), PATIENCE_S)


def pdus(message: DIMSEMessage, request: C_STORE | C_ECHO | N_ACTION) -> bytes:
    """P-DATA-TF of a message, one after the other."""
    message.primitive_to_message(request)
    return b"".join(_encoded(part) for part in message.encode_msg(CONTEXT, PDU_BYTES))


def _encoded(part: object) -> bytes:
    unit = P_DATA_TF()
    unit.from_primitive(part)  # type: ignore[arg-type]
    return bytes(unit.encode())


def store_request(data: bytes) -> bytes:
    """A C-STORE request of any bytes."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = DX
    request.AffectedSOPInstanceUID = film(1).SOPInstanceUID  # that of the seeds
    request.DataSet = BytesIO(data)
    return pdus(C_STORE_RQ(), request)


def status(heard: bytes) -> int | None:
    """Status of a C-STORE response (0000,0900) in what was heard; None where there is none."""
    at = heard.rfind(b"\x00\x00\x00\x09\x02\x00\x00\x00")
    return int.from_bytes(heard[at + 8 : at + 10], "little") if at >= 0 else None


def judge(data: bytes) -> None:
    """Say an input to the server and hold the outcome against what may be."""
    kind, rest = (data[0] % 3, data[1:]) if data else (0, b"")
    match kind:
        case 0:
            TARGET.talk(rest)
        case 1:
            TARGET.talk(TARGET.request, rest)
        case 2 if rest:  # a request that announces a data set and sends none is waited for
            found = status(TARGET.talk(TARGET.request, store_request(rest), replies=1))
            if found not in STATUSES:
                message = f"a data set got the status {found}"
                raise AssertionError(message)
    TARGET.check()


def seeds() -> Iterator[bytes]:
    """Conversations that are right, and the header of a film."""
    whole = to_bytes(film(1, PatientAge="010Y"))
    header = whole[144 + int.from_bytes(whole[140:144], "little") :][:2000]
    echo = C_ECHO()
    echo.MessageID, echo.AffectedSOPClassUID = 2, VERIFICATION
    action = N_ACTION()
    action.MessageID, action.ActionTypeID = 3, 1
    action.RequestedSOPClassUID, action.RequestedSOPInstanceUID = PUSH_MODEL, PUSH_MODEL_INSTANCE
    action.ActionInformation = BytesIO(header[:64])
    for words in (pdus(C_ECHO_RQ(), echo), store_request(header), pdus(N_ACTION_RQ(), action)):
        yield b"\0" + TARGET.request + words
        yield b"\1" + words
    yield b"\2" + header


def main() -> None:
    """Run libFuzzer over the seeds; what it learns and what crashes is kept in build/fuzz."""
    folders = [Path("build/fuzz/receive"), Path("build/fuzz/receive-seeds")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for at, data in enumerate(seeds()):
        (folders[1] / f"seed-{at}").write_bytes(data)
    limits = [f"-max_len={LONGEST}", "-timeout=60", "-rss_limit_mb=2048"]
    kept = ["-artifact_prefix=build/fuzz/receive-", *sys.argv[1:], *map(str, folders)]
    atheris.Setup([sys.argv[0], *limits, *kept], answer)
    atheris.Fuzz()


def answer(data: bytes) -> None:
    """Give one input to the server; raises where it is not what a node may do."""
    try:
        judge(data)
    except BaseException:
        TARGET.server.stop()  # its threads would keep the fuzzer from ending
        raise


if __name__ == "__main__":
    folder = Path("build/fuzz/node")  # emptied now: libFuzzer ends the process where it stands
    shutil.rmtree(folder, ignore_errors=True)
    with receiver(folder) as parts:
        TARGET = Target(*parts)
        main()
