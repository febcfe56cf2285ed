"""Freed memory stays with the process."""

import subprocess
import sys

import pytest

from autosearch.engine.workers.malloc import keep_freed_memory

CODE = """
import resource
import torch
from autosearch.engine.workers.malloc import keep_freed_memory
keep = keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
kept = [torch.ones(250_000)]
before = faults()
for _ in range(50):
    several = [torch.ones(250_000 + 1000 * i) for i in range(4)]
    del several
print(int(keep), faults() - before)
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="there is no mallopt of glibc here")
def test_what_is_freed_is_not_fetched_from_the_system_again() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    kept, faults = (int(word) for word in done.stdout.split())
    assert kept == 1
    # Once is what it takes: 4 MB are a thousand pages.
    assert faults < 5_000
