"""A cluster of machines of its own, in which the commands of docs/cluster.md are given.

``cluster_driver.py FOLDER EXPERIMENT`` is run as the first process of new name spaces, by
``unshare``: each machine has a network and processes of its own, and all end with this one. They
have no folder in common but FOLDER/shared, for what this test notes; the study lies where its
command is given. ``--one`` puts all of them on this machine, with temporary folders of their own.

EXPERIMENT is JSON text. What was seen is printed as JSON.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

DRIVER = Path(__file__).with_name("ray_driver.py")
RAY = Path(sys.executable).with_name("ray")
TOKEN = "0123456789abcdef" * 4
PORT = 6399
NAMES = ("head", "desk", "one", "two", "three")
RESULT = b'"type":"result"'
MOST_SECONDS = 120.0


def shell(line: str) -> None:
    subprocess.run(line, shell=True, check=True, stdout=subprocess.DEVNULL)


@dataclass
class Machine:
    """One of a cluster, with a network, processes and a folder of its own; or all on this one."""

    name: str
    number: int
    folder: Path
    apart: bool
    processes: list["subprocess.Popen[str]"] = field(default_factory=list)
    first: int = 0

    def __post_init__(self) -> None:
        if self.apart:
            for line in (
                "ip netns add {0}",
                "ip link add to-{0} type veth peer name eth0 netns {0}",
                "ip link set to-{0} master switch up",
                "ip netns exec {0} ip addr add {1}/24 dev eth0",
                "ip netns exec {0} ip link set eth0 up",
                "ip netns exec {0} ip link set lo up",
                # By which a machine finds out its own address.
                "ip netns exec {0} ip route add default via 10.83.0.254",
            ):
                shell(line.format(self.name, self.address))
            self.first = self._boot()

    @property
    def address(self) -> str:
        return f"10.83.0.{self.number}" if self.apart else "127.0.0.1"

    def _boot(self) -> int:
        """The first process, without which there are no others; it hides the others' folders."""
        others = [p for p in self.folder.iterdir() if p.name not in (self.name, "shared")]
        hide = "".join(f"mount -t tmpfs none {path} && " for path in others)
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        ready = f"{hide}echo up && exec sleep 1000000"
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *apart, "sh", "-c", ready],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Arguments as given on this machine."""
        if not self.apart:
            return list(arguments)
        enter = f"nsenter --target {self.first} --net --mount --pid --".split()
        place = ["sh", "-c", f'cd {self.folder / self.name} && exec "$@"', "sh"]
        return [*enter, *place, *arguments]

    def begin(self, arguments: Sequence[str], **variables: str | None) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            self.command(arguments),
            env=environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder / self.name,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def start_ray(self, *arguments: str, cpus: int) -> None:
        """``ray start --block``, until Ray is up; its processes end with it."""
        options = [f"--num-cpus={cpus}", "--disable-usage-stats", "--object-store-memory=80000000"]
        options += [f"--temp-dir={self.folder / self.name}", "--block"]
        options += [] if self.apart else [f"--node-ip-address={self.address}"]
        log = (self.folder / self.name / "start.log").open("w")
        process = subprocess.Popen(
            self.command([str(RAY), "start", *arguments, *options]),
            env=environment({}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        path = Path(log.name)
        wait_until(
            lambda: "Ray runtime started" in path.read_text() or process.poll() is not None,
            path.read_text,
        )
        assert process.poll() is None, path.read_text()

    def lose_power(self) -> None:
        """Nobody is told."""
        if self.apart:
            shell(f"ip link set to-{self.name} down")
        self.stop()

    def stop(self) -> None:
        for process in self.processes:  # where there is a first process, the others end with it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def environment(changes: dict[str, str | None]) -> dict[str, str]:
    left = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    given = {**left, **ours, **changes}
    return {name: value for name, value in given.items() if value is not None}


def wait_until(done: Callable[[], bool], said: Callable[[], str]) -> None:
    end = time.monotonic() + MOST_SECONDS
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(said())
        time.sleep(0.05)


@contextlib.contextmanager
def cluster(folder: Path, apart: bool) -> Iterator[Callable[[str], Machine]]:
    """Adds machines by name; all of them end at the end."""
    machines: list[Machine] = []
    for name in NAMES:
        (folder / name).mkdir()
    if apart:
        shell("mount -t tmpfs none /run && ip link set lo up")
        shell("ip link add switch type bridge && ip link set switch up")
        shell("ip addr add 10.83.0.254/24 dev switch")

    def add(name: str) -> Machine:
        machine = Machine(name, len(machines) + 1, folder, apart)
        machines.append(machine)
        return machine

    try:
        yield add
    finally:
        for machine in reversed(machines):
            machine.stop()


def searched(
    machine: Machine, experiment: Path, workers: str, **variables: str | None
) -> "subprocess.Popen[str]":
    """``autosearch run`` with an evaluator that takes its time and notes what it does."""
    shared = machine.folder / "shared"
    arguments = ["run", str(experiment), "--out", "study", "--set", f"workers={workers}"]
    return machine.begin([sys.executable, str(DRIVER), "cli", str(shared), *arguments], **variables)


def refused(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """What a command that is to be refused says, and how long that took."""
    start = time.monotonic()
    out, err = process.communicate(timeout=MOST_SECONDS)
    seconds = time.monotonic() - start
    return {"code": process.returncode, "out": out, "err": err, "seconds": seconds}


def run(folder: Path, data: dict[str, Any], apart: bool) -> dict[str, Any]:
    shared = folder / "shared"
    shared.mkdir()
    experiment = shared / "case.yaml"
    experiment.write_text(yaml.safe_dump(data))
    with cluster(folder, apart) as add:
        head, desk, one, two, three = (add(name) for name in NAMES)
        address = f"{head.address}:{PORT}"
        head.start_ray("--head", f"--port={PORT}", "--include-dashboard=false", cpus=0)
        for machine in (one, two):
            machine.start_ray(f"--address={address}", cpus=1)
        workers = f"{{count: 2, address: '{address}'}}"
        unset = {"RAY_AUTH_MODE": None, "RAY_AUTH_TOKEN": None}
        found: dict[str, Any] = {
            "no token": refused(searched(desk, experiment, workers, **unset)),
            "wrong token": refused(searched(desk, experiment, workers, RAY_AUTH_TOKEN="f" * 64)),
        }
        if apart:  # otherwise the head's part of Ray is also the desk's
            found["no part of it"] = refused(searched(desk, experiment, workers))
        desk.start_ray(f"--address={address}", cpus=0)
        found["too many"] = refused(
            searched(desk, experiment, f"{{count: 3, address: '{address}'}}")
        )
        study = folder / "desk" / "study"
        found["left"] = study.exists()
        search = searched(desk, experiment, workers)
        journal = study / "journal.jsonl"
        results = lambda: journal.read_bytes().count(RESULT) if journal.exists() else 0  # noqa: E731

        def until(count: int) -> None:
            wait_until(
                lambda: results() >= count or search.poll() is not None, lambda: f"{results()}"
            )
            assert search.poll() is None, search.communicate()

        until(10)
        two.lose_power()
        until(14)
        three.start_ray(f"--address={address}", cpus=1)
        (shared / "slow").touch()  # its worker takes a while to load, within which all may end
        out, err = search.communicate(timeout=MOST_SECONDS)
        found["search"] = {"code": search.returncode, "out": out, "err": err}
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("experiment", type=json.loads)
    parser.add_argument("--one", action="store_true", help="no networks of their own")
    given = parser.parse_args()
    print(json.dumps(run(given.folder, given.experiment, not given.one)))


if __name__ == "__main__":
    main()
