"""How many threads torch and the linear algebra under numpy compute with."""

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import ThreadpoolController

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the body with one thread on the CPU: sums then come out the same everywhere.

    Matrices are small here: threads would only wait for one another, and for the workers' cores.
    Also a decorator.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _controller("scipy.linalg" in sys.modules).limit(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(threads)


@functools.cache
def _controller(scipy: bool) -> ThreadpoolController:
    """Found once, which takes milliseconds; again when scipy has brought a library of its own."""
    return ThreadpoolController()
