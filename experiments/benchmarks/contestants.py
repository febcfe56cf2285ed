"""Who is compared by cost to front: the settings of each search, on each space."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autosearch.algorithms import find
from autosearch.algorithms.base import Algorithm
from autosearch.experiment import Experiment, experiment_from_dict, load_experiment
from autosearch.experiments.benchmarks.contestants_hosted import (
    GenomeNSGA2,
    OptunaNSGA2,
    StockNSGA2,
    StockSMSEMOA,
)
from autosearch.registry import construct
from autosearch.spaces.product import Space

__all__ = ["ABLATION", "CONTESTANTS", "JUDGE", "OURS", "SPACES", "Contestant", "Course"]

_MIXTURE = load_experiment("mixture")
_JOINT = load_experiment("joint")
# Those of this benchmark alone, which no experiment can name.
_HOSTED: Mapping[str, type[Algorithm]] = {
    one.name: one for one in (GenomeNSGA2, StockNSGA2, StockSMSEMOA, OptunaNSGA2)
}


@dataclass(frozen=True)
class Course:
    """What is searched: the same for all contestants but for where they start and how they race.

    Attributes:
        keys: of the experiment.
        named, fits: our baselines: those that cost no calibration, and what is given in full.
        rungs: of those who race; the last one is the samples of all others.
        paired, stand_in: the same, and the objective, of those who search on a stand-in.
        validation: fresh samples of each plan on a front.
        contestants: their names.
    """

    name: str
    keys: Mapping[str, Any]
    named: Sequence[str]
    fits: Sequence[str]
    rungs: Sequence[int]
    paired: Sequence[int]
    validation: int
    contestants: Sequence[str]
    stand_in: str = "teacher_fd"

    def experiment(self, contestant: "Contestant", seed: int, *, share: float = 1.0) -> Experiment:
        """One contestant's; ``share`` of the budget."""
        budget = {
            name: value * share if name == "forward_equivalents" else value
            for name, value in self.keys["budget"].items()
        }
        baselines = [
            *(self.named if contestant.named else ()),
            *(self.fits if contestant.fits else ()),
        ]
        rungs = list(self.paired if contestant.paired else self.rungs)
        quality = self.stand_in if contestant.paired else "fid"
        return experiment_from_dict(
            {
                **self.keys,
                "objectives": [quality, *self.keys["objectives"][1:]],
                "budget": budget,
                "baselines": baselines,
                "algorithm": dict(contestant.algorithm),
                "samples": rungs[-1],
                "rungs": rungs if contestant.races and len(rungs) > 1 else [],
                "seed": seed,
            },
            where=f"yardstick {self.name}, {contestant.name}",
        )


@dataclass(frozen=True)
class Contestant:
    """One search.

    Attributes:
        algorithm: as an experiment has it.
        named, fits: whether it starts from our named, and from our fitted baselines.
        races: whether candidates get their samples in rungs.
        paired: whether it searches on the course's stand-in: the distance to the fine trajectory
            from the same noise, which takes fewer samples, instead of FID, by which all are judged.
    """

    name: str
    summary: str
    algorithm: Mapping[str, Any]
    named: bool = False
    fits: bool = False
    races: bool = False
    paired: bool = False

    def make(self, space: Space, experiment: Experiment) -> Algorithm:
        """Knowing nothing yet."""
        settings = dict(experiment.algorithm)
        name = settings.pop("name")
        more = {"seed": experiment.seed} if name in _HOSTED else {}
        kind: type[Algorithm] = _HOSTED[name] if name in _HOSTED else find(name)
        made: Algorithm = construct(
            kind,
            settings,
            space,
            where="algorithm",
            objectives=len(experiment.objectives),
            **more,
        )
        return made


_FREE = _MIXTURE.space["solver"]
# The second-order DPM-Solver++ at every step, of its first and last where order has an effect.
_FIXED = {**_FREE, "orders": [2], "predictions": ["data"], "forms": ["dpmsolver"]}
_FAST: Mapping[str, Any] = {
    "model": {"name": "mixture"},
    "objectives": ["fid", "nfe"],
    "budget": {"forward_equivalents": 8_000_000},
    "validation": {"samples": 400},
    "workers": {"executor": "inprocess"},
    "lag": 1,
}

_ALL = (
    "ours",
    "random",
    "nsga2",
    "nsga2-genomes",
    "nsga2-given-box",
    "nsga2-given",
    "tpe",
    "gp",
    "optuna-nsga2",
    "autodiffusion",
    "ecad",
    "usf",
)

_SOLVER = Course(
    name="solver",
    keys={**_FAST, "space": dict(_MIXTURE.space)},
    named=("dpmpp_2m-logsnr",),
    fits=("dpmpp_2m-logsnr+moments",),
    rungs=(400, 1200, 4000),
    paired=(400, 2000),
    validation=20_000,
    contestants=_ALL,
)

SPACES: Mapping[str, Course] = {
    "timesteps": replace(
        _SOLVER,
        name="timesteps",
        keys={**_FAST, "space": {"timesteps": _MIXTURE.space["timesteps"], "solver": _FIXED}},
    ),
    "solver": _SOLVER,
    "joint": Course(
        name="joint",
        keys={
            "model": "digits",
            "space": dict(_JOINT.space),
            "objectives": list(_JOINT.objectives),
            "budget": {"forward_equivalents": 600_000},
            "workers": {"executor": "inprocess"},
            "lag": 1,
        },
        named=(),
        fits=("dpmpp_2m-quadratic", "dpmpp_2m-quadratic+fora:2", "dpmpp_2m-quadratic+drop:3"),
        rungs=(400, 800),
        # Pruned networks are too far from the whole one's samples: searched on FID, of fewer.
        paired=(400,),
        stand_in="fid",
        validation=1000,
        # Caches have no box.
        contestants=("ours", "random", "nsga2-genomes", "nsga2-given"),
    ),
}

_STOCK: Mapping[str, Any] = {"name": "stock_nsga2", "population": 40}
_GENOMES: Mapping[str, Any] = {"name": "genome_nsga2", "population": 40}
_OURS: Mapping[str, Any] = {"name": "screened", "initial": 0}

# Whose objectives all are judged by.
JUDGE = Contestant("judge", "of all", {"name": "random"})
OURS = Contestant("ours", "this project's search", _OURS, fits=True, races=True, paired=True)

CONTESTANTS: tuple[Contestant, ...] = (
    OURS,
    Contestant("random", "random recipes", {"name": "random"}),
    Contestant("nsga2", "pymoo's NSGA-II on the box, random start", _STOCK),
    Contestant(
        "nsga2-genomes",
        "pymoo's NSGA-II on our genomes and operators, random start",
        _GENOMES,
    ),
    Contestant(
        "nsga2-given-box",
        "pymoo's NSGA-II on the box, from our baselines' nearest points",
        {**_STOCK, "given": True},
        fits=True,
    ),
    Contestant(
        "nsga2-given",
        "pymoo's NSGA-II on our genomes and operators, from our baselines",
        {**_GENOMES, "given": True},
        fits=True,
    ),
    Contestant("tpe", "Optuna's TPE on the box", {"name": "tpe"}),
    Contestant("gp", "Optuna's GP on the box, at most 200 candidates", {"name": "gp"}),
    Contestant(
        "optuna-nsga2", "Optuna's NSGA-II on the box", {"name": "optuna_nsga2", "population": 50}
    ),
    Contestant("autodiffusion", "AutoDiffusion's evolution", {"name": "autodiffusion"}, named=True),
    Contestant("ecad", "ECAD's evolution", {"name": "ecad"}, named=True),
    Contestant("usf", "USF's evolution", {"name": "usf"}, named=True),
)

# Ours without one of its parts, and pymoo's NSGA-II on the box with one of them. (From our
# baselines it is among the contestants.)
ABLATION: tuple[Contestant, ...] = (
    OURS,
    replace(
        OURS,
        name="no-operators",
        summary="SBX and polynomial mutation on the box, from our baselines, in rungs",
        algorithm={**_STOCK, "given": True},
    ),
    replace(
        OURS,
        name="no-fits",
        summary="from a named baseline instead of fits",
        named=True,
        fits=False,
    ),
    replace(
        OURS,
        name="no-starts",
        summary="from 16 random recipes",
        algorithm={**_OURS, "initial": 16},
        fits=False,
    ),
    replace(OURS, name="no-racing", summary="all samples for all", races=False),
    replace(OURS, name="no-pairs", summary="on FID, with all samples", paired=False),
    replace(
        OURS,
        name="no-surrogate",
        summary="children as they come",
        algorithm={**_OURS, "name": "smsemoa"},
    ),
    replace(
        OURS,
        name="no-indicator",
        summary="NSGA-II's survival, and children as they come",
        algorithm={**_OURS, "name": "nsga2"},
    ),
    replace(
        OURS,
        name="no-initial-choice",
        summary="16 random recipes beside the fits",
        algorithm={**_OURS, "initial": 16},
    ),
    Contestant("nsga2", "pymoo's NSGA-II on the box, random start", _STOCK),
    Contestant("nsga2-genomes", "pymoo's NSGA-II with our genomes and operators", _GENOMES),
    Contestant(
        "nsga2-given",
        "the same with our baselines, fits among them",
        {**_GENOMES, "given": True},
        fits=True,
    ),
    Contestant("only-racing", "pymoo's NSGA-II on the box, in rungs", _STOCK, races=True),
    Contestant(
        "only-pairs",
        "pymoo's NSGA-II on the box, on the distance to the fine trajectory",
        _STOCK,
        paired=True,
    ),
    Contestant(
        "only-indicator", "pymoo's SMS-EMOA on the box", {**_STOCK, "name": "stock_smsemoa"}
    ),
)
