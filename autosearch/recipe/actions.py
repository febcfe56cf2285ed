"""What a step does at a site instead of computing it, as recipes write it."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator

__all__ = ["Action", "SiteAction", "feature_site", "output_feature", "parse_action"]

# What a site's feature is called where it is the whole output.
_OUTPUT = ":output"


def output_feature(site: str) -> str:
    """The name of what a site gives, whatever it is given."""
    return site + _OUTPUT


def feature_site(feature: str) -> str:
    """The site whose feature it is."""
    return feature.removesuffix(_OUTPUT)


class Action(NamedTuple):
    """What to do at a site instead of computing it.

    ``forecast`` extrapolates the last ``order + 1`` computed features; order 0 equals reuse.
    ``output`` does so for what the site gave, whatever it is given now: at a residual site, the
    feature of the others is the difference between output and input.
    """

    kind: Literal["compute", "reuse", "skip", "forecast", "output"]
    order: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.order}" if self.kind in ("forecast", "output") else self.kind

    @property
    def remembers(self) -> bool:
        """Whether it needs features of earlier steps."""
        return self.kind in ("reuse", "forecast", "output")

    def feature(self, site: str) -> str:
        """The name under which its features of a site are stored."""
        return output_feature(site) if self.kind == "output" else site


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
