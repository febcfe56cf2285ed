"""What can be said of an experiment's workers before any is started."""

import os
import sys
from typing import Literal

import torch

from autosearch.engine.workers.devices import check_device
from autosearch.errors import UserError

__all__ = ["check_lag", "check_local_room"]


def check_lag(lag: int | None, workers: int) -> None:
    """Refuse more workers than a search in fixed order can give work to.

    Raises:
        UserError: naming both numbers.
    """
    if lag is not None and workers > lag:
        raise UserError(
            f"lag: {lag} is below the number of workers, {workers}; raise lag, or use order: "
            "arrival"
        )


def check_local_room(count: int | Literal["auto"], *, cpus: float, gpus: float) -> None:
    """Refuse workers for which this machine has no room.

    Raises:
        UserError: with what there is.
    """
    if _ray_is_up():  # it says itself what it has
        return
    there = (os.cpu_count() or 1, torch.cuda.device_count() if gpus else 0)
    wanted = 1 if count == "auto" else count
    if gpus:
        check_device("cuda")
    # A little more than there is: a share such as 0.1 is not exact.
    if any(wanted * each > has + 1e-6 for each, has in zip((cpus, gpus), there, strict=True)):
        raise UserError(
            f"workers: no room for {wanted} of {cpus:g} CPUs and {gpus:g} GPUs each: this machine "
            f"has {there[0]} CPUs and {there[1]} GPUs; lower workers.count, workers.cpus or "
            "workers.gpus"
        )


def _ray_is_up() -> bool:
    """Whether this process is connected to Ray already."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())
