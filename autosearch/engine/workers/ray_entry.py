"""Whether a Ray cluster lets this machine in, tried in a process of its own.

Where it does not, Ray's own way of joining tries for long and prints a line for each time, or a
stack trace, and may end the process that tries.
"""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from autosearch.errors import UserError, one_line

__all__ = ["TOKEN_SETTINGS", "check_entry", "check_listener", "no_cluster"]

# Where Ray looks for its token, beside a file in the home folder.
TOKEN_SETTINGS = frozenset({"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"})

_LISTENS_SECONDS = 10.0
_MOST_SECONDS = 60.0
_PROGRAM = """
import logging, os, sys
try:
    import ray
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
except BaseException as error:
    reasons = [str(e) for e in (error, error.__cause__ or error.__context__) if e is not None]
    sys.exit(f"{type(error).__name__}: {' '.join(' '.join(reasons).split())}")
os._exit(0)
"""
_TOKEN = re.compile(r"unauthenticated|AuthToken|AuthenticationError|authentication token", re.I)
_OUTSIDE = re.compile(r"connect to socket|No node info found|Raylet addresses", re.I)
# How long Ray looks for its part on this machine; a minute by itself.
_PATIENCE = {"RAY_gcs_server_request_timeout_seconds": "10"}


def check_entry(address: str, *, where: str) -> None:
    """Return when a driver on this machine can use the cluster.

    Args:
        address: of the cluster, as Ray takes it.
        where: what gave the address.

    Raises:
        UserError: naming what is missing: the cluster, its token, or this machine's part in it.
    """
    check_listener(address, where=where)
    # The folder in which we stand is none of the interpreter's business (-P).
    command = [sys.executable, "-P", "-c", _PROGRAM, address]
    with subprocess.Popen(
        command,
        env={**_PATIENCE, **os.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        timer = threading.Timer(_MOST_SECONDS, process.kill)
        timer.start()
        lines: list[str] = []
        try:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                if _TOKEN.search(line):
                    process.kill()  # it would try again, and say so again
            process.wait()
        finally:
            timer.cancel()
            process.kill()
    if process.returncode:
        raise _refusal(address, lines, where)


def check_listener(address: str, *, where: str) -> None:
    """Return when somebody listens at an address; one without a port is Ray's own business.

    Where nobody does, Ray itself tries for many minutes and cannot be interrupted.

    Args:
        address: of the cluster, as Ray takes it.
        where: what gave the address.

    Raises:
        UserError: naming the address.
    """
    if ":" not in address:
        return
    host, _, port = address.rsplit("://", maxsplit=1)[-1].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_LISTENS_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise no_cluster(address, error, where=where) from None


def no_cluster(address: str, reason: object, *, where: str) -> UserError:
    """The error for an address at which no Ray is found."""
    hint = "" if _has_token() else "; where it asks for a token, set RAY_AUTH_TOKEN"
    return UserError(
        f"{where}: no Ray cluster answers at address {address!r} ({one_line(reason)}); start one "
        f"with `ray start --head`, or leave the address out to run on this machine{hint}"
    )


def _has_token() -> bool:
    return bool(TOKEN_SETTINGS & os.environ.keys())


def _refusal(address: str, lines: Sequence[str], where: str) -> UserError:
    """What keeps this machine out, from what Ray printed."""
    text = "\n".join(lines)
    if _TOKEN.search(text):
        other = "another token than the one that is set here" if _has_token() else "a token"
        return UserError(
            f"{where}: the Ray cluster at {address!r} asks for {other}; set RAY_AUTH_TOKEN to the "
            "one that it was started with, and RAY_AUTH_MODE=token"
        )
    if _OUTSIDE.search(text):
        return UserError(
            f"{where}: this machine is no part of the Ray cluster at {address!r}; let it join "
            f"with `ray start --address={address} --num-cpus=0`, or run on a machine of the cluster"
        )
    said = [line for line in lines if line.strip() and not line.startswith(" ")]
    reason = said[-1] if said else f"no answer in {_MOST_SECONDS:g} s"
    return no_cluster(address, reason, where=where)
