"""What keeps a driver out of a Ray cluster is said in one line that names the remedy."""

import os
import socket
import sys
import time
from pathlib import Path

import pytest
import ray

from autosearch.engine.workers import ray_entry
from autosearch.engine.workers.ray_cluster import _SamePath, connect
from autosearch.engine.workers.ray_entry import check_entry
from autosearch.errors import UserError


@pytest.fixture
def address(monkeypatch):
    """Somebody listens there; no token is set."""
    for name in ray_entry.TOKEN_SETTINGS | {"RAY_ADDRESS"}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # whatever other tests have begun
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def saying(monkeypatch, text: str, then: str = "sys.exit(1)") -> None:
    """Let Ray's part print this on standard error, and end so."""
    program = f"import os, sys, time; print({text!r}, file=sys.stderr, flush=True); {then}"
    monkeypatch.setattr(ray_entry, "_PROGRAM", program)


# As Ray 2.60 prints them; the first comes once a second for twenty seconds.
UNKNOWN = (
    "[2026-11-30 16:30:15 W 23209] gcs_client.cc:210: Failed to get cluster ID from GCS server: "
    "Unauthenticated: RPC error: InvalidAuthToken: Authentication token is missing or incorrect"
)
NO_RAYLET = (
    "[2026-11-30 16:36:15 C 27226] raylet_ipc_client.cc:85: Failed to connect to socket at address:"
    "/tmp/ray/session/sockets/raylet\n*** StackTrace Information ***\n/lib/ray.so(+0x18) ray::x()"
)
NO_NODE = "RuntimeError: No node info found matching attributes: '' when trying to resolve node"
VERSIONS = "RuntimeError: Version mismatch: The cluster was started with:     Ray: 2.52"


@pytest.mark.parametrize(
    ("text", "then", "words"),
    [
        (UNKNOWN, "time.sleep(60)", r"asks for a token; set RAY_AUTH_TOKEN to the one that it"),
        ("AuthenticationError: no token", "sys.exit(1)", "asks for a token; set RAY_AUTH_TOKEN"),
        (NO_RAYLET, "os.abort()", r"is no part of the Ray cluster .*`ray start --address=127.*"),
        (NO_NODE, "sys.exit(1)", r"is no part of the Ray cluster"),
        (VERSIONS, "sys.exit(1)", r"no Ray cluster answers .*Version mismatch: The cluster was"),
        ("", "sys.exit(1)", "no Ray cluster answers"),
    ],
)
def test_a_refusal_is_one_line(monkeypatch, address, text, then, words):
    saying(monkeypatch, text, then)
    monkeypatch.setenv("RAY_ADDRESS", address)
    start = time.monotonic()
    with pytest.raises(UserError, match=f"^RAY_ADDRESS: .*{words}") as caught:
        connect()
    assert time.monotonic() - start < 30
    assert address in str(caught.value)
    assert "StackTrace" not in str(caught.value)


def test_another_token_than_the_cluster_s(monkeypatch, address):
    saying(monkeypatch, UNKNOWN)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "ab" * 32)
    with pytest.raises(UserError, match=r"^workers.address: .* asks for another token than the"):
        connect(address=address)


def test_what_never_answers_is_given_up(monkeypatch, address):
    saying(monkeypatch, "", "time.sleep(60)")
    monkeypatch.setattr(ray_entry, "_MOST_SECONDS", 0.2)
    with pytest.raises(
        UserError, match=r"no answer in 0\.2 s.*asks for a token, set RAY_AUTH_TOKEN"
    ):
        check_entry(address, where="here")


@pytest.mark.parametrize("nobody", ["127.0.0.1:1", "127.0.0.1:port", "ray://127.0.0.1:1"])
def test_nobody_listens(nobody):
    with pytest.raises(UserError, match=f"^here: no Ray cluster answers at address '{nobody}'"):
        check_entry(nobody, where="here")


def test_who_is_let_in_returns(monkeypatch, address):
    saying(monkeypatch, "a warning", "os._exit(0)")
    check_entry(address, where="here")


def test_workers_look_for_modules_where_this_process_does(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ours = [str(tmp_path.parent), *sys.path, str(tmp_path / "missing")]
    monkeypatch.setattr(sys, "path", [place for place in ours if place not in ("", str(tmp_path))])
    places = _SamePath()._py_driver_sys_path[::-1]
    assert places == [p for p in sys.path if os.path.exists(p)]
    assert str(tmp_path) not in places
    # As in a notebook, or with `python -c`: it is where this process looks, too.
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert Path(_SamePath()._py_driver_sys_path[-1]) == tmp_path
