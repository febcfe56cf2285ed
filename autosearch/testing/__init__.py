"""Tests that anybody's algorithm can inherit.

In a test file of this project or of another, where pytest finds it:

    from autosearch.testing import AlgorithmContract

    class TestMine(AlgorithmContract):
        make = MyAlgorithm
"""

from autosearch.testing.algorithms import AlgorithmContract

__all__ = ["AlgorithmContract"]
