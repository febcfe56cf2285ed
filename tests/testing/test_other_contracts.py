"""The contracts of spaces, objectives and models catch what they are there for."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from autosearch.errors import Infeasible
from autosearch.models.mixture import MixtureModel
from autosearch.objectives import Estimate, Nfe, Objective
from autosearch.objectives.means import ClassAccuracy, TeacherMse
from autosearch.spaces.base import Family, Parameter
from autosearch.spaces.genes import GeneFamily, Real
from autosearch.testing import ModelContract, ObjectiveContract, SpaceContract

# -- spaces ------------------------------------------------------------------------------------


@dataclass(kw_only=True, eq=False)
class Clipped(GeneFamily):
    """Numeric and honest: the data are clipped at one value."""

    name = "clipped"
    summary = "where predictions of the data are clipped"
    fields = ("clip",)

    def __post_init__(self) -> None:
        self.ranges = {"clip": Real(1.0, 5.0)}

    def per_step(self, genes, count):
        return [genes["clip"]] * count

    def read_genes(self, genome):
        return {"clip": genome["steps"][0].get("clip", 1.0)}


class Reaches(Clipped):
    """Changes what it does not own."""

    def put(self, genome, values):
        super().put(genome, values)
        genome["steps"][-1]["eta"] = 0.5


class Drifts(Clipped):
    """Repairing goes on and on."""

    def put(self, genome, values):
        before = genome["steps"][0].get("clip", 1.0)
        super().put(genome, [before % 4 + 1 for _ in values])


class DrawsElsewhere(Clipped):
    own = np.random.default_rng(0)

    def draw(self, rng):
        return super().draw(self.own)


class Forgets(Clipped):
    """Does not find its genes in a recipe."""

    def read_genes(self, genome):
        return {"clip": 1.0}


class Stays(Clipped):
    """Mutations change nothing."""

    def change(self, genome, genes, rng):
        return


class OnePoint(Clipped):
    """All points of its box are one recipe once they are repaired."""

    def from_box(self, genome, values):
        genome["steps"][0]["clip"] = -values["clip"]


class NotJson(Clipped):
    """Numbers of numpy, in tuples."""

    def put(self, genome, values):
        super().put(genome, values)
        self.set_genes(genome, {"clip": (genome["steps"][0]["clip"],)})

    def current(self, genome):
        stored = self.genes(genome)
        return {"clip": stored["clip"][0]} if stored else super().current(genome)


class Counts(Clipped):
    """Breaks where another family has changed the number of steps."""

    def write(self, genome, genes):
        super().write(genome, genes)
        self.set_genes(genome, {**self.genes(genome), "count": len(genome["steps"])})

    def repair(self, genome):
        count = len(genome["steps"])
        if (self.genes(genome) or {}).get("count", count) != count:
            raise IndexError
        super().repair(genome)


SPACES = [
    (Reaches, "test_it_changes_nothing_that_others_own", "a step's 'eta'"),
    (Drifts, "test_what_operators_make_is_inside", "repair changes"),
    (DrawsElsewhere, "test_equal_draws_give_equal_genomes", "draws from elsewhere"),
    (Forgets, "test_what_it_makes_is_found_in_its_recipe", "is not in it"),
    (Stays, "test_random_genomes_differ_and_mutants_move", "sample otherwise"),
    (OnePoint, "test_every_point_of_its_box_is_a_recipe", "points only 1 differ"),
    (NotJson, "test_what_operators_make_is_inside", "JSON does not keep"),
    (Counts, "test_other_numbers_of_steps_are_repaired", None),
]


@pytest.mark.parametrize(("cheat", "test", "message"), SPACES)
def test_the_contract_of_spaces_catches(cheat: type[Family], test: str, message: str) -> None:
    contract = type("Contract", (SpaceContract,), {"make": cheat, "genomes": 12})()
    with pytest.raises(AssertionError if message else Exception, match=message):
        getattr(contract, test)()


# -- objectives --------------------------------------------------------------------------------


class Both(TeacherMse):
    """Declared and measured."""

    def declared(self, plan):
        return 1.0


class Certain(TeacherMse):
    """Without an error."""

    def estimate(self, rows, reference, blocks):
        return Estimate(super().estimate(rows, reference, blocks).value)


class Constant(TeacherMse):
    """Takes rows that are no numbers for numbers."""

    def estimate(self, rows, reference, blocks):
        return super().estimate({"teacher_mse": np.arange(200.0)}, reference, blocks)


class Restless(TeacherMse):
    """Never the same twice."""

    rng = np.random.default_rng(0)

    def estimate(self, rows, reference, blocks):
        values = rows["teacher_mse"] * self.rng.random()
        return super().estimate({"teacher_mse": values}, reference, blocks)


class Shouts(ClassAccuracy):
    """A share above 1."""

    def estimate(self, rows, reference, blocks):
        found = super().estimate(rows, reference, blocks)
        return Estimate(found.value + 2, found.pseudo)


class Endless(Nfe):
    def declared(self, plan):
        return float("inf")


class Silent(Nfe):
    summary = ""


class Own(Objective):
    """Needs rows that nobody brings."""

    name, summary = "own", "something that no model of ours brings"
    needs = frozenset({"smiles"})
    least_samples = 40

    def estimate(self, rows, reference, blocks):
        raise Infeasible("200 of 200")


OBJECTIVES = [
    (Both, "test_it_is_either_declared_or_measured", "it is declared, else measured"),
    (Certain, "test_a_measured_value_is_finite_and_has_an_error", "not one pseudo-value"),
    (Constant, "test_rows_that_are_not_finite_are_infeasible", "is not a number"),
    (Restless, "test_a_measured_value_is_finite_and_has_an_error", "unequal estimates"),
    (Shouts, "test_a_measured_value_is_finite_and_has_an_error", None),
    (Endless, "test_what_a_plan_declares_is_one_number", "has the value inf"),
    (Silent, "test_it_says_what_it_is", "summary"),
    (Own, "test_a_measured_value_is_finite_and_has_an_error", "override rows"),
]


@pytest.mark.parametrize(("cheat", "test", "message"), OBJECTIVES)
def test_the_contract_of_objectives_catches(
    cheat: type[Objective], test: str, message: str
) -> None:
    contract = type("Contract", (ObjectiveContract,), {"make": cheat})()
    with pytest.raises(AssertionError if message else Exception, match=message):
        getattr(contract, test)()


# -- models ------------------------------------------------------------------------------------


class Mixes(MixtureModel):
    """Samples of a batch see one another."""

    @classmethod
    def load(cls) -> "Mixes":
        model = super().load(dimension=2, components=2)
        network = model.denoiser.denoise

        def denoise(x: torch.Tensor, *args: Any, **options: Any) -> dict[str, torch.Tensor]:
            return network(x - 0.1 * x.mean(dim=0), *args, **options)

        model.denoiser.denoise = denoise  # type: ignore[method-assign]
        return model


class TooWide(MixtureModel):
    """Declares another number of columns."""

    @property
    def widths(self):
        return {"features": 9}


class Unbalanced(MixtureModel):
    """Labels of two classes, one of them rare."""

    def labels(self, indices, stream):
        return torch.as_tensor([int(index % 5 == 0) for index in indices])

    @classmethod
    def load(cls) -> "Unbalanced":
        model = super().load(dimension=2, components=2)
        model.denoiser.classes = 2
        return model


class Unasked(MixtureModel):
    """Rows that nobody asked for."""

    def rows(self, x, needs):
        return {"features": x.double().numpy()}


MODELS = [
    (Mixes, "test_the_network_answers_for_each_sample_alone", "samples of a batch mix"),
    (TooWide, "test_it_gives_the_rows_that_it_declares", "declared are 9"),
    (TooWide, "test_its_reference_fits_its_rows", "has 8 columns"),
    (Unbalanced, "test_each_label_comes_equally_often", "not balanced"),
    (Unasked, "test_it_gives_the_rows_that_it_declares", "nobody asked for"),
]


@pytest.mark.parametrize(("cheat", "test", "message"), MODELS)
def test_the_contract_of_models_catches(cheat: Any, test: str, message: str) -> None:
    contract = type("Contract", (ModelContract,), {"make": cheat.load})()
    with pytest.raises(AssertionError, match=message):
        getattr(contract, test)()


# -- honest ones -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contract", "honest"),
    [(SpaceContract, Clipped), (ObjectiveContract, Nfe), (ModelContract, MixtureModel.load)],
)
def test_an_honest_part_passes_every_test(contract: Any, honest: Any) -> None:
    made = type("Contract", (contract,), {"make": honest})()
    tests = [name for name in dir(made) if name.startswith("test_")]
    assert len(tests) >= 5
    for name in tests:
        getattr(made, name)()


def test_a_number_of_a_box_has_bounds() -> None:
    (parameter,) = Clipped(MixtureModel.load(dimension=2).denoiser).box()
    assert parameter == Parameter("clip", "float", 1.0, 5.0)
