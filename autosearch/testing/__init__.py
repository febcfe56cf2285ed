"""Tests that anybody's part can inherit: algorithms, spaces, objectives and models.

In a test file of this project or of another, where pytest finds it:

    from autosearch.testing import AlgorithmContract

    class TestMine(AlgorithmContract):
        make = MyAlgorithm
"""

from autosearch.testing.algorithms import AlgorithmContract
from autosearch.testing.models import ModelContract
from autosearch.testing.objectives import ObjectiveContract
from autosearch.testing.spaces import SpaceContract

__all__ = ["AlgorithmContract", "ModelContract", "ObjectiveContract", "SpaceContract"]
