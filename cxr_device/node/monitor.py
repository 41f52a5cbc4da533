"""The monitor: health and Prometheus metrics over HTTP, on loopback alone."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from cxr_device.errors import NodeError
from cxr_device.node.configuration import Address

__all__ = ["Health", "Monitor"]

REQUEST_S: Final = 5.0
"""Seconds in which a request must be whole."""
LATE_S: Final = 900.0
"""Seconds after which a film without a delivered answer makes the node degraded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the node is, at one moment."""

    is_running: bool
    """Server, worker and sender are alive."""
    associations: int
    films: dict[str, int]
    """Films by state."""
    oldest_waiting_s: float
    """Age of the oldest film whose answer is not delivered; 0 without one."""
    peer_failures: int
    """Attempts to reach the peer that failed since it was last reached."""
    events: dict[str, int]
    reading_seconds: float

    @property
    def status(self) -> str:
        """`ok`, `degraded` (late, or the peer refuses or is away), or `failed`."""
        if not self.is_running:
            return "failed"
        late = self.oldest_waiting_s > LATE_S or self.peer_failures > 0
        return "degraded" if late else "ok"


def metrics(health: Health) -> str:
    """Write the health in Prometheus' text format 0.0.4."""
    lines = [
        "# HELP cxr_node_up Whether server, worker and sender are alive.",
        "# TYPE cxr_node_up gauge",
        f"cxr_node_up {int(health.is_running)}",
        "# HELP cxr_node_associations Associations open now.",
        "# TYPE cxr_node_associations gauge",
        f"cxr_node_associations {health.associations}",
        "# HELP cxr_node_films Films by state.",
        "# TYPE cxr_node_films gauge",
        *(f'cxr_node_films{{state="{name}"}} {n}' for name, n in health.films.items()),
        "# HELP cxr_node_oldest_waiting_seconds Age of the oldest film without delivered answer.",
        "# TYPE cxr_node_oldest_waiting_seconds gauge",
        f"cxr_node_oldest_waiting_seconds {health.oldest_waiting_s:.3f}",
        "# HELP cxr_node_peer_failures Failed attempts since the peer was last reached.",
        "# TYPE cxr_node_peer_failures gauge",
        f"cxr_node_peer_failures {health.peer_failures}",
        "# HELP cxr_node_reading_seconds_total Seconds spent on reading films.",
        "# TYPE cxr_node_reading_seconds_total counter",
        f"cxr_node_reading_seconds_total {health.reading_seconds:.3f}",
        "# HELP cxr_node_events_total Events since the start.",
        "# TYPE cxr_node_events_total counter",
        *(f'cxr_node_events_total{{event="{k}"}} {n}' for k, n in sorted(health.events.items())),
    ]
    return "\n".join(lines) + "\n"


class Monitor:
    """Serves `/health` (JSON; 503 where the node failed) and `/metrics`."""

    def __init__(self, address: Address, health: Callable[[], Health]) -> None:
        handler = type("Handler", (_Handler,), {"health": staticmethod(health)})
        try:
            self._server = ThreadingHTTPServer((address.host, address.port), handler)
        except OSError as error:
            raise NodeError(f"--metrics {address}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="monitor")

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_S
    server_version = "cxr-device-node"
    sys_version = ""
    health: Callable[[], Health]

    def do_GET(self) -> None:
        if self.path == "/health":
            health = self.health()
            body = json.dumps(
                {
                    "status": health.status,
                    "films": health.films,
                    "associations": health.associations,
                    "oldest_waiting_s": round(health.oldest_waiting_s, 3),
                    "peer_failures": health.peer_failures,
                }
            )
            failed = health.status == "failed"
            self._answer(
                HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK,
                body + "\n",
                "application/json",
            )
        elif self.path == "/metrics":
            self._answer(HTTPStatus.OK, metrics(self.health()), "text/plain; version=0.0.4")
        else:
            self._answer(HTTPStatus.NOT_FOUND, "/health or /metrics\n", "text/plain")

    def _answer(self, status: HTTPStatus, body: str, kind: str) -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # type: ignore[explicit-override]  # noqa: A002
        """Log nothing: the journal tells what the node does."""


def age_s(since: float | None) -> float:
    """Seconds since a moment; 0 without one."""
    return max(0.0, time.time() - since) if since is not None else 0.0
