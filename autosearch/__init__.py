"""Search for the best trade-offs between quality and cost of sampling from a diffusion model."""

from autosearch._version import __version__
from autosearch.errors import UserError

__all__ = ["UserError", "__version__"]
