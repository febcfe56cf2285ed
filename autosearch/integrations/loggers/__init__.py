"""Whoever watches a run: Weights & Biases, MLflow, TensorBoard, and loggers of one's own."""

from autosearch.integrations.loggers.base import Logger, Numbers, Watched
from autosearch.integrations.loggers.mlflow import Mlflow
from autosearch.integrations.loggers.tensorboard import TensorBoard
from autosearch.integrations.loggers.wandb import WeightsAndBiases
from autosearch.registry import Registry

__all__ = ["BUILTIN", "REGISTRY", "Logger", "Numbers", "Watched", "find"]

BUILTIN: tuple[type[Logger], ...] = (TensorBoard, WeightsAndBiases, Mlflow)

REGISTRY = Registry("logger", BUILTIN, aliases=["autosearch.callbacks"])
find = REGISTRY.find
