"""Runs commands in a process that notes whatever leaves it: connections, programs, written files.

``python watched.py COMMANDS.json [MODULE ...]`` reads a list of ``[name, arguments, folders that
may be written]``; the modules are imported before anything is watched.
Prints a list of ``[name, exit code, what it did outside, standard output, standard error]``.
"""

import contextlib
import importlib
import io
import json
import os
import sys
import traceback
from typing import Any

# Arguments of these events that are places, by their numbers.
PLACES = {
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.mkdir": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "shutil.rmtree": (0,),
    "shutil.move": (1,),
    "shutil.copyfile": (1,),
    "sqlite3.connect": (0,),
}
NEVER = (
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.bind",
    "socket.sendto",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
    "webbrowser.open",
    "urllib.Request",
    "ftplib.connect",
    "smtplib.connect",
    "pickle.find_class",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """What is noted, and whether anything is."""

    on = False
    allowed: tuple[str, ...] = ()
    noted: list[str] = []  # noqa: RUF012  # one watch a process


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not Watch.on:
        return
    Watch.on = False  # what follows raises events of its own
    try:
        if event in NEVER:
            Watch.noted.append(f"{event} {arguments!r}"[:300])
        elif event == "open":
            path, mode, flags = arguments
            writes = any(c in (mode or "") for c in "wax+") or bool((flags or 0) & WRITING)
            if writes and isinstance(path, str | bytes | os.PathLike):
                check(event, os.path.realpath(os.fsdecode(path)))
        else:
            for number in PLACES.get(event, ()):
                if isinstance(arguments[number], str | bytes | os.PathLike):
                    # These act on a link itself, and not on what it leads to.
                    parent, name = os.path.split(os.path.abspath(os.fsdecode(arguments[number])))
                    check(event, os.path.join(os.path.realpath(parent), name))
    finally:
        Watch.on = True


def check(event: str, place: str) -> None:
    if place == os.devnull or place.endswith(":memory:"):
        return
    if not any(place == one or place.startswith(one + os.sep) for one in Watch.allowed):
        Watch.noted.append(f"{event} {place}")


def run(name: str, arguments: list[str], folders: list[str]) -> list[Any]:
    from autosearch.cli import main

    Watch.allowed = tuple(os.path.realpath(one) for one in [*folders, os.environ["HOME"]])
    Watch.noted = []
    out, err = io.StringIO(), io.StringIO()
    Watch.on = True
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code: Any = main(arguments)
    except BaseException:
        code = traceback.format_exc()
    finally:
        Watch.on = False
    return [name, code, Watch.noted, out.getvalue(), err.getvalue()]


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        todo = json.load(file)
    # What these import and compile on their way belongs to no command.
    for module in ["autosearch.study.front", *sys.argv[2:]]:
        importlib.import_module(module)

    sys.addaudithook(hook)
    print(json.dumps([run(*one) for one in todo]))
