"""An attribute is another one for a while, whatever happens meanwhile."""

import pytest
import torch
from torch import nn

from autosearch.diffusion.sites.swapped import swapped


def other(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def another(x: torch.Tensor) -> torch.Tensor:
    return x + 2


def test_the_class_s_own_shows_again() -> None:
    module = nn.Identity()
    x = torch.zeros(2)
    with swapped(module, "forward", other):
        assert torch.equal(module(x), x + 1)
    assert torch.equal(module(x), x)
    assert "forward" not in vars(module)


def test_what_stood_on_the_object_is_put_back_after_an_exception() -> None:
    module = nn.Identity()
    module.forward = another
    with pytest.raises(ZeroDivisionError), swapped(module, "forward", other):
        raise ZeroDivisionError
    assert vars(module)["forward"] is another


def test_even_nothing_is_put_back() -> None:
    class Holder:
        value: int | None = 3

    holder = Holder()
    holder.value = None
    with swapped(holder, "value", 1):
        assert holder.value == 1
    assert vars(holder) == {"value": None}


def test_swaps_nest() -> None:
    module = nn.Identity()
    with swapped(module, "forward", other):
        with swapped(module, "forward", another):
            assert module.forward is another
        assert module.forward is other
    assert "forward" not in vars(module)


def test_what_others_put_over_it_stays() -> None:
    module = nn.Identity()
    with swapped(module, "forward", other):
        module.forward = another
    assert module.forward is another
