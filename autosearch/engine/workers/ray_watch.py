"""Whether Ray still answers, and which machines have joined it."""

import atexit
import socket
import time
from typing import Any

import ray
import ray._private.worker
import ray.util

from autosearch.errors import ClusterLost

__all__ = ["Arrivals", "Pulse", "abandon"]

# Seconds for which nothing has to answer before Ray counts as gone; its own patience is a minute,
# after which it ends the whole program without a word of ours.
_PATIENCE = 10.0
_ANSWER = 3.0


class Pulse:
    """Asks the sockets of Ray's two services: its own calls wait for minutes when they are gone."""

    def __init__(self) -> None:
        self._gcs: str | None = None
        self._raylet: str | None = None
        if not ray.util.client.ray.is_connected():  # whose server alone knows the addresses
            node = getattr(ray._private.worker, "_global_node", None)
            self._gcs = getattr(node, "gcs_address", None)
            self._raylet = getattr(node, "raylet_socket_name", None)

    def require(self) -> None:
        """Return as soon as Ray answers.

        Raises:
            ClusterLost: when it has not for a while.
        """
        end = time.monotonic() + _PATIENCE
        while (silent := self._silent()) is not None:
            if time.monotonic() >= end:
                raise ClusterLost(
                    f"workers: Ray has ended under this run ({silent} does not answer); what was "
                    "finished is saved: start Ray again if it was your own, continue with --resume"
                )
            time.sleep(0.5)

    def _silent(self) -> str | None:
        """The service that does not answer, if any."""
        if self._gcs is not None:
            host, _, port = self._gcs.rpartition(":")
            if not _answers((host.strip("[]"), int(port)), None):
                return f"its head at {self._gcs}"
        if self._raylet is not None and not _answers(self._raylet, socket.AF_UNIX):
            return "its part on this machine"
        return None


class Arrivals:
    """Machines that have joined since it was made."""

    def __init__(self) -> None:
        self._known = {node["NodeID"] for node in ray.nodes() if node["Alive"]}

    def take(self) -> list[dict[str, float]]:
        """The resources of each that is new since the last call."""
        nodes = [node for node in ray.nodes() if node["Alive"]]
        new = [node["Resources"] for node in nodes if node["NodeID"] not in self._known]
        self._known |= {node["NodeID"] for node in nodes}
        return new


def abandon() -> None:
    """Leave a Ray that has ended, without the farewell for which it would wait for minutes."""
    atexit.unregister(ray.shutdown)
    node: Any = getattr(ray._private.worker, "_global_node", None)
    if node is not None:
        atexit.unregister(node.kill_all_processes)
        node.kill_all_processes(check_alive=False, allow_graceful=False)


def _answers(address: Any, family: int | None) -> bool:
    try:
        if family is None:
            socket.create_connection(address, timeout=_ANSWER).close()
            return True
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(_ANSWER)
            client.connect(address)
    except OSError:
        return False
    return True
