"""The share of samples of the class that was asked for."""

import numpy as np
import pytest

from autosearch.errors import UserError
from autosearch.objectives import ClassAccuracy


def rows(wrong: int, count: int = 200) -> dict:
    labels = np.arange(count) % 4
    taken = labels.copy()
    taken[:wrong] = (taken[:wrong] + 1) % 4
    return {"logits": 3.0 * np.eye(4)[taken], "labels": labels}


@pytest.mark.parametrize("wrong", [0, 1, 30, 200])
def test_it_is_a_share_with_the_error_of_a_mean(wrong: int) -> None:
    estimate = ClassAccuracy().estimate(rows(wrong), {}, 20)
    assert estimate.value == pytest.approx(1 - wrong / 200)
    means = (np.arange(200) >= wrong).reshape(20, 10).mean(axis=1)
    assert estimate.standard_error == pytest.approx(means.std(ddof=1) / np.sqrt(20))


def test_a_classifier_of_fewer_classes_is_refused() -> None:
    given = {**rows(0), "labels": np.arange(200) % 5}
    with pytest.raises(UserError, match="the model has class 4, but its classifier knows 4"):
        ClassAccuracy().estimate(given, {}, 20)
