"""A solver space that names forms beyond the usual ones has the baselines of those forms."""

import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.diffusion.schedules import RectifiedFlow, VariancePreserving
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.spaces import SolverChoice, Space, Timesteps

FORMS = ["taylor", "dpmsolver", "ipndm", "lms", "fresh_noise", "unipc_bh1"]
MODELS = {
    "vp": (VariancePreserving(), "noise"),
    "flow": (RectifiedFlow(), "flow"),
}


def made(model: str, **options: object) -> Space:
    schedule, said = MODELS[model]
    data = Mixture.random(components=3, dimension=3, seed=1)
    denoiser = ExactDenoiser(data, schedule, said)  # type: ignore[arg-type]
    families = [SolverChoice(denoiser, **options), Timesteps(denoiser, steps=[2, 12])]
    return Space(denoiser, families, baseline("ddim@10", denoiser))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "solver", ["ipndm", "ipndm_3", "ipndm_2", "lms", "flow_ab4", "er_sde", "euler_a", "sa_solver"]
)
def test_baselines_of_named_forms_are_candidates(solver: str, model: str) -> None:
    space, usual = made(model, forms=FORMS, eta=1.0), made(model)
    for steps in (2, 3, 5, 10):
        recipe = baseline(f"{solver}@{steps}", space.denoiser)
        genome = space.encode(recipe)
        assert genome is not None
        assert space.decode(genome).steps == recipe.steps
        if steps > 2 and recipe.steps[1].form != "dpmsolver":
            assert usual.encode(recipe) is None or solver == "sa_solver"


@pytest.mark.parametrize("model", MODELS)
def test_random_recipes_and_their_descendants_compile(model: str) -> None:
    space = made(model, forms=FORMS, eta=0.5)
    rng = np.random.default_rng(0)
    genomes = [space.sample(rng) for _ in range(30)]
    genomes += [space.encode(baseline(f"{name}@5", space.denoiser)) for name in ("ipndm", "lms")]
    seen = set()
    for genome in genomes * 3:
        child = space.mutate(genome, rng)
        assert space.plan(child).nfe >= 1
        seen |= {step.get("form") for step in child["steps"]}
    assert {"ipndm", "lms", "fresh_noise"} <= seen
