"""Guidance as branches and weights: what is inert is not run, and mistakes are named."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from autosearch.diffusion.classifier import Classifier, ClassifierTerm
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.schedules import VariancePreserving
from autosearch.diffusion.sites.branches import COND, UNCOND, Branch
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.diffusion.sites.sites import Site
from autosearch.errors import UserError
from autosearch.recipe import Recipe
from autosearch.recipe.actions import Action

MACS = {"": 100, ".attn": 40, ".mlp": 50}


class Declared(Denoiser):
    """Two blocks with attention; cannot be run."""

    def __init__(self, *, conditional: bool = True, heads: int = 4) -> None:
        self.schedule = VariancePreserving()
        self.prediction = "v"
        self.sample_shape = (2,)
        self.conditions = ("cond", "uncond") if conditional else ("cond",)
        self.sites = tuple(
            Site(f"block.{i}{part}", macs, 3, f"block.{i}" if part else None, not part)
            for i in range(2)
            for part, macs in MACS.items()
        )
        self.heads = {f"block.{i}.attn": heads for i in range(2)} if heads else {}
        self.macs = 230
        self.weights = "declared"

    def denoise(
        self,
        x: Tensor,
        t: float,
        condition: Tensor | None,
        *,
        branches: Sequence[Branch] = (COND,),
        memory: FeatureMemory | None = None,
    ) -> dict[str, Tensor]:
        raise NotImplementedError


def compiled(*steps: Mapping[str, Any], model: Declared | None = None) -> Plan:
    model = model or Declared()
    timed = [{"time": 900 - 200 * i, **step} for i, step in enumerate(steps)]
    data = {"version": 1, "model": model_key(model).model_dump(), "steps": timed}
    return compile_recipe(Recipe.from_dict(data), model)


def ruled(*rules: Mapping[str, Any], **choices: Any) -> dict[str, Any]:
    return {"guidance": list(rules), **choices}


def cfg(scale: float) -> dict[str, Any]:
    return {"rule": "cfg", "scale": scale}


def pag(scale: float, heads: object = "all", **rest: Any) -> dict[str, Any]:
    return {"rule": "pag", "scale": scale, "heads": {"block.1.attn": heads}, **rest}


def weak(scale: float, **sites: str) -> dict[str, Any]:
    named = {name.replace("_", "."): action for name, action in sites.items()}
    return {"rule": "weak", "scale": scale, "sites": named}


PLAIN: dict[str, Any] = {}
SKIPPED = {"sites": {"block.1": "skip"}}


@pytest.mark.parametrize(
    ("guided", "plain"),
    [
        (ruled(cfg(1)), PLAIN),
        (ruled(pag(0)), PLAIN),
        (ruled(pag(3, strength=0)), PLAIN),
        (ruled(pag(3, [])), PLAIN),
        (ruled(weak(1, block_0="skip")), PLAIN),
        (ruled(pag(3), **SKIPPED), SKIPPED),
        (ruled(weak(3, block_1="skip"), **SKIPPED), SKIPPED),
        (ruled(weak(3, block_1_mlp="skip"), **SKIPPED), SKIPPED),
        (ruled(weak(3, block_0="reuse")), PLAIN),
        (ruled(pag(1), pag(-1)), PLAIN),
        (ruled(cfg(1), pag(0), weak(1, block_0="skip")), PLAIN),
        (ruled(cfg(3), pag(0)), ruled(cfg(3))),
        (ruled(pag(1), pag(2)), ruled(pag(3))),
        (ruled(pag(1, [3, 0])), ruled(pag(1, [0, 3, 3]))),
        (ruled({"rule": "cfgpp", "scale": 0}), ruled(cfg(0))),
    ],
)
def test_what_changes_nothing_is_not_run(guided: dict[str, Any], plain: dict[str, Any]) -> None:
    one, other = compiled(guided, guided), compiled(plain, plain)
    assert one == other
    assert one.identity == other.identity
    assert (one.forwards, one.macs, one.memory) == (other.forwards, other.macs, other.memory)


def test_what_changes_something_has_an_identity_of_its_own() -> None:
    steps = [
        PLAIN,
        ruled(cfg(2)),
        ruled(cfg(3)),
        ruled(cfg(0)),
        ruled({"rule": "cfgpp", "scale": 0.5}),
        ruled(pag(3)),
        ruled(pag(3, strength=0.5)),
        ruled(pag(3, [1])),
        ruled(pag(3, [2])),
        ruled({"rule": "pag", "scale": 3, "heads": {"block.0.attn": "all"}}),
        ruled(weak(3, block_0="skip")),
        ruled(weak(3, block_0_mlp="skip")),
        ruled(cfg(2), pag(3)),
    ]
    plans = [compiled(step, PLAIN) for step in steps]
    assert len({plan.identity for plan in plans}) == len(steps)
    assert [plan.forwards for plan in plans] == [2, 3, 3, 2] + [3] * 8 + [4]


@given(scale=st.floats(-20, 20), push=st.floats(-20, 20), other=st.floats(-20, 20))
@settings(max_examples=40, deadline=None)
def test_weights_add_up_to_1(scale: float, push: float, other: float) -> None:
    plan = compiled(ruled(cfg(scale), pag(push, [1]), weak(other, block_0="skip")))
    step = plan.steps[0]
    assert sum(step.weights) == pytest.approx(1, abs=1e-6)
    assert len(step.branches) == len(step.weights) == plan.forwards


RULES = st.one_of(
    st.builds(pag, st.floats(-9, 9), st.sampled_from(["all", [1], [0, 3], []])),
    st.builds(lambda scale, to: pag(scale, [2], strength=to), st.floats(-9, 9), st.floats(0, 1)),
    st.builds(
        lambda scale, site, action: weak(scale, **{site: action}),
        st.floats(-9, 9),
        st.sampled_from(["block_0", "block_1", "block_0_attn", "block_1_mlp"]),
        st.sampled_from(["skip", "reuse"]),
    ),
)


@given(
    rules=st.lists(RULES, min_size=2, max_size=5),
    classifier_free=st.floats(-9, 9),
    site=st.sampled_from(["block.0", "block.1", "block.1.mlp", "block.0.attn"]),
    action=st.sampled_from(["skip", "reuse", "forecast:1"]),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_rules_in_another_order_are_one_plan(
    rules: list[Any], classifier_free: float, site: str, action: str, data: st.DataObject
) -> None:
    rules = [cfg(classifier_free), *rules]
    kept = {"sites": {site: action}}
    steps = [ruled(*rules), ruled(*rules, **kept), ruled(*rules, **kept)]
    others = [{**step, "guidance": data.draw(st.permutations(rules))} for step in steps]
    plan, other = compiled(*steps), compiled(*others)
    assert plan == other
    assert plan.identity == other.identity


def test_what_is_inert_in_a_rule_is_no_part_of_its_name() -> None:
    """Heads of pruned sites, and what is inside of something skipped."""
    wide = {"block.0.attn": "all", "block.1.attn": "all"}
    both: dict[str, Any] = {"rule": "pag", "scale": 3, "heads": wide}
    alone: dict[str, Any] = {**both, "heads": {"block.0.attn": [3, 2, 1, 0]}}
    reused = {"sites": {"block.0.mlp": "reuse"}}

    def pruned(rule: Mapping[str, Any]) -> Plan:
        model = Declared()
        steps = [ruled(rule), ruled(rule, **reused)]
        timed = [{"time": 900 - 200 * i, **step} for i, step in enumerate(steps)]
        key = model_key(model).model_dump()
        data = {"version": 1, "model": key, "steps": timed, "pruned": ["block.1"]}
        return compile_recipe(Recipe.from_dict(data), model)

    assert pruned(both) == pruned(alone)
    assert pruned(weak(3, block_0_mlp="skip", block_1_mlp="skip")) == pruned(
        weak(3, block_0_mlp="skip")
    )
    assert compiled(
        ruled(weak(3, block_0="skip", block_0_mlp="reuse")), ruled(weak(2, block_0="skip"))
    ) == compiled(
        ruled(weak(3, block_0="skip")), ruled(weak(2, block_0="skip", block_0_attn="skip"))
    )


def test_weights_are_those_of_the_formulas() -> None:
    step = compiled(ruled(cfg(4), pag(3, [1], strength=0.5), weak(2, block_0="skip"))).steps[0]
    assert step.weights == (1 + 3 + 3 + 1, -3, -3, -1)
    assert step.branches == (
        COND,
        UNCOND,
        Branch("pag block.1.attn[1] x0.5", heads=(("block.1.attn", (1,)),), strength=0.5),
        Branch("weak block.0=skip", sites=(("block.0", Action("skip")),)),
    )


def test_costs_are_sums_over_branches() -> None:
    rules = ruled(cfg(4), pag(3), weak(2, block_0="skip", block_1_mlp="skip"))
    plan = compiled({**rules, "corrector": "implicit"}, {**rules, "sites": {"block.1": "reuse"}})
    # The weak branch has its own skips, and the block's reuse takes in what is inside.
    first, second = 3 * 230 + (230 - 100 - 50), 3 * (230 - 100) + (230 - 100 - 100)
    assert plan.nfe == 3
    # Also where its heads are not computed, what the perturbed branch stored is its own.
    names = [[one.name for one in step.branches] for step in plan.steps]
    weaker = "weak block.0=skip block.1.mlp=skip"
    assert names == [["cond", "uncond", "pag block.1.attn[0,1,2,3] x1", weaker]] * 2
    assert plan.forwards == 4 + 2 * 4
    assert plan.macs == first + 2 * second
    assert plan.keep == {"block.1": 1}
    kept = compiled(PLAIN, {"sites": {"block.1": "reuse"}})
    assert plan.memory - compiled({**rules, "corrector": "implicit"}, rules).memory == 4 * (
        kept.memory - compiled(PLAIN, PLAIN).memory
    )


def test_a_reused_site_has_its_perturbed_feature() -> None:
    reused = ruled(pag(3), sites={"block.1.attn": "reuse"})
    second = compiled(ruled(pag(3)), reused).steps[1]
    assert [(one.name, one.heads) for one in second.branches] == [
        ("cond", ()),
        ("pag block.1.attn[0,1,2,3] x1", ()),
    ]
    assert second.branches[0].sites == second.branches[1].sites != ()
    # Where it stored none it computes, and perturbs.
    first = compiled(PLAIN, reused).steps[1]
    assert [len(one.heads) for one in first.branches] == [0, 1]
    assert [len(one.sites) for one in first.branches] == [1, 0]


def test_an_analytic_first_step_runs_nothing() -> None:
    plan = compiled({**ruled(cfg(4)), "evaluate": "zero_x0"}, ruled(cfg(4)))
    assert plan == compiled({"evaluate": "zero_x0"}, ruled(cfg(4)))
    assert (plan.forwards, plan.steps[0].branches) == (2, ())


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (pag(1, [4]), "guidance[0].heads: block.1.attn has heads 0 to 3, and no head 4"),
        (
            {"rule": "pag", "scale": 1, "heads": {"block.1.atn": "all"}},
            "guidance[0].heads: unknown attention site 'block.1.atn'; did you mean 'block.1.attn'?",
        ),
        (
            {"rule": "pag", "scale": 1, "heads": {"block.0.mlp": "all"}},
            "unknown attention site 'block.0.mlp'; did you mean 'block.0.attn'?",
        ),
        (
            weak(2, block_7="skip"),
            "guidance[0].sites: unknown site 'block.7'; did you mean 'block.",
        ),
    ],
)
def test_what_the_model_lacks_is_named(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        compiled(PLAIN, ruled(rule))
    assert str(caught.value).startswith("recipe: steps[1].guidance[0]")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rule", ["cfg", "cfgpp"])
def test_unconditional_models_refuse_two_conditions(rule: str) -> None:
    model = Declared(conditional=False)
    with pytest.raises(UserError, match=r"steps\[0\]\.guidance\[0\]: rule '.*use rule 'pag'"):
        compiled(ruled({"rule": rule, "scale": 0.5}), model=model)
    assert compiled(ruled(pag(2), weak(3, block_0="skip")), model=model).forwards == 3


def test_models_without_attention_refuse_heads() -> None:
    with pytest.raises(UserError, match="this model has no attention heads to perturb"):
        compiled(ruled(pag(1)), model=Declared(heads=0))


# -- by a classifier -------------------------------------------------------------------------


class Known(Classifier):
    macs = 7

    def logits(self, data: Tensor) -> Tensor:
        raise NotImplementedError


def classified(scale: float, **calibration: float) -> dict[str, Any]:
    return {"rule": "classifier", "scale": scale, **calibration}


def with_classifier() -> Declared:
    model = Declared()
    model.classes, model.classifier = 2, Known()
    return model


def test_a_classifier_costs_two_passes_of_its_own_and_no_forward() -> None:
    model = with_classifier()
    plain = compiled(PLAIN, PLAIN, PLAIN, model=model)
    plan = compiled(
        ruled(classified(2), corrector="implicit"), ruled(classified(1)), PLAIN, model=model
    )
    # The implicit corrector asks again at the start of the second step.
    assert plan.forwards == plan.nfe == plain.nfe + 1
    assert plan.macs - plan.nfe * model.macs == 3 * 2 * 7
    assert plan.forward_equivalents == pytest.approx((4 * 230 + 42) / 230)
    assert "classifier" not in plain.steps[0].to_dict()


def test_what_the_classifier_does_is_compiled_away_where_it_is_nothing() -> None:
    model = with_classifier()
    plain = compiled(PLAIN, PLAIN, model=model)
    for rules in (
        [classified(0)],
        [classified(1), classified(-1)],
        [classified(3, temperature=0)],
    ):
        assert compiled(ruled(*rules), PLAIN, model=model) == plain
    analytic = {"evaluate": "zero_x0"}
    assert compiled({**ruled(classified(3)), **analytic}, PLAIN, model=model) == compiled(
        analytic, PLAIN, model=model
    )
    once = compiled(ruled(classified(3)), PLAIN, model=model)
    assert compiled(ruled(classified(1), classified(2)), PLAIN, model=model) == once
    known = {
        compiled(ruled(rule), PLAIN, model=model).identity
        for rule in (
            classified(3),
            classified(2),
            classified(3, temperature=0.5),
            classified(3, discount=0.5),
        )
    }
    assert len(known | {plain.identity}) == 5


def test_the_classifier_adds_to_other_rules() -> None:
    model = with_classifier()
    step = compiled(ruled(cfg(3), classified(2)), PLAIN, model=model).steps[0]
    assert step.weights == (3.0, -2.0)
    assert step.classifier == (ClassifierTerm(2.0, 1.0, 1.0),)


def test_models_without_a_classifier_refuse_it_in_one_line() -> None:
    unlabelled = with_classifier()
    unlabelled.classes = 0
    for model in (Declared(), unlabelled):
        with pytest.raises(UserError) as caught:
            compiled(PLAIN, ruled(classified(1)), model=model)
        assert str(caught.value) == (
            "recipe: steps[1].guidance[0]: rule 'classifier' needs a model with classes and a "
            "classifier of them, and this one has none; use rule 'cfg', 'pag' or 'weak'"
        )
