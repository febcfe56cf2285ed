"""Every model inherits the tests that anybody's can; pipelines have theirs with diffusers."""

import functools

import pytest

from autosearch.models.bundled import DigitsModel, PhotosModel
from autosearch.models.mixture import MixtureModel
from autosearch.testing import ModelContract


class TestMixture(ModelContract):
    make = MixtureModel.load


class TestMixtureOfFlows(ModelContract):
    make = functools.partial(
        MixtureModel.load, family="flow", schedule="rectified", prediction="flow"
    )


class TestMixtureOfLevels(ModelContract):
    make = functools.partial(MixtureModel.load, family="edm", schedule="edm", prediction="data")


class TestDigits(ModelContract):
    make = DigitsModel.load


class TestPhotos(ModelContract):
    make = PhotosModel.load
    samples = 4

    @pytest.mark.soak
    def test_every_site_is_intercepted_and_priced(self) -> None:
        super().test_every_site_is_intercepted_and_priced()
