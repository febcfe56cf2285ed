"""Prompts of text-to-image models: for the search, and others for its validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from autosearch.errors import UserError

__all__ = ["PromptSplit", "read_prompts"]


@dataclass(frozen=True)
class PromptSplit:
    """Equally many prompts for the search and for validation, none in both."""

    search: Sequence[str]
    validation: Sequence[str]


def read_prompts(path: str | None, *, count: int | None = None) -> PromptSplit:
    """Read a file of prompts, one a line; empty lines and lines that begin with ``#`` are not.

    Every other prompt is for validation.

    Args:
        path: of the file; None for the small one of this package.
        count: of prompts on each side; by default half of the file.

    Raises:
        UserError: for a file that cannot be read, has too few prompts, or has one twice.
    """
    where = "model.prompts"
    try:
        if path is None:
            source = files("autosearch.models.diffusers") / "data" / "prompts.txt"
            text = source.read_text(encoding="utf-8")
        else:
            if Path(path).exists() and not Path(path).is_file():
                raise UserError(f"{where}: {path}: is no file; give a file of prompts, one a line")
            text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UserError(f"{where}: {path}: cannot read: {reason}") from None
    lines = [line.strip() for line in text.splitlines()]
    prompts = [line for line in lines if line and not line.startswith("#")]
    shown = path or "the shipped file"
    for i, prompt in enumerate(prompts):
        if prompt in prompts[:i]:
            raise UserError(
                f"{where}: {shown}: {prompt[:40]!r} stands there twice, so that search and "
                "validation could share it; leave one out"
            )
    half = len(prompts) // 2
    wanted = half if count is None else count
    if not 1 <= wanted <= half:
        raise UserError(
            f"{where}: {shown} has {len(prompts)} prompts, which is enough for {half} in the "
            f"search and {half} in its validation, not for {wanted}"
        )
    return PromptSplit(prompts[: 2 * wanted : 2], prompts[1 : 2 * wanted : 2])
