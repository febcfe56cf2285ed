"""Whoever watches a run: Weights & Biases, MLflow, TensorBoard, and callbacks of one's own."""

from autosearch.callbacks.base import Callback, Numbers, Watched
from autosearch.callbacks.mlflow import Mlflow
from autosearch.callbacks.tensorboard import TensorBoard
from autosearch.callbacks.wandb import WeightsAndBiases

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
