"""What a program runs on: versions, processor, device."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from autosearch import __version__

__all__ = ["environment"]

# Those on which numbers depend.
_PACKAGES = ("torch", "numpy", "scipy", "pymoo", "optuna", "ray", "torch-fidelity", "diffusers")


def environment() -> dict[str, str]:
    """Names and values for people; no name of a user, a host or a folder among them."""
    import torch

    facts = {
        "autosearch": __version__,
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{_processor()}, {os.cpu_count() or 1} cores",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "none but the CPU",
    }
    for name in _PACKAGES:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            continue
    return facts


def _processor() -> str:
    """The model's name where the system says it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
