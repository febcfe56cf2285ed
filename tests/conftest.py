"""What all tests share."""

from collections.abc import Iterator

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """The only Ray of a test run. It declares two GPUs, which need not exist."""
    import ray

    from autosearch.workers.ray_cluster import connect

    connect(num_cpus=4, num_gpus=2, object_store_memory=200_000_000)
    yield
    ray.shutdown()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs Ray, so that ``-m "not ray"`` leaves it out."""
    for item in items:
        if "ray_cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.ray)
