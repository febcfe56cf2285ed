"""The coefficients of a linear step, whatever its form."""

from typing import Any

from autosearch.diffusion.solvers import Coefficients, Update, find_form
from autosearch.diffusion.solvers.forms.combination import CombinationForm


def coefficients(update: Update, *args: Any, **options: Any) -> Coefficients:
    form = find_form(update.form)
    assert isinstance(form, CombinationForm)
    return form.coefficients(update, *args, **options)
