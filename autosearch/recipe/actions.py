"""What a step does at a site instead of computing it, as recipes write it."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

from autosearch.diffusion.sites import Action

__all__ = ["SiteAction", "parse_action"]

_PLAIN_ACTIONS: Mapping[str, Action] = {"reuse": Action("reuse"), "skip": Action("skip")}
_FORECAST = re.compile(r"forecast:([0-4])")


def parse_action(text: str) -> Action:
    """``reuse``, ``skip`` or ``forecast:m`` as an action.

    Raises:
        ValueError: for anything else.
    """
    if text in _PLAIN_ACTIONS:
        return _PLAIN_ACTIONS[text]
    if match := _FORECAST.fullmatch(text):
        return Action("forecast", int(match[1]))
    raise ValueError(f"unknown site action {text!r}; valid: reuse, skip, forecast:0 to forecast:4")


def _known(text: str) -> str:
    parse_action(text)
    return text


SiteAction = Annotated[str, AfterValidator(_known)]
