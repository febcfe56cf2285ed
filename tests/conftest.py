"""What all tests share."""

import gc
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import scipy.linalg  # noqa: F401
import torch
from support import tally
from threadpoolctl import threadpool_limits
from torch.nn.attention import SDPBackend, sdpa_kernel

from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import (
    EDM,
    NoiseSchedule,
    RectifiedFlow,
    VariancePreserving,
    get_schedule,
)
from autosearch.diffusion.sites.sites import Site
from autosearch.models.dit import DiT, DiTConfig
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.objectives.base import Estimate
from autosearch.recipe import Recipe
from autosearch.study.events import ReferenceMeasured
from autosearch.study.front import Front
from autosearch.study.point import Axis, Point

# Several processes share the cores: threads of one would wait for those of another, here and in the
# linear algebra under numpy and scipy (which is loaded for that).
torch.set_num_threads(1)
threadpool_limits(1, user_api="blas")

ATTENTION = {
    "math": [SDPBackend.MATH],
    "flash": [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH],  # math where flash cannot
}

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
def random_dit() -> Callable[..., NetworkDenoiser]:
    """Makes small DiTs whose weights are all random, so that every site has an effect."""

    def make(*, depth: int = 4, prediction: Prediction = "v", seed: int = 0) -> NetworkDenoiser:
        torch.manual_seed(seed)
        network = DiT(DiTConfig(width=24, depth=depth, heads=3, num_classes=5))
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.15)
        macs, sites = network.site_macs(), []
        modules: dict[str, torch.nn.Module] = {}
        for i, block in enumerate(network.blocks):
            modules |= {f"block.{i}": block}
            modules |= {f"block.{i}.{part}": getattr(block, part) for part in ("attn", "mlp")}
        for name in modules:
            parent = None if name.count(".") == 1 else name.rpartition(".")[0]
            elements = network.config.tokens * network.config.width
            sites.append(Site(name, macs[name], elements, parent, residual=parent is None))
        return NetworkDenoiser(
            network,
            schedule=get_schedule("vp", "linear"),
            prediction=prediction,
            sample_shape=(1, 8, 8),
            classes=5,
            null_label=5,
            sites=sites,
            modules=modules,
            heads={name: 3 for name in modules if name.endswith("attn")},
            macs=network.macs(),
            weights="random",
        )

    return make


@pytest.fixture
def table() -> dict[str, Any]:
    """A front table with the numbers of a short search on digits."""
    text = (Path(__file__).parent / "data" / "front_digits.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


@pytest.fixture(scope="session")
def front_of() -> Callable[[dict[str, Any]], Front]:
    """Makes the front that a table holds: what ``Front.to_dict`` wrote, the other way round."""

    def estimate(value: float, entry: dict[str, Any]) -> Estimate:
        # Two pseudo-values whose interval is that of the table.
        half = (entry["ci"][1] - entry["ci"][0]) / 2 / Estimate(0.0, (-1.0, 1.0)).interval()[1]
        return Estimate(value, (value - half, value + half) if half else ())

    def point(data: dict[str, Any]) -> Point:
        search, validated = (
            {
                name: estimate(entry[kind], entry)
                for name, entry in data["values"].items()
                if entry[kind] is not None
            }
            for kind in ("search", "validated")
        )
        return Point(
            **{key: data[key] for key in ("id", "baseline", "on_front", "overtaken_by")},
            folded=data.get("folded", False),
            search=search,
            validated=validated,
            samples=400,
            load=lambda: Recipe.from_dict(data["recipe"], where="test"),
        )

    def make(table: dict[str, Any]) -> Front:
        points, baselines = ([point(p) for p in table[key]] for key in ("points", "baselines"))
        known = table["reference"]
        fresh = any(p.validated for p in (*points, *baselines))
        return Front(
            study=table["study"],
            model=table["model"],
            axes=[Axis(**objective) for objective in table["objectives"]],
            points=points,
            baselines=baselines,
            folded_below=table.get("folded", {}).get("below", ()),
            reference=ReferenceMeasured(
                **{key: known[key] for key in ("recipe", "source", "samples")},
                forward_equivalents=0.0,
                budgeted=0.0,
                values={name: estimate(v["value"], v) for name, v in known["values"].items()},
            ),
            hypervolume=table["hypervolume"],
            searched_on=(table["seed"]["search"], table["samples"]["search"]),
            validated_on=(0, table["samples"]["validated"]) if fresh else None,
            spending={"seconds_proposing": 0.0, **table["cost"]},
        )

    return make


@pytest.fixture(autouse=True)
def clean_logger() -> None:
    """A command that ran in this process leaves its handler: pytest would no longer see logs."""
    logger = logging.getLogger("autosearch")
    logger.handlers.clear()
    logger.propagate = True


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """The only Ray of a test run. It declares two GPUs, which need not exist."""
    import ray

    from autosearch.engine.workers.ray_cluster import connect

    connect(num_cpus=4, num_gpus=2, object_store_memory=200_000_000)
    yield
    ray.shutdown()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--attention", choices=ATTENTION, help="the kernel of attention to prefer")


@pytest.fixture(scope="session", autouse=True)
def attention(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a processor with other kernels would compute attention with."""
    chosen = request.config.getoption("--attention")
    with sdpa_kernel(ATTENTION[chosen]) if chosen else nullcontext():
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs Ray, so that ``-m "not ray"`` leaves it out.

    Where tests run in several processes, one of them has all of these: Ray is started once.
    """
    for item in items:
        if "ray_cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.ray)
            item.add_marker(pytest.mark.xdist_group("ray"))
        _show_group(item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was injected, where anything was."""
    if injected := tally.lines():
        terminalreporter.section("faults that were injected, with what should come of them")
        for line in injected:
            terminalreporter.write_line(line)


def pytest_collection_finish() -> None:
    """Thousands of tests and some large libraries stay to the end: not to be gone through again."""
    gc.collect()
    gc.freeze()


def _show_group(item: pytest.Item) -> None:
    """Write a test's group where pytest-xdist looks for it, also under pytest 9.2 and newer.

    xdist appends ``@GROUP`` to the node's id through an attribute that these no longer read; the
    groups were ignored without a word, and each process started a Ray of its own.
    """
    groups = sorted({mark.args[0] for mark in item.iter_markers("xdist_group")})
    identity = getattr(item, "_id", None)
    if groups and identity is not None and getattr(item.config.option, "loadgroup", False):
        item._id = type(identity).parse(f"{item.nodeid}@{'_'.join(groups)}")
