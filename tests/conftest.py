"""What all tests share."""

from collections.abc import Callable, Iterator

import pytest
import torch

from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.models.exact import ExactDenoiser, Mixture

torch.set_num_threads(1)

MODELS: dict[str, tuple[NoiseSchedule, Prediction]] = {
    "vp": (VariancePreserving(), "noise"),
    "cosine": (VariancePreserving("cosine"), "v"),
    "edm": (EDM(), "data"),
    "flow": (RectifiedFlow(), "flow"),
}

Make = Callable[[str], ExactDenoiser]


@pytest.fixture(scope="module")
def make() -> Make:
    """Exact models of each family of schedules, by name."""
    mixture = Mixture.random(components=3, dimension=3, seed=1)

    def denoiser(model: str) -> ExactDenoiser:
        return ExactDenoiser(mixture, *MODELS[model])

    return denoiser


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
