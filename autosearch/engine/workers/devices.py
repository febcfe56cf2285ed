"""Which GPUs a worker's process sees, and whether there are any."""

import os
from collections.abc import Sequence

import torch

from autosearch.errors import UserError

__all__ = ["check_device", "show_devices"]

_NOSET = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"


def show_devices(assigned: Sequence[int | str]) -> None:
    """Let this process see the GPUs that Ray assigned to it and no others, before torch looks.

    Ray leaves all of them in sight where it assigned none, and everywhere if it is told to by
    RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES; ``cuda`` would then be the first for every worker.

    Args:
        assigned: numbers or names of devices, as CUDA_VISIBLE_DEVICES holds them.
    """
    if not assigned or _NOSET in os.environ:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(str(device) for device in assigned)


def check_device(device: str) -> None:
    """Refuse a GPU where torch finds none.

    Raises:
        UserError: naming the setting that asks for it.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(
            "workers.gpus: torch finds no GPU here that it can use; set workers.gpus to 0"
        )
