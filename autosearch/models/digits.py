"""``digits``: a class-conditional DiT on handwritten digits."""

from autosearch.models.bundled import BundledModel

__all__ = ["DigitsModel"]


class DigitsModel(BundledModel):
    """Scikit-learn's handwritten digits, 8x8, ten classes."""

    name = "digits"
    summary = "small class-conditional DiT on real handwritten digits, 8x8, bundled"
