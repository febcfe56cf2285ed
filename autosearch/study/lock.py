"""Whether somebody writes to a study at this moment."""

import importlib
import os
from pathlib import Path

from autosearch.study.journal import LOCK

__all__ = ["in_use"]


def in_use(directory: Path) -> bool | None:
    """Whether a process holds a study's lock, which the system releases when that process ends.

    Nothing is written: a shared lock is asked for on a descriptor that only reads, and given back
    at once.

    Returns:
        None where the system cannot tell (no ``flock``, or no right to read the lock).
    """
    try:
        fcntl = importlib.import_module("fcntl")
    except ImportError:
        return None
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        return None
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return False
    finally:
        os.close(descriptor)
