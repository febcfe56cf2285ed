"""Export formats."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest

from autosearch.baselines import SOLVERS, baseline
from autosearch.errors import UserError
from autosearch.export import FORMATS, find_format
from autosearch.export.sigmas import sigmas_data
from autosearch.models import MixtureModel
from autosearch.recipe import Recipe


def recipe(steps: list[dict[str, Any]], **changes: Any) -> Recipe:
    model = {"family": "vp", "schedule": "linear", "prediction": "noise"}
    return Recipe.from_dict({"version": 1, "model": model, "steps": steps, **changes})


def model_recipe(name: str, **options: Any) -> tuple[Recipe, Any]:
    denoiser = MixtureModel.load(**options).denoiser
    return baseline(name, denoiser), denoiser.schedule


def test_json_round_trips(table: dict[str, Any], tmp_path: Path) -> None:
    for i, point in enumerate(table["points"]):
        original = Recipe.from_dict(point["recipe"])
        assert find_format("json").write(original, tmp_path / f"{i}.json") == ()
        assert Recipe.load(tmp_path / f"{i}.json") == original


def test_sigmas_are_those_of_the_discrete_process() -> None:
    found, schedule = model_recipe("ddim-trailing@5")
    data, lost = sigmas_data(found)
    assert data["timesteps"] == [999, 799, 599, 399, 199]
    shares = [schedule.alphas_cumprod[int(time)] for time in data["timesteps"]]
    expected = [math.sqrt((1 - share) / share) for share in shares]
    assert data["sigmas"] == pytest.approx([*expected, 0.0], rel=1e-8)
    assert data["sigmas"][-1] == 0.0
    assert data["start_scale"] == 1.0
    assert lost == []


def test_published_levels_win_over_those_of_the_times() -> None:
    found, _ = model_recipe("dpmpp_2m-karras@4")
    data, _ = sigmas_data(found)
    rho = [level ** (1 / 7) for level in data["sigmas"][:-1]]
    steps = [a - b for a, b in itertools.pairwise(rho)]
    assert steps == pytest.approx([steps[0]] * 3)


def test_edm_models_take_their_times_as_sigmas() -> None:
    found, _ = model_recipe("ddim@4", family="edm", schedule="edm", prediction="data")
    data, _ = sigmas_data(found)
    assert data["sigmas"][:-1] == pytest.approx(data["timesteps"])
    assert data["sigmas"][0] == pytest.approx(80.0)
    assert data["start_scale"] == pytest.approx(math.hypot(1, 80))


def test_flow_models_are_in_their_own_scaling() -> None:
    found, _ = model_recipe("ddim@4", family="flow", schedule="rectified", prediction="flow")
    data, _ = sigmas_data(found)
    assert data["sigmas"] == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    assert data["scaling"].startswith("sigma,")


def test_an_end_before_the_clean_data_is_a_sigma() -> None:
    data, _ = sigmas_data(recipe([{"time": 999}, {"time": 500}], end=2.0))
    assert data["sigmas"][-1] == pytest.approx(math.exp(-2.0))


@pytest.mark.parametrize(
    ("orders", "lost"),
    [
        ([1, 2, 2, 1], []),
        ([1, 2, 2, 2], []),
        ([1, 1, 1, 1], []),
        ([1, 2], []),
        ([2], []),
        ([1, 2, 3, 3, 1], []),
        ([1, 2, 3, 2, 1], []),
        ([1, 2, 3, 3, 3], []),
        ([3, 3, 3, 3], []),
        ([1, 2, 3, 4, 3, 2, 1], []),
        ([1, 2, 3, 2, 2], ["per-step orders"]),
        ([1, 3, 3, 2, 3], ["per-step orders"]),
        ([1, 1, 2, 2, 1], ["per-step orders"]),
        ([1, 2, 1, 2, 1], ["per-step orders"]),
        ([1, 1, 1, 2], ["per-step orders"]),
    ],
)
def test_orders_that_no_sampler_takes_are_named(orders: list[int], lost: list[str]) -> None:
    steps = [
        {"time": 900 - 100 * i, "order": order, "form": "taylor"} for i, order in enumerate(orders)
    ]
    assert sigmas_data(recipe(steps))[1] == lost


@pytest.mark.parametrize(
    ("step", "lost"),
    [
        ({"order": 2, "form": "taylor"}, "predictions"),
        ({"order": 2, "prediction": "noise"}, "predictions"),
        ({"order": 2, "form": "unipc_bh1"}, "predictions"),
        ({"order": 2, "form": "taylor", "relaxation": {"kind": "linear"}}, "relaxations"),
        ({"start_point": -2}, "restarts"),
        ({"order": 2, "points": [[-3]]}, "points"),
        ({"corrector": "pseudo"}, "correctors"),
        ({"corrector": {"kind": "implicit", "order": 2}}, "correctors"),
        ({"eta": 1.0}, "eta"),
        ({"clip": 1.0}, "clipping"),
        ({"sites": {"block.1": "reuse"}}, "site"),
    ],
)
def test_what_sigmas_leave_out_is_one_line(tmp_path: Path, step: dict[str, Any], lost: str) -> None:
    first = {"order": 2} if "order" in step else {}
    steps = [{"time": 900}, {"time": 700, **first}, {"time": 500, **step}, {"time": 300}]
    warnings = find_format("sigmas").write(recipe(steps), tmp_path / "sigmas.json")
    assert len(warnings) == 1
    assert lost in warnings[0]
    assert lost in json.loads((tmp_path / "sigmas.json").read_text())["note"]


def test_an_analytic_first_step_is_left_out_and_said(tmp_path: Path) -> None:
    steps = [{"time": 900, "evaluate": "zero_x0"}, {"time": 500}]
    (warning,) = find_format("sigmas").write(recipe(steps), tmp_path / "sigmas.json")
    assert "the analytic first step" in warning
    data = json.loads((tmp_path / "sigmas.json").read_text())
    assert data["solver"] == ["1, data taken to be 0", "1"]


# What no single sampler of other libraries does, by the name of a baseline.
LOST = {
    "ddpm": ["eta"],
    "dpmpp_2m_sde": ["eta"],
    "dpmpp_3m_sde": ["eta"],
    "dpm_2m_sde": ["eta"],
    "euler_a": ["eta"],
    "consistency": ["eta"],
}


# What depends on the number of steps: SA-Solver's middle times; PLMS's first step; own tables.
CHANGING = ("evodiff", "plms", "sa_solver", "sa_solver_3", "er_sde", "neural_solver")


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name not in CHANGING])
def test_whole_solvers_are_lost_only_where_nothing_takes_them(solver: str) -> None:
    for steps in (1, 2, 3, 4, 5, 6, 7, 8, 9, 16):
        found, _ = model_recipe(f"{solver}@{steps}")
        data, lost = sigmas_data(found)
        analytic = ["the analytic first step"] if "_afs" in solver and steps > 1 else []
        analytic += ["correctors"] if solver == "flow_heun" and steps > 1 else []
        assert lost == analytic + LOST.get(solver, [])
        points = 2 * steps - 1 if solver == "dpm2" else steps
        assert len(data["solver"]) == points
        assert len(data["sigmas"]) == points + 1


def test_what_no_list_of_sigmas_runs_is_named() -> None:
    lost = {name: sigmas_data(model_recipe(f"{name}@6")[0])[1] for name in CHANGING}
    assert lost == {
        "evodiff": ["forms that no library has", "correctors"],
        "plms": ["correctors"],
        "sa_solver": ["correctors", "eta"],
        "sa_solver_3": ["correctors", "eta"],
        "er_sde": ["eta"],
        "neural_solver": ["forms that no library has"],
    }


def test_heun_in_the_time_of_flows_is_only_known_for_flows() -> None:
    flow = {"family": "flow", "schedule": "rectified", "prediction": "flow"}
    data, lost = sigmas_data(model_recipe("flow_heun@4", **flow)[0])
    assert lost == []
    assert data["sigmas"] == [1, 0.75, 0.5, 0.25, 0]
    assert data["note"] == (
        "orders by step: 1 1 1 1; after a step: implicit corrector of order 2 velocity"
    )


@pytest.mark.parametrize("name", ["sigmas", "sigma-text"])
def test_a_time_that_repeats_has_no_place_in_a_list(name: str, tmp_path: Path) -> None:
    found = recipe([{"time": 900}, {"time": 500, "start_point": -2}, {"time": 500}])
    wanted = "steps 2 and 3 are both at time 500, which a list of sigmas cannot say; use json"
    with pytest.raises(UserError, match=wanted):
        find_format(name).write(found, tmp_path / "sigmas")
    assert not (tmp_path / "sigmas").exists()


def test_what_no_other_library_has_is_said() -> None:
    assert "forms that no library has" in sigmas_data(model_recipe("evodiff@4")[0])[1]
    changes = {"compensation": 1.1, "scaling": [0.9, 1]}
    found = recipe([{"time": 900}, {"time": 500}, {"time": 300, **changes}])
    assert sigmas_data(found)[1] == ["compensation", "scaling"]


def test_the_note_tells_what_to_set() -> None:
    note = sigmas_data(model_recipe("dpmpp_2s@5")[0])[0]["note"]
    assert note == (
        "orders by step: 1 2 1 2 1; above order 1: data dpmsolver; "
        "singlestep: each run starts again from its first state"
    )
    note = sigmas_data(model_recipe("unipc@4")[0])[0]["note"]
    assert note == (
        "orders by step: 1 2 2 1; above order 1: data unipc_bh2; after a step: pseudo corrector"
    )
    note = sigmas_data(model_recipe("heun@3")[0])[0]["note"]
    assert note == (
        "orders by step: 1 1 1; after a step: implicit corrector of order 2 noise deis_rho"
    )


def test_each_step_in_words() -> None:
    corrector = {
        "kind": "pseudo",
        "order": 3,
        "form": "taylor",
        "start_point": -2,
        "points": [[-1, 0]],
        "relaxation": {"kind": "unipc_bh1"},
    }
    steps = [
        {"time": 900, "evaluate": "average_x0", "corrector": "implicit"},
        {"time": 800, "order": 2, "prediction": "noise", "form": "deis_t", "clip": 1.5},
        {
            "time": 700,
            "order": 3,
            "form": "taylor",
            "relaxation": {"kind": "exp", "coefficient": -0.5},
            "start_point": -3,
            "points": [[-2], [-2, -1]],
            "eta": 0.25,
        },
        {"time": 600, "corrector": corrector},
        {"time": 500, "order": 2, "form": "unipc_bh2"},
    ]
    assert sigmas_data(recipe(steps))[0]["solver"] == [
        "1, data taken to be their mean, implicit corrector",
        "2 noise deis_t, clip 1.5",
        "3 data taylor, relaxed by exp -0.5, from 3 points back, points [[-2], [-2, -1]], eta 0.25",
        "1, pseudo corrector of order 3 taylor from 2 points back points [[-1, 0]] "
        "relaxed as unipc_bh1",
        "2 data unipc_bh2",
    ]


@pytest.mark.parametrize(
    ("orders", "starts", "lost"),
    [
        ([1, 2, 1, 2, 1], [-1, -2, -1, -2, -1], []),
        ([1, 2, 3, 1, 2, 1], [-1, -2, -3, -1, -2, -1], []),
        ([1, 2, 3, 1, 1], [-1, -2, -3, -1, -1], []),
        ([1, 2, 1, 2, 3, 1, 1], [-1, -2, -1, -2, -3, -1, -1], ["per-step orders", "restarts"]),
        ([1, 2, 2, 1], [-1, -2, -2, -1], ["restarts"]),
        ([1, 2, 2, 1], [-1, -1, -2, -1], ["restarts"]),
    ],
)
def test_runs_of_a_singlestep_solver(orders: list[int], starts: list[int], lost: list[str]) -> None:
    steps = [
        {"time": 900 - 100 * i, "order": order, "start_point": start}
        for i, (order, start) in enumerate(zip(orders, starts, strict=True))
    ]
    assert sigmas_data(recipe(steps))[1] == lost


def test_guidance_is_named_as_lost() -> None:
    heads = {"block.1.attn": [0, 2], "block.2.attn": "all"}
    rules = [
        {"rule": "cfgpp", "scale": 0.6},
        {"rule": "pag", "scale": 3, "heads": heads, "strength": 0.5},
        {"rule": "weak", "scale": 1.5, "sites": {"block.1": "skip", "block.2.mlp": "reuse"}},
    ]
    data, lost = sigmas_data(recipe([{"time": 900, "guidance": rules}, {"time": 400}]))
    assert lost == ["guidance"]
    assert data["note"].endswith("not in the sigmas: guidance")
    assert data["solver"] == [
        "1, cfgpp 0.6, pag 3 at strength 0.5 (block.1.attn 0 2; block.2.attn all), "
        "weak 1.5 (block.1 skip; block.2.mlp reuse)",
        "1",
    ]


def test_formats_are_named_once() -> None:
    assert [form.name for form in FORMATS.values()] == list(FORMATS)
    assert all(form.summary for form in FORMATS.values())
    with pytest.raises(UserError, match="did you mean 'sigmas'"):
        find_format("sigma")


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        find_format("json").write(recipe([{"time": 1}]), tmp_path / "file" / "recipe.json")
