"""Whoever watches a run: Weights & Biases, MLflow, TensorBoard, and callbacks of one's own."""

from autosearch.integrations.loggers.base import Callback, Numbers, Watched
from autosearch.integrations.loggers.mlflow import Mlflow
from autosearch.integrations.loggers.tensorboard import TensorBoard
from autosearch.integrations.loggers.wandb import WeightsAndBiases

__all__ = [
    "BUILTIN",
    "Callback",
    "Mlflow",
    "Numbers",
    "TensorBoard",
    "Watched",
    "WeightsAndBiases",
]

BUILTIN: tuple[type[Callback], ...] = (TensorBoard, WeightsAndBiases, Mlflow)
