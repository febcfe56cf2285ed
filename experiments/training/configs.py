"""What the bundled models are made from: one small description for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autosearch.experiments.training.real_images import RealImages, digits, photos
from autosearch.experiments.training.train_features import FeaturesTraining
from autosearch.experiments.training.train_network import NetworkTraining
from autosearch.models.classifier import FeaturesConfig
from autosearch.models.dit import DiTConfig

__all__ = ["SUBJECTS", "Subject"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Images, sizes and settings of training.

    Attributes:
        real: reads the images; needs scikit-learn.
        network, training: sizes and training of the denoiser.
        features, features_training: sizes and training of the network whose features are scored.
    """

    name: str
    real: Callable[[], RealImages]
    network: DiTConfig
    training: NetworkTraining
    features: FeaturesConfig
    features_training: FeaturesTraining


SUBJECTS: Mapping[str, Subject] = {
    subject.name: subject
    for subject in (
        Subject(
            name="digits",
            real=digits,
            network=DiTConfig(),
            # Trained on, the model's FID comes so near zero that 8,000 samples no longer tell it
            # from zero within 8%.
            training=NetworkTraining(
                process="vp_linear", prediction="v", steps=14_000, stop=7_000, batch=64
            ),
            features=FeaturesConfig(),
            features_training=FeaturesTraining(),
        ),
        Subject(
            name="photos",
            real=photos,
            network=DiTConfig(
                image_size=16,
                channels=3,
                width=64,
                depth=10,
                heads=4,
                num_classes=2,
                time_scale=1000.0,
            ),
            training=NetworkTraining(
                process="flow_rectified",
                prediction="flow",
                steps=10_000,
                stop=6_000,
                batch=32,
                learning_rate=2e-3,
            ),
            features=FeaturesConfig(
                image_size=16,
                channels=3,
                filters=(16, 32, 48),
                features=44,
                detail=2,
                num_classes=2,
                parts=24,
            ),
            features_training=FeaturesTraining(
                epochs=25, noise=0.02, shift_share=0.0, reconstruction=100.0, label_smoothing=0.1
            ),
        ),
    )
}
