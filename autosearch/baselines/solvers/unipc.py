"""UniPC: a multistep predictor, and a corrector that costs no evaluation (Zhao et al. 2023)."""

import functools

from autosearch.baselines.base import Choices, Solver, lowered

__all__ = ["SOLVERS"]


def _unipc(count: int, *, order: int, form: str, prediction: str) -> list[Choices]:
    return [
        {"order": used, "form": form, "prediction": prediction, "corrector": "pseudo"}
        for used in lowered(order, count, always=True)
    ]


def _made(summary: str, order: int, form: str, prediction: str = "data") -> Solver:
    steps = functools.partial(_unipc, order=order, form=form, prediction=prediction)
    # The corrector raises the order of accuracy by one.
    return Solver(f"{summary} (Zhao et al. 2023)", steps, order + 1)


SOLVERS = {
    "unipc": _made("UniPC of order 2 with B(h) = exp(h) - 1", 2, "unipc_bh2"),
    "unipc_1": _made("UniPC of order 1", 1, "unipc_bh2"),
    "unipc_3": _made("UniPC of order 3", 3, "unipc_bh2"),
    "unipc_bh1": _made("UniPC of order 2 with B(h) = h", 2, "unipc_bh1"),
    "unipc_bh1_1": _made("UniPC of order 1 with B(h) = h", 1, "unipc_bh1"),
    "unipc_bh1_3": _made("UniPC of order 3 with B(h) = h", 3, "unipc_bh1"),
    "unipc_noise": _made("UniPC of order 2 in noise prediction", 2, "unipc_bh2", "noise"),
}
