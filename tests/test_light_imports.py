"""Compiling, sampling with and applying a recipe load no library that only searches need."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CODE = """
import json
import sys

import torch

import autosearch
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import sample, sample_indices
from autosearch.export.apply import apply, remove
from autosearch.models.mixture import MixtureModel
from autosearch.recipe import Recipe

assert (autosearch.apply, autosearch.remove) == (apply, remove)
denoiser = MixtureModel.load().denoiser
data = {
    "version": 1,
    "model": {"family": "vp", "schedule": "linear", "prediction": "noise"},
    "steps": [{"time": 999}, {"time": 500, "order": 2}, {"time": 100, "order": 2}],
}
plan = compile_recipe(Recipe.from_dict(data), denoiser)
assert sample(denoiser, plan, torch.ones(2, *denoiser.sample_shape), None).isfinite().all()
drawn = sample_indices(denoiser, plan, [0, 1, 2], seed=0, stream=Stream.EVALUATE)
assert drawn.isfinite().all()
print(json.dumps([name for name in ("ray", "optuna", "pymoo") if name in sys.modules]))
"""


def test_a_recipe_is_run_without_the_libraries_of_searches() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
