"""Tiny pipelines of every family."""

from support.tiny_pipelines import difference, family, tiny

__all__ = ["difference", "family", "tiny"]
