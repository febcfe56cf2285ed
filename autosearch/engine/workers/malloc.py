"""Memory that is freed and soon asked for again stays with the process."""

import ctypes
import functools

__all__ = ["keep_freed_memory"]

# Of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# The largest that glibc takes for the latter.
_LARGEST = 32 * 2**20
_NEVER = 2**31 - 1


@functools.cache
def keep_freed_memory() -> bool:
    """Let freed memory be reused instead of given back to the system; True where that was set.

    Each step of a sampler frees tensors and asks for as many again. By default glibc gives them
    back and gets them anew, a page fault for every 4 KiB: a tenth of the time on a CPU. Elsewhere
    than on Linux with glibc nothing is done.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST) and mallopt(_M_TRIM_THRESHOLD, _NEVER))
