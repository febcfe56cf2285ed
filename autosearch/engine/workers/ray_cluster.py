"""Ray: finding or starting it, reserving room for workers, and whether it still answers."""

import atexit
import logging
import math
import os
import secrets
import shlex
import socket
import sys
import time
from typing import Any, Literal

import ray
import ray._private.worker
import ray.exceptions
import ray.job_config
import ray.util
from ray.util.placement_group import PlacementGroup

from autosearch.engine.workers.ray_entry import TOKEN_SETTINGS, check_entry, no_cluster
from autosearch.errors import ClusterLost, UserError, one_line

__all__ = [
    "Arrivals",
    "Pulse",
    "abandon",
    "connect",
    "free_room",
    "reserve",
    "room_on",
    "worker_count",
]

# How long the resources of another run that is just ending may take to come back.
_RESERVE_SECONDS = 20.0
# Seconds for which nothing has to answer before Ray counts as gone; its own patience is a minute,
# after which it ends the whole program without a word of ours.
_PATIENCE = 10.0
_ANSWER = 3.0

# Ray counts resources in units of this size.
_LEAST = 1e-4
# So many workers may share a few processors when nobody said how many there are to be.
_CROWD = 16
# The address that stands for a Ray of our own on this machine.
_HERE = "local"
_REFUSED = (OSError, ValueError, RuntimeError, ImportError, ray.exceptions.RayError)


def connect(*, address: str | None = None, **options: Any) -> bool:
    """Connect to Ray unless this process is; returns whether it was done here.

    Without an address (or RAY_ADDRESS in the environment) a Ray of our own starts on this
    machine, without a dashboard. Ray listens on all interfaces and therefore asks for a token,
    unless RAY_AUTH_MODE says otherwise; ours is made for this process and kept in its
    environment, so that nothing is written to the home directory.

    Raises:
        UserError: when no Ray answers at the address.
    """
    if ray.is_initialized():
        return False
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, **options}
    where = "workers.address" if address else "RAY_ADDRESS"
    address = address or os.environ.get("RAY_ADDRESS") or _HERE
    if address == _HERE:
        _begin(quiet)
    else:
        _join(address, where, quiet)
    # Ray prints a worker's death on standard output, which belongs to --json; the reason is in
    # the outcome. Where this private switch is missing, setting it does nothing.
    ray._private.worker._worker_logs_enabled = False
    return True


def worker_count(
    count: int | Literal["auto"], *, cpus: float, gpus: float, most: int | None = None
) -> int:
    """How many workers to start; ``auto`` fills what is free now, up to ``most``.

    Where a worker takes a small share of a processor, ``auto`` still crowds none with more than a
    few of them: there are never more workers than processors, or than 16 where those are fewer.

    Raises:
        UserError: when the cluster has no room for that many, even with nothing else running.
    """
    _check_request(count, cpus, gpus)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = room_on(nodes, cpus=cpus, gpus=gpus)
    cpu_total, gpu_total = (sum(n.get(name, 0.0) for n in nodes) for name in ("CPU", "GPU"))
    there = f"this cluster has {cpu_total:g} CPUs and {gpu_total:g} GPUs"
    if gpus and not gpu_total:
        raise UserError(f"workers: {gpus:g} GPUs per worker, but {there}; set workers.gpus to 0")
    if room < (1 if count == "auto" else count):
        raise UserError(
            f"workers: no room for {'one' if count == 'auto' else count} of {cpus:g} CPUs and "
            f"{gpus:g} GPUs each: {there}, enough for {room}; lower workers.count, workers.cpus "
            "or workers.gpus"
        )
    if count != "auto":
        return count
    free = max(1, min(room, free_room(cpus=cpus, gpus=gpus), max(_CROWD, int(cpu_total))))
    return free if most is None else min(free, most)


def room_on(nodes: list[dict[str, float]], *, cpus: float, gpus: float) -> int:
    """Workers that empty nodes hold, given the resources of each."""
    return sum(_room(node, cpus, gpus) for node in nodes)


def free_room(*, cpus: float, gpus: float) -> int:
    """Workers for which there are resources that nobody has now."""
    free = ray.available_resources()
    wanted = [("CPU", cpus), ("GPU", gpus)]
    return min(_fits(free.get(name, 0.0), amount) for name, amount in wanted if amount)


def reserve(count: int, *, cpus: float, gpus: float) -> PlacementGroup:
    """Set resources for the workers aside, so that a restarted one finds its place again.

    Raises:
        UserError: when others use the resources.
    """
    bundle = {name: amount for name, amount in (("CPU", cpus), ("GPU", gpus)) if amount}
    group = ray.util.placement_group([bundle] * count, strategy="PACK")
    try:
        ready = group.wait(_RESERVE_SECONDS)
    except BaseException:
        ray.util.remove_placement_group(group)
        raise
    if not ready:
        ray.util.remove_placement_group(group)
        free = ray.available_resources()
        raise UserError(
            f"workers: {count} of {cpus:g} CPUs and {gpus:g} GPUs each are asked for, but only "
            f"{free.get('CPU', 0):g} CPUs and {free.get('GPU', 0):g} GPUs are free; lower "
            "workers.count or wait for other runs"
        )
    return group


def _begin(options: dict[str, Any]) -> None:
    """Start a Ray of our own."""
    if _wants_token():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    # Where workers get an environment of their own, as Tune's do, Ray starts them by a line for the
    # shell and forgets to quote the interpreter, whose path may hold a space.
    interpreter = shlex.quote(sys.executable)
    if interpreter != sys.executable:
        options = {"runtime_env": {"py_executable": interpreter}, **options}
    try:
        ray.init(address=_HERE, include_dashboard=False, job_config=_SamePath(), **options)
    except _REFUSED as error:
        raise UserError(
            f"workers: Ray cannot start on this machine ({one_line(error)}); use "
            "workers.executor=inprocess, or set RAY_TMPDIR to a short path that can be written"
        ) from None


def _wants_token() -> bool:
    """Whether Ray would ask for a token and has none; it would write one to the home folder."""
    given = os.environ.keys() & TOKEN_SETTINGS
    return not given and os.environ.get("RAY_AUTH_MODE", "token") == "token"


def _join(address: str, where: str, options: dict[str, Any]) -> None:
    """Connect to a cluster that is there."""
    check_entry(address, where=where)
    if "://" not in address:  # through a server of Ray's it could not travel
        options = {"job_config": _SamePath(), **options}
    try:
        ray.init(address=address, **options)
    except _REFUSED as error:
        raise no_cluster(address, error, where=where) from None


class _SamePath(ray.job_config.JobConfig):  # type: ignore[misc]  # Ray has no types
    """Lets workers find modules where this process does, in the same order.

    Ray by itself puts the folder in which the command was given before everything else: a module
    there that is called as one of the standard library's would end every worker.
    """

    def __init__(self) -> None:
        places = [os.path.abspath(place) for place in sys.path]
        # Workers put each before those that came earlier.
        super().__init__(_py_driver_sys_path=[p for p in reversed(places) if os.path.exists(p)])

    def _runtime_env_has_working_dir(self) -> bool:
        """Asked before Ray adds that folder, which it does not to what has one of its own."""
        return True


def _check_request(count: int | Literal["auto"], cpus: float, gpus: float) -> None:
    if count != "auto" and count < 1:
        raise UserError(f"workers.count: {count} is too few; use auto or at least 1")
    for name, amount in (("cpus", cpus), ("gpus", gpus)):
        if amount < 0 or not math.isfinite(amount) or (amount > 1 and amount % 1):
            raise UserError(
                f"workers.{name}: {amount:g} per worker is not possible; use a fraction up to 1 "
                "or a whole number"
            )
        if 0 < amount < _LEAST:
            raise UserError(
                f"workers.{name}: {amount:g} per worker is less than Ray can give; use at least "
                f"{_LEAST:g}"
            )
    if not cpus and not gpus:
        raise UserError("workers: cpus and gpus are both 0; give a worker some of either")


def _room(node: dict[str, float], cpus: float, gpus: float) -> int:
    """Workers that an empty node holds. A fraction of a GPU lies on one device."""
    rooms = []
    if cpus:
        rooms.append(_fits(node.get("CPU", 0.0), cpus))
    if 0 < gpus < 1:
        rooms.append(int(node.get("GPU", 0.0)) * _fits(1.0, gpus))
    elif gpus:
        rooms.append(_fits(node.get("GPU", 0.0), gpus))
    return min(rooms)


def _fits(there: float, each: float) -> int:
    return math.floor(there / each + 1e-6)  # 1 / 0.1 and its like


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
