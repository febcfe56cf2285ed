"""What a step does at a site instead of computing it, as recipes write it."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

from autosearch.diffusion.sites import Action

__all__ = ["SiteAction", "parse_action"]

_PLAIN_ACTIONS: Mapping[str, Action] = {"reuse": Action("reuse"), "skip": Action("skip")}
_FORECAST = re.compile(r"(forecast|output):([0-4])")

_BEYOND = re.compile(r"(forecast|output):([5-9]|[1-9][0-9]{1,8})")


def parse_action(text: str) -> Action:
    """``reuse``, ``skip``, ``forecast:m`` or ``output:m`` as an action.

    Raises:
        ValueError: for anything else.
    """
    if text in _PLAIN_ACTIONS:
        return _PLAIN_ACTIONS[text]
    if match := _FORECAST.fullmatch(text):
        return Action("forecast" if match[1] == "forecast" else "output", int(match[2]))
    if match := _BEYOND.fullmatch(text):
        raise ValueError(
            f"{text!r} asks for {int(match[2]) + 1} features, and at most 5 are stored; use an "
            f"order from 0 to 4, such as {match[1]}:4"
        )
    raise ValueError(
        f"unknown site action {text!r}; valid: reuse, skip, forecast:0 to forecast:4, "
        "output:0 to output:4"
    )


def _known(text: str) -> str:
    parse_action(text)
    return text


SiteAction = Annotated[str, AfterValidator(_known)]
